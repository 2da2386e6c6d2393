"""Text that does not show itself: tracebacks can print local variables, and logs whatever they are given."""

from __future__ import annotations


class Secret(str):
    """A token, verifier or signature. It is the text itself, but its ``repr`` is not, nor that of what holds it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<secret>"
