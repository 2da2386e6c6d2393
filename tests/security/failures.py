"""Failed logins in the words of Flask's events, for applications without an audit log of such detail."""

from __future__ import annotations

from typing import Any

from social_core.exceptions import SocialAuthBaseException

_MIXED_UP = frozenset({"login_mixed_up", "token_of_another_login"})


def failure(error: SocialAuthBaseException) -> dict[str, Any]:
    """A line as the log of Flask's events has it."""
    problem = error.context.get("problem", "")
    return {
        "event": "login.mixup" if problem in _MIXED_UP else "login.failure",
        "problem": problem,
        "code": error.code,
        "stage": error.stage,
        "parameter": getattr(error, "parameter", None),
        "claim": getattr(error, "claim", None),
        "provider_code": getattr(error, "provider_code", None),
    }
