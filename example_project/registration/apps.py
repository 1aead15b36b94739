"""The Django app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RegistrationConfig(AppConfig):
    """Its label begins the names of all its event types: ``registration.Account.registered``."""

    name = "example_project.registration"
    label = "registration"
    verbose_name = _("Registration")
