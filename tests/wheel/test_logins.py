"""Tests that a login works in an environment that has the wheel with one extra, as the examples' pages say."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests

from tests.ports import free_port

from .browser import Browser
from .conftest import PROJECT, Environment, strangers_environment

pytestmark = pytest.mark.program

SERVED_BY = {
    "flask_minimal": ("flask", (), ("flask", "run", "--port={port}")),
    "django_minimal": ("django", (), ("python", "manage.py", "runserver", "--noreload", "127.0.0.1:{port}")),
    "starlette_minimal": ("starlette", ("uvicorn",), ("uvicorn", "app:app", "--port={port}")),
    "fastapi_minimal": ("starlette", ("fastapi", "uvicorn"), ("uvicorn", "app:app", "--port={port}")),
}
"""The extra of each example, the packages that its page installs besides, and the command that serves it."""


@contextmanager
def serving(sandbox: Environment, command: list[str], folder: Path, origin: str) -> Iterator[None]:
    """Serve an application in *folder* by *command*, beside a sandbox that has the link ``my-application``."""
    with (folder / "words.txt").open("w") as words:
        program = subprocess.Popen(
            [
                sandbox.program("social-bitbucket-server"),
                *("sandbox", "--port", "0", "--link", "my-application=bitbucket.pub", "--"),
                *command,
            ],
            cwd=folder,
            env=strangers_environment() | {"SECRET_KEY": "for this test", "ORIGIN": origin},
            stdout=words,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_for(origin, program)
            yield
        finally:
            os.killpg(program.pid, signal.SIGINT)  # as Ctrl-C does
            program.wait(30)
            print((folder / "words.txt").read_text())  # noqa: T201  # pytest shows it if the test fails


def wait_for(origin: str, program: subprocess.Popen[bytes]) -> None:
    """Wait until *program* answers at *origin*."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            requests.get(origin, timeout=10)
        except requests.ConnectionError:
            with suppress(subprocess.TimeoutExpired):
                program.wait(0.1)
                pytest.fail("The application ended.")
        else:
            return
    pytest.fail("The application did not answer within 60 seconds.")


def make_key_pair(environment: Environment, folder: Path) -> None:
    """Make ``bitbucket.pem`` and ``bitbucket.pub`` as the examples' pages say."""
    public = environment.run("social-bitbucket-server", "keygen", "--bits=2048", "--out=bitbucket.pem", cwd=folder)
    (folder / "bitbucket.pub").write_text(public)


@pytest.mark.parametrize("example", SERVED_BY)
def test_a_person_logs_in(example: str, install: Callable[..., Environment], tmp_path: Path) -> None:
    extra, others, command = SERVED_BY[example]
    environment = install(extra, *others)
    folder = tmp_path / "application"
    shutil.copytree(PROJECT / "examples" / example, folder, ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3"))
    make_key_pair(environment, folder)
    if (folder / "manage.py").exists():
        environment.run("python", "manage.py", "migrate", cwd=folder)
    port = free_port()
    program, *arguments = (word.format(port=port) for word in command)
    origin = f"http://127.0.0.1:{port}"
    with serving(install("sandbox"), [environment.program(program), *arguments], folder, origin):
        browser = Browser()
        browser.open(origin)
        browser.send("/login/")
        browser.send("j_username", j_username="jane", j_password="jane")
        browser.send("approve")
    assert browser.address.partition("?")[0] == f"{origin}/"
    assert "Hello jane" in browser.text


def test_a_person_of_an_organization_logs_in(install: Callable[..., Environment], tmp_path: Path) -> None:
    """The example's own test does it, with the pages that are in the wheel."""
    folder = tmp_path / "application"
    shutil.copytree(PROJECT / "examples/flask_organizations", folder)
    install("organizations", "pytest", "waitress").run("python", "-m", "pytest", "-q", cwd=folder)


def test_the_command_line_checks_an_integration_without_any_extra(
    install: Callable[..., Environment], tmp_path: Path
) -> None:
    plain = install()
    make_key_pair(plain, tmp_path)
    checked = install("sandbox").run(
        "social-bitbucket-server",
        *("sandbox", "--port", "0", "--link", "my-application=bitbucket.pub", "--", "sh", "-c"),
        f'"{plain.program("social-bitbucket-server")}" check --url "$BITBUCKET_URL" --consumer-key my-application '
        "--private-key-file bitbucket.pem",
        cwd=tmp_path,
    )
    assert "REST" in checked
    assert "failed" not in checked
