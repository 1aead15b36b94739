"""Registration with e-mail confirmation: the example that came with Rill/Wheel, and two ways to be unique.

Start with ``domain/``, which is plain Python. Around it: ``services.py`` (what decisions need from
outside: randomness, time, views), ``triggers.py`` (the e-mail), ``projections.py`` and ``models.py``
(what the pages and the admin show), and an ordinary Django site.
"""
