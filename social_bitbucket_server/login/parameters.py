"""Parameters of a request: each is read once, checked, and hidden from tracebacks."""

from __future__ import annotations

import re
from typing import Any

from social_core.strategy import BaseStrategy

from ..crypto import Secret, opaque
from ..problems import BitbucketServerError, Code

_TOKEN = re.compile(r"[!-~]{1,255}")


@opaque
def read_parameter(
    data: Any, name: str, *, absent: Code = Code.CALLBACK_PARAMETER_MISSING, shape: re.Pattern[str] = _TOKEN
) -> Secret:
    """Return the value of *name* in *data*, the request's parameters, if it is there once and matches *shape*: by
    default up to 255 characters that tokens are made of.

    Raises the problem *absent* without a value, and ``callback_parameter_invalid``.
    """
    values = data.getlist(name) if hasattr(data, "getlist") else [data.get(name)]
    if len(values) > 1:
        raise BitbucketServerError(Code.CALLBACK_PARAMETER_INVALID, f"{name} is there twice.", parameter=name)
    value = values[0] if values else None
    if not value:
        raise BitbucketServerError(absent, parameter=name)
    if not isinstance(value, str) or not shape.fullmatch(value):
        raise BitbucketServerError(Code.CALLBACK_PARAMETER_INVALID, parameter=name)
    return Secret(value)


def find_token(data: Any, name: str) -> str | None:
    """Return the token called *name* in *data*, or ``None`` if what is there is no token."""
    token = data.get(name)
    return token if isinstance(token, str) and _TOKEN.fullmatch(token) else None


def may_name_halted_login(strategy: BaseStrategy[Any]) -> bool:
    """Return whether the parameter ``partial_token`` counts. If it names a halted login that is gone, social-core
    redirects to one of two settings, and fails without both."""
    return bool(strategy.setting("LOGIN_ERROR_URL") or strategy.setting("LOGIN_URL"))
