"""The configuration of an organization or an application: values that check themselves, made from settings.

Nothing here asks a server. Storing integrations is left to the application, ``sqlalchemy`` and ``django``.
"""

# What is imported under its own name is for the other rooms; ``__all__`` is for applications.
from .admission import Admission
from .admission import Kind as Kind
from .carry_over import CarryOver as CarryOver
from .carry_over import Key as Key
from .carry_over import read_carry_over as read_carry_over
from .from_settings import SINGLE_INTEGRATION_ID as SINGLE_INTEGRATION_ID
from .from_settings import TRUTHS as TRUTHS
from .from_settings import base_url as base_url
from .from_settings import callback_origin as callback_origin
from .from_settings import configured_backend as configured_backend
from .from_settings import find_integration as find_integration
from .from_settings import find_oauth2_integration as find_oauth2_integration
from .from_settings import integration_from_fields as integration_from_fields
from .from_settings import listener_of as listener_of
from .from_settings import naming as naming
from .from_settings import oauth2_integration_from_fields as oauth2_integration_from_fields
from .from_settings import setting_of_field as setting_of_field
from .from_settings import single_integration as single_integration
from .from_settings import single_oauth2_integration as single_oauth2_integration
from .integration import AnyIntegration as AnyIntegration
from .integration import Credentials, Integration, OAuth2Integration
from .integration import tenant_of as tenant_of
from .roles import NO_ROLES as NO_ROLES
from .roles import Roles
from .roles import read_role_names as read_role_names
from .roles import refuse_other_roles as refuse_other_roles
from .roles import refuse_too_many as refuse_too_many
from .roles import roles_for_several_servers as roles_for_several_servers
from .server import Server
from .server_url import OPERATOR_RULES, ORGANIZATION_RULES, BaseURLRules, ConnectTo, ServerURL, is_loopback
from .setting_names import BACKENDS as BACKENDS
from .setting_names import OAUTH1 as OAUTH1
from .setting_names import OAUTH2 as OAUTH2
from .setting_names import SettingsOf as SettingsOf
from .setting_names import names_of as names_of
from .unsafe import UnsafeConfigurationError, refuse_unsafe_settings, unsafe_settings
from .unsafe import pipelines_without_names as pipelines_without_names
from .unsafe import refuse_unsafe_login as refuse_unsafe_login
from .unsafe import warn_of_missing_names as warn_of_missing_names
from .usable_settings import Depth, refuse_unusable_settings
from .usable_settings import refuse_missing_settings as refuse_missing_settings
from .usable_settings import refuse_unusable_way_to as refuse_unusable_way_to
from .usable_settings import unread_settings as unread_settings
from .usable_settings import unusable_settings as unusable_settings

__all__ = [
    "OPERATOR_RULES",
    "ORGANIZATION_RULES",
    "Admission",
    "BaseURLRules",
    "ConnectTo",
    "Credentials",
    "Depth",
    "Integration",
    "OAuth2Integration",
    "Roles",
    "Server",
    "ServerURL",
    "UnsafeConfigurationError",
    "is_loopback",
    "refuse_unsafe_settings",
    "refuse_unusable_settings",
    "unsafe_settings",
]
