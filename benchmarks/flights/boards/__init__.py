"""A Django app: the departure board of the example project, as other kinds of projections keep it."""
