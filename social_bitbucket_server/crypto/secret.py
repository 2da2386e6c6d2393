"""Texts that do not show themselves. Tracebacks can print local variables, and logs print whatever they are given."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from traceback import clear_frames
from types import TracebackType
from typing import Any, NoReturn, ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_SUSPENDABLE = CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR


class Secret(str):
    """A token, verifier or signature. It is the text itself, but its ``repr`` is not, nor that of what holds it.

    It is not pickled, so that no queue or cache gets it unawares.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "<secret>"

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _memo: object) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("A secret is not pickled.")


def plain(value: Any) -> Any:
    """Return *value* for a session or a database: every text in it is exactly a ``str``, so that any serializer takes
    it. Lists, tuples, sets and dictionaries are copied, with what is in them."""
    if isinstance(value, str):
        return str.__str__(value)
    if type(value) is dict:
        return {plain(name): plain(contents) for name, contents in value.items()}
    if type(value) in {list, tuple, set, frozenset}:
        return type(value)(map(plain, value))
    return value


def opaque(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Let errors leave *function* :func:`without_variables`: the functions that they come through hold secrets."""

    @wraps(function)
    def guarded(*arguments: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
        try:
            return function(*arguments, **options)
        except Exception as error:
            del arguments, options
            without_variables(error)
            raise

    return guarded


def without_variables(error: BaseException) -> None:
    """Take from *error* the variables of the functions that it came through, and the errors that led to it, whose texts
    may hold a secret. Its line numbers stay, but for those in generators and coroutines."""
    error.__cause__ = error.__context__ = None
    places = []
    way = error.__traceback__
    while way is not None:
        if not way.tb_frame.f_code.co_flags & _SUSPENDABLE:  # to clear one that is suspended would end it
            places.append(way)
        way = way.tb_next
    for place in reversed(places):
        way = TracebackType(way, place.tb_frame, place.tb_lasti, place.tb_lineno)
    error.__traceback__ = way
    clear_frames(way)
