"""Proving that the log is whole, and carrying it from one database to another."""
