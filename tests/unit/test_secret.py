"""What does not show itself, and what leaves no way behind it."""

import copy
import pickle
import traceback

import pytest

from social_bitbucket_server.secret import Secret, opaque


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


def test_an_opaque_function_returns_what_it_returns():
    assert opaque(len)("token") == 5
