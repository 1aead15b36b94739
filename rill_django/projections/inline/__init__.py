"""Projections that commands apply their events to themselves, in their own transaction."""
