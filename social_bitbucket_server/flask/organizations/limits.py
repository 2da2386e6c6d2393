"""Rate limits are the application's own. It is told what somebody is about to do, and raises what refuses it."""

from __future__ import annotations

from flask import g, request

from ...organizations import Limited, counted_address
from .current import extension


def count(what: Limited, key: object = "") -> None:
    """Tell the application, before *what* is done for *key*. Raises what the application raises to refuse it.

    ``g.bitbucket_limited`` says, for the event of a refusal, which limit it was.
    """
    g.bitbucket_limited = what.value
    extension().limit(what, str(key))
    del g.bitbucket_limited


def visitor() -> str:
    """Return what requests are counted by: the browser's IPv4 address, or the network of its IPv6 address. An IPv4
    address that the server's socket shows as an IPv6 address counts as IPv4."""
    return counted_address(request.remote_addr or "")
