"""Storage of organizations' integrations on SQLAlchemy: tables as mixins, and what is done with their rows.

The rules are those of :mod:`social_bitbucket_server.organizations`. Pages and requests are left to the framework.
"""

from . import constraints as constraints  # they listen to the classes that are mapped

# What is imported under its own name is for the other rooms; ``__all__`` is for applications.
from .events import DAYS_KEPT as DAYS_KEPT
from .events import MOST_EXPORTED as MOST_EXPORTED
from .events import EventFilter as EventFilter
from .integrations import NameTakenError as NameTakenError
from .integrations import link_number as link_number
from .integrations import new_server_url as new_server_url
from .integrations import server_url as server_url
from .integrations import trying as trying
from .models import (
    ApplicationLinkMixin,
    ClientCredentialsMixin,
    EndedSetupLinkMixin,
    EventMixin,
    IntegrationMixin,
    KeyPairMixin,
    OrganizationIdentityMixin,
    SetupLinkMixin,
    WaysMixin,
)
from .people import Person as Person
from .ready_made import OrganizationModels, organization_models
from .rechecks import Found as Found
from .setup_links import condition_of_link as condition_of_link
from .store import Store

__all__ = [
    "ApplicationLinkMixin",
    "ClientCredentialsMixin",
    "EndedSetupLinkMixin",
    "EventMixin",
    "IntegrationMixin",
    "KeyPairMixin",
    "OrganizationIdentityMixin",
    "OrganizationModels",
    "SetupLinkMixin",
    "Store",
    "WaysMixin",
    "organization_models",
]
