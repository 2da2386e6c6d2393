"""Reads TOML that organizations enter. What would take long to parse is refused before."""

from __future__ import annotations

import re
import tomllib
from typing import Any

MOST_PARTS = 8
"""Parts of a dotted key. The parser's work grows with the square of their number."""
MOST_LEVELS = 8
MOST_DIGITS = 100

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_LONG_KEY = re.compile(rf"(?:^|[\[{{,])[ \t]*(?:{_PART}[ \t]*\.[ \t]*){{{MOST_PARTS}}}", re.MULTILINE)
_LONG_NUMBER = re.compile(rf"[0-9A-Fa-f_]{{{MOST_DIGITS + 1}}}")


class UnreadableError(ValueError):
    """The text cannot be read. The message is one sentence that says why."""


def read(text: str, *, most_bytes: int) -> dict[str, Any]:
    """Return the document, which may have *most_bytes* in UTF-8. Raises UnreadableError."""
    if len(text.encode(errors="replace")) > most_bytes:
        raise UnreadableError(f"It is longer than {most_bytes // 1024} KB. Take it over in several parts.")
    if _LONG_KEY.search(text):
        raise UnreadableError(f"It has a key of more than {MOST_PARTS} parts.")
    if _LONG_NUMBER.search(text):
        raise UnreadableError(f"It has a number of more than {MOST_DIGITS} digits.")
    level = 0
    for bracket in re.findall(r"[\[\]{}]", text):  # those inside strings count, too
        level = level + 1 if bracket in "[{" else max(level - 1, 0)
        if level > MOST_LEVELS:
            raise UnreadableError(f"It has more than {MOST_LEVELS} brackets inside each other.")
    try:
        return tomllib.loads(text)
    except ValueError as error:  # also what is no date
        raise UnreadableError(f"This is not TOML: {error}.") from error
