"""Logins in Flask."""

from ..login import reference
from .extension import BitbucketServer, button, configure, show_error
from .logins import (
    begin,
    check_csrf,
    complete,
    complete_trial,
    connect,
    is_trial,
    log_in,
    recheck,
    reseal_access_token,
    rest_client,
    revoke_access_token,
    try_login,
)
from .strategy import FlaskStrategy

__all__ = [
    "BitbucketServer",
    "FlaskStrategy",
    "begin",
    "button",
    "check_csrf",
    "complete",
    "complete_trial",
    "configure",
    "connect",
    "is_trial",
    "log_in",
    "recheck",
    "reference",
    "reseal_access_token",
    "rest_client",
    "revoke_access_token",
    "show_error",
    "try_login",
]
