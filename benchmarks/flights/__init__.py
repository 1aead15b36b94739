"""Projections of a year of flights, beside those of the peer. Measured on PostgreSQL."""
