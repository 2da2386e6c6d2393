"""Many organizations in a Flask application: installable pages on which each sets up its own Bitbucket Server.

:class:`Organizations` adds them. The rules are those of :mod:`social_bitbucket_server.organizations`, the rows those of
:mod:`social_bitbucket_server.sqlalchemy.organizations`. How organizations and their admins come to be, passwords, rate
limits, and headers for the whole application are left to the application.
"""

from ...organizations import Limited
from .browser_session import current_roles, log_in, log_out
from .connection import test_connection
from .errors import handle_errors
from .extension import Organizations
from .limits import visitor
from .navigation import local_page
from .recording import event_recorded, record
from .requests import form_targets
from .ways_in import end_logins, login_link
from .worksheets import link_values, redirect_url

__all__ = [
    "Limited",
    "Organizations",
    "current_roles",
    "end_logins",
    "event_recorded",
    "form_targets",
    "handle_errors",
    "link_values",
    "local_page",
    "log_in",
    "log_out",
    "login_link",
    "record",
    "redirect_url",
    "test_connection",
    "visitor",
]
