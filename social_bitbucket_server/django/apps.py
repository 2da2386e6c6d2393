"""The application, as ``INSTALLED_APPS`` knows it."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import Tags, register
from django.utils.translation import gettext_lazy


class BitbucketServerConfig(AppConfig):
    """Integrations with Bitbucket Servers, and the system checks."""

    name = "social_bitbucket_server.django"
    label = "social_bitbucket_server"
    verbose_name = gettext_lazy("Bitbucket Server")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks, and what is done when people log out."""
        # Not at the top: these import models, which Django refuses before all applications are loaded.
        from django.contrib.auth.signals import user_logged_out

        from .checks import check_columns, check_deployment, check_settings
        from .login import revoke_access_tokens

        register(check_settings, Tags.security)
        register(check_deployment, Tags.security, deploy=True)
        register(check_columns, Tags.database)
        user_logged_out.connect(revoke_access_tokens)
