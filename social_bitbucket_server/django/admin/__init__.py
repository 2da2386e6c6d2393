"""The administration: integrations with their worksheets, check-ups and key pairs, and what happened."""

from __future__ import annotations

from django.contrib import admin

from .. import configuration
from ..models import Integration, integration_model
from .events import EventAdmin as EventAdmin
from .integrations import IntegrationAdmin

__all__ = ["IntegrationAdmin"]

if integration_model() is Integration and configuration.has_integrations_in_database():
    admin.site.register(Integration, IntegrationAdmin)
