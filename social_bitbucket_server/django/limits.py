"""Rate limits are the project's own: the function that ``…_LIMIT`` names is told what a visitor is about to do."""

from __future__ import annotations

import math

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from ..organizations import Limited, counted_address
from ..problems import BitbucketServerError, Code
from . import configuration


class TooManyRequests(PermissionDenied):
    """Raised by the project's function to refuse a request. *retry_after*: seconds until it may be tried again, or
    ``None`` if that is unknown."""

    def __init__(self, retry_after: float | None = None) -> None:
        super().__init__()
        self.retry_after = retry_after


def visitor(request: HttpRequest) -> str:
    """Return what requests are counted by: the browser's IPv4 address, or the network of its IPv6 address."""
    return counted_address(request.META.get("REMOTE_ADDR", ""))


def count(request: HttpRequest, what: Limited, key: str = "") -> None:
    """Tell the project's function, before *what* is done for *key*. Raises ``too_often`` as core's error if it
    refuses."""
    limit = configuration.limit()
    if limit is None:
        return
    try:
        limit(request, what, key)
    except PermissionDenied as refusal:
        facts = {"limit": what.value}
        seconds = getattr(refusal, "retry_after", None)
        if isinstance(seconds, (int, float)) and 0 <= seconds < math.inf:  # the function may raise any error
            facts["retry_after"] = str(math.ceil(seconds))
        problem = BitbucketServerError(Code.TOO_OFTEN, facts=facts)
        raise problem.as_social_error(None, "callback" if what is Limited.CALLBACKS else "begin") from refusal
