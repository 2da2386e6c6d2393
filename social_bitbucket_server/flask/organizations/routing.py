"""Converters for the variable parts of an address."""

from __future__ import annotations

from typing import Any

from werkzeug.routing import IntegerConverter, Map

_LARGEST = 2**31 - 1


class RowNumber(IntegerConverter):
    """A number that a row can have. No page is at a larger one: databases refuse to be asked for it."""

    def __init__(self, url_map: Map, **options: Any) -> None:
        super().__init__(url_map, max=_LARGEST, **options)
