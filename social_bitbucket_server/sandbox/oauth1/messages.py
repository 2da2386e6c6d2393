"""OAuth parameters out of a request, and the base string that its signature was made over (RFC 5849, section 3.4.1)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote_plus, urlsplit

_OAUTH_SCHEME = re.compile(r"\s*OAuth\s+(.*)", re.IGNORECASE | re.DOTALL)
# Values without quotes are passed over, as the server's library does.
_HEADER_PARAMETER = re.compile(r'(\S*)\s*=\s*"([^"]*)"')
_DEFAULT_PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True, slots=True)
class Message:
    """One request as OAuth sees it.

    *url* is the address without query as the server saw it. *parameters* come from the ``Authorization`` header, the
    query and the form body, in this order.
    """

    method: str
    url: str
    parameters: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, method: str, url: str, *, authorization: str, query: str, body: str) -> Message:
        """Read a request. *query* and *body* are form-encoded, *authorization* is a header. Each may be empty."""
        parameters = _of_header(authorization)
        for text in (query, body):
            parameters += parse_qsl(text, keep_blank_values=True)
        return cls(method, url, tuple(parameters))

    def get(self, name: str) -> str | None:
        """Return the value of a parameter. If it came in several places, the header's value counts."""
        return next((value for key, value in self.parameters if key == name), None)

    def missing(self, *names: str) -> list[str]:
        """Return those of *names* that did not come, or came empty."""
        return [name for name in names if not self.get(name)]

    def repeated(self, names: Collection[str]) -> list[str]:
        """Return those of *names* that came more than once, in one place or in several."""
        counts = Counter(name for name, _ in self.parameters)
        return sorted(name for name in names if counts[name] > 1)

    @property
    def oauth_parameters(self) -> dict[str, str]:
        """The parameters that begin with ``oauth_``, each with the value that counts."""
        return {name: value for name, value in reversed(self.parameters) if name.startswith("oauth_")}

    @property
    def base_string(self) -> str:
        """The base string that the signature must have been made over."""
        signed = sorted(
            (percent_encode(name), percent_encode(value))
            for name, value in self.parameters
            if name != "oauth_signature"
        )
        parameters = "&".join(f"{name}={value}" for name, value in signed)
        return "&".join(percent_encode(part) for part in (self.method.upper(), base_string_url(self.url), parameters))


def base_string_url(url: str) -> str:
    """Return *url* for the base string: scheme and host in lower case, no default port, the path as it was sent."""
    parts = urlsplit(url)
    scheme, authority = parts.scheme.lower(), parts.netloc.lower()
    return f"{scheme}://{authority.removesuffix(':' + _DEFAULT_PORTS[scheme])}{parts.path or '/'}"


def percent_encode(text: str) -> str:
    """Encode *text* (RFC 5849, section 3.6)."""
    return quote(text, safe="-._~")


def _of_header(authorization: str) -> list[tuple[str, str]]:
    scheme = _OAUTH_SCHEME.fullmatch(authorization)
    if scheme is None:
        return []
    found = (_HEADER_PARAMETER.fullmatch(part.strip()) for part in scheme[1].split(","))
    parameters = [(unquote_plus(match[1]), unquote_plus(match[2])) for match in found if match]
    return [(name, value) for name, value in parameters if name.lower() != "realm"]
