"""Lists by pages, as Bitbucket's REST has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from flask import Response, jsonify, request

from ..program_calls import json_error

MOST_VALUES = 1000
"""The largest *limit*. Bitbucket cuts a larger one to it."""

Value = TypeVar("Value")


def page_of(values: Sequence[Value], as_json: Callable[[Value], object]) -> Response:
    """Return the page of *values* that the request's ``start`` and ``limit`` ask for, or 400."""
    try:
        start, limit = int(request.args.get("start", 0)), int(request.args.get("limit", 25))
    except ValueError:
        start, limit = -1, 0
    if start < 0 or limit < 1:
        return json_error(400, "start and limit must be whole numbers, from 0 and from 1.", "BadRequestException")
    limit = min(limit, MOST_VALUES)
    shown, is_last = values[start : start + limit], start + limit >= len(values)
    return jsonify(
        size=len(shown),
        limit=limit,
        isLastPage=is_last,
        values=[as_json(value) for value in shown],
        start=start,
        nextPageStart=None if is_last else start + limit,
    )
