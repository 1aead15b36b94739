"""Figures, each beside the peers' from the same run, and the torture test of the log's order."""

DATABASES_VARIABLE = "RILL_BENCH_DATABASES"
"""Environment variable by which a process is told Django's ``DATABASES``, as JSON."""
