"""Switches for what goes wrong between people, proxies and servers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

INTERCEPTIONS = ("", "redirect", "page")


@dataclass(slots=True)
class Faults:
    """The faults of the server. All of them are off at first, and after :meth:`reset`.

    Faults concern the calls that programs make: the token calls, ``whoami`` and everything below ``/rest``. The pages
    that people use stay in order.

    *clock_skew*: seconds by which the server's wall clock is ahead (negative: behind), also in the ``Date`` header.
    *seen_scheme*, *seen_host*, *seen_port*, *seen_context_twice*: what the server takes for its own address behind a
    proxy that hides the real one. Signatures are checked over that. Empty and 0 leave it right.
    *interception*: ``redirect`` answers with a 302 to a log-in page, ``page`` with a log-in page and 200.
    *rate_limited*: 429, to be tried again after *retry_after* seconds. *server_error*: 500.
    *delay*: seconds that an answer takes. *whoami_closed*: ``whoami`` answers 401 without a body.
    *user_headers_removed*: ``X-AUSERNAME`` and ``X-AUSERID`` are missing. *groups_closed*: nobody is told who is in a
    group. *version*: the version number that the server gives, instead of its own.
    *client_secret_refused*: the token address of OAuth 2 takes no client secret, *codes_expired*: no code.
    *only_path*: only calls whose path contains this text are intercepted, limited, failed or delayed.
    """

    clock_skew: int = 0
    seen_scheme: str = ""
    seen_host: str = ""
    seen_port: int = 0
    seen_context_twice: bool = False
    interception: str = ""
    rate_limited: bool = False
    retry_after: int = 60
    server_error: bool = False
    delay: float = 0.0
    whoami_closed: bool = False
    user_headers_removed: bool = False
    groups_closed: bool = False
    version: str = ""
    client_secret_refused: bool = False
    codes_expired: bool = False
    only_path: str = ""

    def reset(self) -> None:
        """Switch everything off."""
        for name, value in asdict(Faults()).items():
            setattr(self, name, value)

    def update(self, values: Mapping[str, object]) -> None:
        """Set several at once, or none: raises ``ValueError`` naming the first field that is unknown or unusable."""
        kinds = {field.name: type(field.default) for field in fields(self)}
        checked = {name: _checked(name, value, kinds.get(name)) for name, value in values.items()}
        for name, value in checked.items():
            setattr(self, name, value)

    def as_dict(self) -> dict[str, int | float | bool | str]:
        """Return every switch by its name."""
        return asdict(self)

    @property
    def are_on(self) -> bool:
        """Return whether any switch is on."""
        return self != Faults()


def _checked(name: str, value: object, kind: type | None) -> object:
    if kind is None:
        raise ValueError(f"There is no fault called {name}.")
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise ValueError(f"{name} must be {_KINDS[kind]}.")
    if name == "interception" and value not in INTERCEPTIONS:
        raise ValueError("interception must be empty, redirect or page.")
    if name == "seen_scheme" and value not in {"", "http", "https"}:
        raise ValueError("seen_scheme must be empty, http or https.")
    if name == "version" and value and not re.fullmatch(r"\d{1,3}(\.\d{1,3}){1,2}", str(value), re.ASCII):
        raise ValueError("version must be like 7.6.0.")
    limits = _LIMITS.get(name)
    if limits and not limits[0] <= float(str(value)) <= limits[1]:
        raise ValueError(f"{name} must be from {limits[0]} to {limits[1]}.")
    return value


_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
_LIMITS = {
    "clock_skew": (-315_360_000, 315_360_000),
    "seen_port": (0, 65_535),
    "retry_after": (0, 86_400),
    "delay": (0, 3_600),
}
