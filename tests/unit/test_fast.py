"""Tests of the tests that count as fast, and of those that leave their process all the same."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests import fast

pytest_plugins = ["pytester"]


def connect() -> None:
    with socket.socket() as connection:
        connection.connect(("127.0.0.1", 9))


def listen() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))


def look_up() -> None:
    socket.getaddrinfo("127.0.0.1", 9)


def look_up_as_in_old_programs() -> None:
    socket.gethostbyname_ex("127.0.0.1")


def send() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"", ("127.0.0.1", 9))


def start_a_program() -> None:
    subprocess.run([sys.executable, "-V"], check=True)


def test_a_test_of_values_is_fast() -> None:
    assert fast.is_fast(["tmp_path", "private_key"], ["parametrize", "as_shipped"])


@pytest.mark.parametrize("fixture", sorted(fast.FIXTURES))
def test_a_test_with_a_fixture_that_serves_is_not_fast(fixture: str) -> None:
    assert not fast.is_fast(["tmp_path", fixture], [])


@pytest.mark.parametrize("marker", sorted(fast.MARKERS))
def test_a_marker_says_that_a_test_is_not_fast(marker: str) -> None:
    assert not fast.is_fast([], [marker])


@pytest.mark.parametrize("leave", [connect, listen, look_up, look_up_as_in_old_programs, send, start_a_program])
def test_sockets_and_programs_are_refused(leave: Callable[[], None]) -> None:
    with pytest.raises(fast.LeftTheProcessError, match=r"tests/fast\.py"), fast.within_the_process():
        leave()


def test_a_refusal_that_the_code_catches_is_raised_at_the_end() -> None:
    caught = suppress(fast.LeftTheProcessError)
    with pytest.raises(fast.LeftTheProcessError, match=r"pytest\.mark\.socket"), fast.within_the_process(), caught:
        listen()


def test_a_refusal_that_the_code_makes_another_error_of_is_raised_at_the_end() -> None:
    def listen_or_fail() -> None:
        try:
            listen()
        except fast.LeftTheProcessError:
            raise ValueError from None

    with pytest.raises(fast.LeftTheProcessError, match=r"pytest\.mark\.socket"), fast.within_the_process():
        listen_or_fail()


@pytest.mark.socket
def test_sockets_are_free_again_afterwards() -> None:
    with fast.within_the_process():
        pass
    listen()


# The hooks, in a run of their own


@pytest.fixture
def run(pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Run pytest with this plugin alone, on a module with tests of each kind."""
    pytester.makeini("[pytest]\nmarkers =\n    fast\n    socket\n")
    pytester.makepyfile(
        """
        import socket
        from contextlib import suppress

        import pytest

        def listen():
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", 0))

        @pytest.fixture
        def server():
            listen()

        @pytest.fixture
        def listener():
            listen()

        def test_of_values():
            pass

        def test_with_a_known_fixture(server):
            pass

        @pytest.mark.socket
        def test_with_the_marker(listener):
            pass

        def test_that_listens():
            with suppress(Exception):
                listen()

        def test_with_an_unknown_fixture(listener):
            pass
        """
    )

    def run(*arguments: str) -> pytest.RunResult:
        return pytester.runpytest_inprocess(
            "-p", "tests.fast", "-p", "no:randomly", "-p", "no:cacheprovider", *arguments
        )

    return run


@pytest.mark.socket
def test_every_run_fails_fast_tests_that_open_sockets(run: Callable[..., pytest.RunResult]) -> None:
    result = run("-rA")
    result.assert_outcomes(passed=3, failed=1, errors=1)
    result.stdout.fnmatch_lines(["ERROR *::test_with_an_unknown_fixture*", "FAILED *::test_that_listens*"])


@pytest.mark.socket
def test_the_fast_run_leaves_out_the_others_and_says_so(run: Callable[..., pytest.RunResult]) -> None:
    result = run("-m", "fast")
    result.assert_outcomes(passed=1, failed=1, errors=1, deselected=2)
    result.stdout.fnmatch_lines(["Left out: *", "Skipped: none."])
