"""Registration with e-mail confirmation: the example that came with Rill/Wheel, and three ways to be unique.

- by the key of an aggregate: account ids, e-mail addresses (``domain/``);
- by a view and an event that compensates, a moment later: display names (``services.py``);
- by a constraint on the rows of an inline projection, at once: mailboxes (``projections.py``).

Start with ``domain/``, which is plain Python. Around it: ``services.py`` (what decisions need from
outside: randomness, time, views), ``triggers.py`` (the e-mail), ``projections.py`` and ``models.py``
(what the pages and the admin show), and an ordinary Django site.
"""
