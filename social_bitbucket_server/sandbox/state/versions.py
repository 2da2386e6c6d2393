"""The versions of Bitbucket that the sandbox resembles."""

from __future__ import annotations

import re

KNOWN_VERSIONS = ("7.6", "7.21", "8.19", "9.4", "10.2")
"""Each stands for its fixes, too: 8.19.12 is an 8.19."""

NEWEST_VERSION = KNOWN_VERSIONS[-1]

_NUMBER = re.compile(r"(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?", re.ASCII)


def known_version(text: str) -> str:
    """Return the whole number of a version: ``10.2`` is ``10.2.0``. Raises ``ValueError`` for one that is not known."""
    match = _NUMBER.fullmatch(text)
    if match is None or f"{match[1]}.{match[2]}" not in KNOWN_VERSIONS:
        known = f"{', '.join(KNOWN_VERSIONS[:-1])} and {KNOWN_VERSIONS[-1]}"
        raise ValueError(f"{text or 'An empty text'} is not a version that the sandbox knows. It knows {known}.")
    return ".".join(map(str, version_numbers(text)))


def version_numbers(version: str) -> tuple[int, int, int]:
    """Return the numbers of a version: ``(7, 6, 0)`` for ``7.6``. Raises ``ValueError`` if it is no version number."""
    match = _NUMBER.fullmatch(version)
    if match is None:
        raise ValueError(f"{version or 'An empty text'} is not a version number like 7.6.0.")
    return int(match[1]), int(match[2]), int(match[3] or 0)
