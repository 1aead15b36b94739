"""A site that uses rill_django, with real data."""
