"""Rules of applications with many organizations, each with integrations of its own.

They are functions over values, and serve every framework and every storage. The room reads no row, takes no lock, makes
no page and sends nothing: that is left to the storage, the pages and the library's other rooms.
"""

# What is imported under its own name is for the other rooms; ``__all__`` is for applications.
from .application_links import link_name, link_path
from .assembling import Assembler, Unopened
from .conditions import TO_BE_MENDED, Condition, FailureEvent, SetupStep, State, condition, next_step
from .conditions import sign_of as sign_of
from .conditions import turn as turn
from .configuration import ConfiguredIntegration as ConfiguredIntegration
from .configuration import UnusableConfigurationError as UnusableConfigurationError
from .configuration import is_one_line as is_one_line
from .configuration import read_configuration as read_configuration
from .configuration import write_configuration as write_configuration
from .events import EventCode, EventKind
from .key_pairs import KeyPairs, KeyState, may_be_about_the_key, oldest_login_began
from .limits import Limited
from .limits import News as News
from .limits import counted_address as counted_address
from .login_attempts import ENDED_ATTEMPTS, FAILED_ATTEMPTS, LoginOutcome, login_outcome
from .login_attempts import event_of_failed_login as event_of_failed_login
from .login_ways import ClosedBy, LoginWays
from .notices import NOTICES as NOTICES
from .notices import Notice as Notice
from .notices import ending_certificates as ending_certificates
from .notices import notices as notices
from .oauth_versions import OAuth, OAuthVersions
from .outbound import EVERYBODY as EVERYBODY
from .outbound import Outbound, WayOut
from .outbound_settings import Ids, read_hosts, read_private_networks, read_proxies
from .outbound_settings import read_outbound as read_outbound
from .role_lines import UnusableRolesError as UnusableRolesError
from .role_lines import read_role_lines as read_role_lines
from .role_lines import role_lines as role_lines
from .sealing import SealedKeys
from .server_changes import ServerChange, server_change, shows_same_server
from .setup_links import SETUP_LINK_KEPT as SETUP_LINK_KEPT
from .setup_links import SetupLinkCondition as SetupLinkCondition
from .setup_links import SetupLinkLife
from .setup_links import new_setup_token as new_setup_token
from .setup_links import setup_link_condition as setup_link_condition
from .setup_links import setup_token_digest as setup_token_digest
from .telling import tell as tell

__all__ = [
    "ENDED_ATTEMPTS",
    "FAILED_ATTEMPTS",
    "TO_BE_MENDED",
    "Assembler",
    "ClosedBy",
    "Condition",
    "EventCode",
    "EventKind",
    "FailureEvent",
    "Ids",
    "KeyPairs",
    "KeyState",
    "Limited",
    "LoginOutcome",
    "LoginWays",
    "OAuth",
    "OAuthVersions",
    "Outbound",
    "SealedKeys",
    "ServerChange",
    "SetupLinkLife",
    "SetupStep",
    "State",
    "Unopened",
    "WayOut",
    "condition",
    "link_name",
    "link_path",
    "login_outcome",
    "may_be_about_the_key",
    "next_step",
    "oldest_login_began",
    "read_hosts",
    "read_private_networks",
    "read_proxies",
    "server_change",
    "shows_same_server",
]
