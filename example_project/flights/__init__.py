"""Departures from New York's three airports in 2013: the main example."""
