"""Bridges to other packages. None of them is needed, and none is imported unless you do."""
