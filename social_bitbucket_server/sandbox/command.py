"""The sandbox from the command line: serves until Ctrl-C and prints one line for each request, or serves a program."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from typing import TextIO

from .oauth1.public_keys import UnreadablePublicKeyError, read_public_key
from .pages.application_links import LIST
from .sandbox import Sandbox
from .state.links import LinkRefusedError
from .state.records import Answer


class CommandFailedError(Exception):
    """A failure that keeps the command from serving. Its text is one sentence."""


BASE_URL = "BITBUCKET_URL"
"""The environment variable that tells a program where the sandbox is."""


def run(
    *,
    port: int,
    context: str,
    version: str,
    basic_authentication: bool | None = None,
    host: str = "127.0.0.1",
    names: Iterable[str] = (),
    links: Iterable[tuple[str, str]] = (),
    program: Sequence[str] = (),
    stopped: threading.Event | None = None,
) -> int:
    """Serve until Ctrl-C, or until *stopped* is set. With a *program*, serve until it has ended.

    *basic_authentication*: whether programs may log in by password; ``None`` for the version's default. *names*:
    further host names to answer for. *links*: consumer keys and public keys that are linked from the beginning.
    Returns the exit status: the program's, else 0. Raises :class:`CommandFailedError` if serving cannot begin.
    """
    try:
        sandbox = Sandbox(
            port=port,
            context=context,
            version=version,
            host=host,
            names=names,
            basic_authentication=basic_authentication,
            on_answer=None if program else _print_answer,
        )
        for consumer_key, public_key in links:
            read_public_key(public_key)
            sandbox.link(consumer_key=consumer_key, public_key=public_key)
        sandbox.start()
    except UnreadablePublicKeyError as error:
        raise CommandFailedError(f"The public key of {consumer_key} cannot be used. {error}") from None
    except LinkRefusedError as error:
        raise CommandFailedError(f"The application link of {consumer_key} is refused. {error}") from None
    except ValueError as error:
        raise CommandFailedError(str(error)) from None
    except OSError as error:
        reason = {
            errno.EADDRINUSE: f"Port {port} on {host} is in use; choose another with --port.",
            errno.EACCES: f"Port {port} may not be used without special rights; choose another with --port.",
        }
        raise CommandFailedError(reason.get(error.errno or 0, f"The sandbox cannot listen on {host}.")) from None
    try:
        if program:
            return _run_program(program, sandbox)
        _print(f"{_introduction(sandbox)}\n\nPress Ctrl-C to stop.")
        (stopped or threading.Event()).wait()
    except KeyboardInterrupt:
        _print("")
    finally:
        sandbox.stop()
    return 0


def _run_program(program: Sequence[str], sandbox: Sandbox) -> int:
    process: subprocess.Popen[bytes] | None = None
    ended_early = False

    def end(*_: object) -> None:
        nonlocal ended_early
        if process:
            process.terminate()
        else:
            ended_early = True

    # Before the program begins: it may be told to end as soon as it runs. A terminal interrupts the program, too.
    before = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, end),
        signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None),
    }
    try:
        environment = {**os.environ, BASE_URL: sandbox.url}
        process = subprocess.Popen(program, env=environment)  # noqa: S603  # the person's own
        _print(_introduction(sandbox), sys.stderr)  # the other output is the program's
        if ended_early:
            process.terminate()
        status = process.wait()
    except OSError as error:
        raise CommandFailedError(f"{program[0]} cannot be run: {error.strerror}.") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return status if status >= 0 else 128 - status  # as a shell does


def _introduction(sandbox: Sandbox) -> str:
    users, people = sandbox.users.all(), ""
    for user in users[:7]:
        remark = " (administrator)" if user.admin else "" if user.active else " (disabled)"
        people += f"  {user.name:<12} {user.display_name}{remark}\n"
    return (
        f"A stand-in for Bitbucket is at  {sandbox.url}\n"
        f"Application links:              {sandbox.url}{LIST}\n"
        f"Faults to switch on:            {sandbox.url}/sandbox/faults\n\n"
        f"Users; the password is the same as the name:\n{people}"
        f"  and {len(users) - 7} more, shown on the log-in page."
    )


def _print_answer(answer: Answer) -> None:
    who = "".join(
        f" {name}={ascii(value)[1:-1]}"
        for name, value in (("user", answer.user), ("consumer", answer.consumer_key))
        if value
    )
    _print(f"{answer.method} {answer.path} {answer.status}{who}")


def _print(text: str, file: TextIO | None = None) -> None:
    file = file or sys.stdout
    # Names have letters of many scripts, and not every terminal has them.
    encoding = file.encoding or "utf-8"
    file.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    file.flush()
