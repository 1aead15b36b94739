"""From streams to aggregates and back."""

from rill_django.domain.limits import Limits, TooLarge
from rill_django.repository.caching import CachingRepository
from rill_django.repository.inline import Inline, Refused
from rill_django.repository.plain import Listener, Repository, replay

__all__ = [
    "CachingRepository",
    "Inline",
    "Limits",
    "Listener",
    "Refused",
    "Repository",
    "TooLarge",
    "replay",
]
