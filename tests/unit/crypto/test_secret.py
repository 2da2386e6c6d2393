"""Tests of texts that do not show themselves, and of functions that leave no variables behind in errors."""

import asyncio
import copy
import json
import pickle
import traceback
from enum import StrEnum

import msgspec
import pytest
from markupsafe import Markup

from social_bitbucket_server.crypto import Secret, opaque, plain


def test_a_secret_is_its_text():
    assert Secret("token") == "token"
    assert f"{Secret('token')}!" == "token!"


def test_a_secret_does_not_show_itself_or_in_what_holds_it():
    assert "token" not in repr([Secret("token"), {"key": Secret("token")}])


def test_a_secret_is_not_pickled():
    with pytest.raises(TypeError):
        pickle.dumps(Secret("token"))


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy])
def test_a_copied_secret_is_still_one(way):
    assert repr(way(Secret("token"))) == "<secret>"


class Name(StrEnum):
    JANE = "jane"


def types_in(value):
    """Return the type of *value*, and of all that is in it."""
    inside = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return {type(value)}.union(*map(types_in, inside))


@pytest.mark.parametrize(
    "value",
    [
        Secret("a"),
        Markup("a"),
        Name.JANE,
        [Secret("a"), 1, True, None, 1.5],
        {"next": Secret("a"), Secret("b"): [{"c": (Secret("d"),)}]},
    ],
)
def test_what_is_plain_is_equal_and_taken_by_every_serializer(value):
    made = plain(value)
    assert made == value
    assert types_in(made) <= {str, int, bool, float, type(None), list, tuple, dict}
    assert pickle.loads(pickle.dumps(made)) == value
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(made)) == json.loads(json.dumps(made))


def test_sets_are_plain_as_well():
    assert [type(text) for text in plain({Secret("a")})] == [str]
    assert [type(text) for text in plain(frozenset({Secret("a")}))] == [str]


def test_what_was_made_plain_stays_secret_where_it_is_kept():
    kept = [Secret("token")]
    plain(kept)
    assert "token" not in repr(kept)


def test_what_is_no_text_stays_what_it_is():
    value = object()
    assert plain(value) is value


@opaque
def fails(given):
    copied = given + "!"
    try:
        raise KeyError(len(copied))
    except KeyError as error:
        raise ValueError("It failed.") from error


def test_an_error_leaves_an_opaque_function_without_its_variables():
    with pytest.raises(ValueError, match=r"It failed\.") as caught:
        fails("to" + "ken")
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "token" not in shown
    assert "KeyError" not in shown


def test_an_error_of_an_opaque_function_says_in_which_line_it_happened():
    with pytest.raises(ValueError, match=r"It failed\.") as caught:
        fails("token")
    assert [(place.name, place.line) for place in traceback.extract_tb(caught.tb)][-1] == (
        "fails",
        'raise ValueError("It failed.") from error',
    )


def test_a_generator_that_kept_the_error_goes_on():
    kept = []

    def reading():
        try:
            raise OSError
        except OSError as error:
            kept.append(error)
        yield "first"
        yield "second"

    @opaque
    def fail():
        raise kept[0]

    reader = reading()
    assert next(reader) == "first"
    with pytest.raises(OSError):  # noqa: PT011  # this very one
        fail()
    assert next(reader) == "second"


def test_a_coroutine_that_kept_the_error_goes_on():
    kept = []

    async def reading():
        try:
            raise OSError
        except OSError as error:
            kept.append(error)
        await asyncio.sleep(0)
        return "done"

    @opaque
    def fail():
        raise kept[0]

    async def both():
        task = asyncio.create_task(reading())
        await asyncio.sleep(0)
        with pytest.raises(OSError):  # noqa: PT011  # this very one
            fail()
        return await asyncio.wait_for(task, 30)

    assert asyncio.run(both()) == "done"


def test_an_opaque_function_returns_what_it_returns():
    assert opaque(len)("token") == 5
