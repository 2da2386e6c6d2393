"""HTTP with one Bitbucket Server: the only place that speaks it.

No redirects, no cookies, nothing from the environment, no retries, limits in time and size.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import lru_cache
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Literal

import requests
import urllib3
from requests.adapters import HTTPAdapter

from .problems import BitbucketServerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests.auth import AuthBase

__all__ = ["TOKEN_LIMIT", "Answer", "send"]

DOCUMENT_LIMIT = 64 * 1024
"""Bytes that a JSON document may have."""

TOKEN_LIMIT = 8 * 1024
"""Bytes that the answer of a token endpoint may have."""

_CHUNK = 16 * 1024


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """What the server answered: *status*, *headers* with every line of a repeated one, and the *body*'s bytes."""

    status: int
    headers: urllib3.HTTPHeaderDict
    body: bytes

    def __repr__(self) -> str:
        return f"<Answer {self.status}, {len(self.body)} bytes>"

    @property
    def is_html(self) -> bool:
        """Whether it is a page for people, which no address of this conversation answers with."""
        return "html" in self.headers.get("Content-Type", "").lower()


def send(
    method: Literal["GET", "POST"],
    url: str,
    *,
    auth: AuthBase | None = None,
    accept: str = "*/*",
    verify: bool | str = True,
    proxies: Mapping[str, str] | None = None,
    timeout: float = 10.0,
    limit: int = DOCUMENT_LIMIT,
) -> Answer:
    """Send one request and read its whole answer, of whatever status.

    *verify* is ``True`` or the path of a bundle of CA certificates; *timeout* is in seconds, *limit* in bytes. Raises
    ``connection_failed``, ``tls_error``, ``timeout`` and ``malformed_answer``.
    """
    deadline = time.monotonic() + timeout
    try:
        response = _session(os.getpid()).request(
            method,
            url,
            auth=auth,
            headers={"Accept": accept, "Accept-Encoding": "identity"},
            verify=verify,
            proxies=dict(proxies or {}),
            timeout=timeout,
            allow_redirects=False,
            stream=True,
        )
        with response:
            return Answer(response.status_code, response.raw.headers, _body(response, deadline, limit))
    except (requests.exceptions.SSLError, urllib3.exceptions.SSLError) as error:
        raise BitbucketServerError("tls_error") from error
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise BitbucketServerError("timeout") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, UnicodeError, OSError) as error:
        raise BitbucketServerError("connection_failed") from error


def _body(response: requests.Response, deadline: float, limit: int) -> bytes:
    if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise BitbucketServerError("malformed_answer", "It is compressed, though nobody asked for that.")
    body = bytearray()
    for chunk in response.raw.stream(_CHUNK, decode_content=False):
        body += chunk
        if len(body) > limit:
            raise BitbucketServerError("malformed_answer", f"It is longer than {limit} bytes.")
        if time.monotonic() > deadline:
            raise BitbucketServerError("timeout")
    return bytes(body)


@lru_cache(maxsize=1)
def _session(process: int) -> requests.Session:  # noqa: ARG001  # a forked process must not share its parent's sockets
    session = requests.Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers["User-Agent"] = "social-auth-bitbucket-server"
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_connections=100, pool_maxsize=4, max_retries=0))
    return session
