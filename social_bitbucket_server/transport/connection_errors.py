"""The problem behind an error of a connection."""

from __future__ import annotations

import ssl

import urllib3

from ..problems import BitbucketServerError, Code, ServerError
from .exchange import Exchange
from .tls_faults import tls_fault


class ConnectionWentStale(ServerError):
    """A kept connection turned out to be closed by the server; nothing was answered. Sign again, and send again."""


def fault(error: Exception, exchange: Exchange) -> BitbucketServerError:
    """Return the problem that *error* is, which ended *exchange*."""
    facts = {"cause": _cause(error)}
    if exchange.is_over or isinstance(error, (urllib3.exceptions.TimeoutError, TimeoutError)):
        return BitbucketServerError(Code.TIMEOUT, facts=facts)
    if isinstance(error, (urllib3.exceptions.SSLError, ssl.SSLError)):
        bottom = _bottom(error)
        if not isinstance(bottom, ssl.SSLError):
            return BitbucketServerError(Code.TLS_ERROR, facts=facts)
        return tls_fault(bottom, exchange.client_certificate, server_is_known=exchange.server_is_known)
    if isinstance(error, urllib3.exceptions.ProxyError):
        return proxy_unreachable(error)
    if exchange.on_kept_connection and not exchange.answered:
        return ConnectionWentStale(Code.CONNECTION_FAILED)
    return BitbucketServerError(Code.CONNECTION_FAILED, facts=facts)


def proxy_unreachable(error: Exception) -> BitbucketServerError:
    """Return the problem of a proxy to which a connection ended with *error*."""
    return BitbucketServerError(Code.PROXY_UNREACHABLE, parameter="proxies", facts={"cause": _cause(error)})


def _bottom(error: BaseException) -> BaseException:
    for inner in (*reversed(error.args), error.__cause__, error.__context__):
        if isinstance(inner, BaseException):
            return _bottom(inner)
    return error


def _cause(error: BaseException) -> str:
    """Return the error at the bottom of *error*, in words of Python or OpenSSL, never of the server."""
    error = _bottom(error)
    detail = getattr(error, "verify_message", "") or getattr(error, "strerror", "")
    return f"{type(error).__name__}: {detail}" if isinstance(detail, str) and detail else type(error).__name__
