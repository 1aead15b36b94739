"""Ordinary Django models, kept up to date from the log, each event taking effect exactly once."""
