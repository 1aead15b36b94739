"""Torture of the log's order: many writers and readers, killed and dawdling, and a strict checker.

``python -m benchmarks.torture --minutes 5`` runs it long; the test suite runs it short.
"""
