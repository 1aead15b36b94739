"""The front page, and ``manage.py demo``, which fills the site with data and serves it."""
