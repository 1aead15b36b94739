"""Rows that are made anew beside the live ones, and put in their place; see `..rebuild`."""
