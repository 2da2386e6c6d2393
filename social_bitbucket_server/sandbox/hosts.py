"""The hosts that the sandbox answers for.

Any website can let a name of its own lead to this machine (DNS rebinding). Its pages could then read and change what
the sandbox holds, but the browser still sends that name as ``Host``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_HOST = re.compile(r"(?P<name>[^\[\]:]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_LONGEST_NAME = 253
_HIGHEST_PORT = 65535


def named_host(header: str) -> str | None:
    """Return the name or address in a ``Host`` header, in lower case and without port; ``None`` if it is malformed."""
    match = _HOST.fullmatch(header.lower())
    if match is None or int(match["port"] or 0) > _HIGHEST_PORT:
        return None
    name = match["name"]
    if name.startswith("["):
        return name if ":" in name and _is_address(name[1:-1]) else None
    name = name.removesuffix(".")
    return name if is_name(name) else None


def is_name(name: str) -> bool:
    """Return whether *name*, in lower case, is a host's name that Flask can route."""
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
        return False
    try:
        name.encode("ascii").decode("idna")
    except UnicodeError:  # a label that begins with xn-- and is not Punycode
        return False
    return True


def is_own(host: str, names: Iterable[str]) -> bool:
    """Return whether *host* can be the sandbox's own: one of *names*, this machine's, or an address, which no website
    can give to another machine."""
    is_this_machine = host == "localhost" or host.endswith(".localhost")
    return is_this_machine or host in names or _is_address(host.strip("[]"))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
