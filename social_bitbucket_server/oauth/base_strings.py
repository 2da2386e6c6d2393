"""The cause of an invalid signature: our base string and the server's, part by part, and what the difference means.

Bitbucket answers a failed signature with the base string that it made of the request (RFC 5849, section 3.4.1), over
the address that its container saw. Where both agree, the key is another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from urllib.parse import parse_qsl, unquote, urlsplit

_LONGEST = 64 * 1024
_SHOWN = frozenset({"oauth_consumer_key", "oauth_signature_method", "oauth_timestamp", "oauth_version"})
_DEFAULT_PORTS = {"https": 443, "http": 80}
_ADDRESS = ("scheme", "host", "port", "path")


class Cause(StrEnum):
    """The cause of an invalid signature."""

    SCHEME = "scheme"
    HOST = "host"
    PORT = "port"
    CONTEXT_PATH_TWICE = "context path twice"
    PATH = "path"
    METHOD = "method"
    PARAMETERS = "parameters"
    KEY = "key"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the two base strings: its *name*, and what each side made of it, secrets masked."""

    name: str
    ours: str
    theirs: str

    @property
    def agrees(self) -> bool:
        """Whether both sides see the same."""
        return self.ours == self.theirs


@dataclass(frozen=True, slots=True)
class Explanation:
    """The *cause*, the *conclusion* in one or two sentences, and all *parts* side by side."""

    cause: Cause
    conclusion: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, repr=False)
class BaseString:
    """A signature base string, taken apart."""

    method: str
    scheme: str
    host: str
    port: int
    path: str
    parameters: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, text: str) -> BaseString | None:
        """Take *text* apart; ``None`` if it is not a base string."""
        pieces = text.split("&") if len(text) <= _LONGEST else []
        if len(pieces) != 3:
            return None
        method, address, parameters = (unquote(piece) for piece in pieces)
        try:
            parts = urlsplit(address)
            port = parts.port
        except ValueError:
            return None
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            return None
        pairs = parse_qsl(parameters.replace("+", "%2B"), keep_blank_values=True)
        if not all(text.isprintable() for text in (method, address, *chain.from_iterable(pairs))):
            return None
        return cls(
            method.upper(),
            parts.scheme,
            parts.hostname,
            port or _DEFAULT_PORTS[parts.scheme],
            parts.path or "/",
            tuple(sorted(pairs)),
        )

    def _values(self) -> dict[str, str]:
        """Return the parameters by name, the values of repeated ones side by side."""
        values: dict[str, list[str]] = {}
        for name, value in self.parameters:
            values.setdefault(name, []).append(value)
        return {name: ", ".join(found) for name, found in values.items()}


def explain(ours: str, theirs: str, *, key_fingerprint: str) -> Explanation:
    """Compare the base string that we signed with the one that the server answered with.

    *key_fingerprint*: of our public key, for the case that both agree.
    """
    mine, other = BaseString.parse(ours), BaseString.parse(theirs)
    if mine is None or other is None:
        return Explanation(
            Cause.UNKNOWN, "The server did not say what it made of the request, so only guesses are possible.", ()
        )
    values, other_values = mine._values(), other._values()
    parts = (
        Part("method", mine.method, other.method),
        Part("scheme", mine.scheme, other.scheme),
        Part("host", mine.host, other.host),
        Part("port", str(mine.port), str(other.port)),
        Part("path", mine.path, other.path),
        *(_masked(name, values.get(name), other_values.get(name)) for name in sorted(values.keys() | other_values)),
    )
    cause, conclusion = _conclude(mine, other, [part for part in parts if not part.agrees], key_fingerprint)
    return Explanation(cause, conclusion, parts)


def _masked(name: str, mine: str | None, other: str | None) -> Part:
    if name in _SHOWN or not name.startswith("oauth_"):
        return Part(name, "(missing)" if mine is None else mine, "(missing)" if other is None else other)
    if mine == other:
        return Part(name, "(the same)", "(the same)")
    return Part(
        name,
        "(missing)" if mine is None else f"({len(mine)} characters)",
        "(missing)" if other is None else f"({len(other)} other characters)",
    )


def _conclude(ours: BaseString, theirs: BaseString, differing: list[Part], key_fingerprint: str) -> tuple[Cause, str]:
    names = {part.name for part in differing}
    if not differing:
        return Cause.KEY, (
            "Both sides agree on what was signed; the public key in the application link is not this one, whose "
            f"fingerprint is {key_fingerprint}."
        )
    hidden = [_about_address(name, ours, theirs) for name in _ADDRESS if name in names]
    # If both ports are the defaults of their schemes, they are no difference of their own.
    ports_follow = all(side.port == _DEFAULT_PORTS[side.scheme] for side in (ours, theirs))
    if "scheme" in names and ports_follow:
        hidden = [about for about in hidden if about[0] is not Cause.PORT]
    if hidden:
        return hidden[0][0], " ".join(sentence for _, sentence in hidden)
    if "method" in names:
        return Cause.METHOD, f"The server sees the method {theirs.method} instead of {ours.method}."
    return Cause.PARAMETERS, _about_parameters(ours, theirs)


def _about_address(part: str, ours: BaseString, theirs: BaseString) -> tuple[Cause, str]:
    """Return the cause of the difference in one *part* of the address, and a sentence that says how to correct it."""
    match part:
        case "scheme":
            mended = (
                "begin the base URL with https://, or correct server.scheme and server.secure"
                if theirs.scheme == "https"
                else "its proxy settings lack server.scheme and server.secure (in older versions scheme and secure of "
                "the connector)"
            )
            return Cause.SCHEME, f"The server sees {theirs.scheme}:// instead of {ours.scheme}://: {mended}."
        case "host":
            return Cause.HOST, (
                f"The server sees the host {theirs.host} instead of {ours.host}: use that one in the base URL, or set "
                "server.proxy-name (proxyName) to the right one."
            )
        case "port":
            return Cause.PORT, (
                f"The server sees port {theirs.port} instead of {ours.port}: set server.proxy-port (proxyPort) to "
                f"{ours.port}."
            )
    extra = theirs.path.removesuffix(ours.path) if theirs.path.endswith(ours.path) else ""
    if extra and ours.path.startswith(f"{extra}/"):  # the first segments are repeated in front
        return Cause.CONTEXT_PATH_TWICE, (
            "The server sees the context path twice: the proxy in front of it adds it although the server has it in "
            "its own settings (server.context-path) too."
        )
    return Cause.PATH, f"The server sees the path {theirs.path} instead of {ours.path}: a proxy rewrites it."


def _about_parameters(ours: BaseString, theirs: BaseString) -> str:
    mine, other = ours._values(), theirs._values()
    changes = {
        "lost": mine.keys() - other.keys(),
        "added": other.keys() - mine.keys(),
        "changed": {name for name in mine.keys() & other.keys() if mine[name] != other[name]},
    }
    listed = "; ".join(f"{what}: {', '.join(sorted(names))}" for what, names in changes.items() if names)
    return f"Parameters of the request did not arrive as they were sent ({listed}): something on the way changes them."
