"""Answers of a proxy on the way to Bitbucket in place of a connection."""

from __future__ import annotations

import re
from email.message import Message

import urllib3

from ..problems import BitbucketServerError, Code

_SCHEMES = {"basic": "Basic", "digest": "Digest", "negotiate": "Negotiate", "ntlm": "NTLM"}
_REFUSED = frozenset({403, 502, 503, 504})


def is_by_proxy(status: int, headers: urllib3.HTTPHeaderDict) -> bool:
    """Return whether a proxy gave an answer to a request for an ``http://`` address, and not Bitbucket behind it:
    Bitbucket marks its answers, and refuses in JSON."""
    is_bitbuckets = "X-AREQUESTID" in headers or "json" in headers.get("Content-Type", "").lower()
    return status == 407 or (status in _REFUSED and not is_bitbuckets)


def proxy_refusal(status: int, headers: Message | urllib3.HTTPHeaderDict) -> BitbucketServerError:
    """Return the problem of a proxy that answers with *status*, which is no success."""
    if status != 407:
        return BitbucketServerError(
            Code.PROXY_DESTINATION_REFUSED,
            f"It answered with status {status}.",
            parameter="proxies",
            status_code=status,
        )
    offered = _offered(headers)
    reason = f"It offers {', '.join(offered)}." if offered else ""
    if offered and "Basic" not in offered:
        reason += " This application logs in to proxies with Basic alone."
    return BitbucketServerError(Code.PROXY_CREDENTIALS_REFUSED, reason, parameter="proxies", status_code=status)


def _offered(headers: Message | urllib3.HTTPHeaderDict) -> list[str]:
    """Return the known schemes that the proxy offers, without what stands in quotes."""
    challenges = ", ".join(value for name, value in headers.items() if name.lower() == "proxy-authenticate")
    words = re.findall(r"[a-z]+", re.sub(r'"[^"]*"', "", challenges.lower()))
    return [_SCHEMES[word] for word in dict.fromkeys(words) if word in _SCHEMES]
