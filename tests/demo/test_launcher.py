"""``python -m demo_app``: one command, and one sentence where it cannot start."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.visitor import OverHTTP, Visitor

pytestmark = [pytest.mark.socket, pytest.mark.program]


@pytest.fixture
def busy_port() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(listener.getsockname()[1])


def launch(tmp_path: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "demo_app"],
        env={**os.environ, "INSTANCE_PATH": str(tmp_path / "instance"), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("variable", ["DEMO_PORT", "SANDBOX_PORT"])
def test_a_busy_port_gets_one_sentence_that_names_the_variable(tmp_path: Path, busy_port: str, variable: str) -> None:
    ports = {"DEMO_PORT": str(free_port()), "SANDBOX_PORT": str(free_port()), variable: busy_port}
    process = launch(tmp_path, **ports)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 1
    assert errors.startswith(f"Port {busy_port} is in use; choose another one with {variable}, for example: ")
    assert errors.count("\n") == 1
    assert output == ""


def test_a_port_that_is_none_gets_one_sentence(tmp_path: Path) -> None:
    process = launch(tmp_path, DEMO_PORT="eight")
    assert process.communicate(timeout=300) == ("", "DEMO_PORT must be a port number from 1 to 65535.\n")
    assert process.returncode == 1


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_ready_organization_works_and_everything_ends_together(tmp_path: Path, ending: signal.Signals) -> None:
    demo_port, sandbox_port = free_port(), free_port()
    with launch(tmp_path, DEMO_PORT=str(demo_port), SANDBOX_PORT=str(sandbox_port)) as process:
        try:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            said = "".join(iter(lambda: next(lines), "Press Ctrl-C to end both.\n"))
            visitor = Visitor(OverHTTP(f"http://127.0.0.1:{demo_port}"))
            page = visitor.get("/o/acme/login")
            found = re.search(r"owner@acme.example, password (\S+)", said)
            assert found
            visitor.post("/o/acme/login/owner", email="owner@acme.example", password=found[1])
            integrations = visitor.get("/o/acme/settings/integrations")
            events = visitor.get("/o/acme/settings/events")
            process.send_signal(ending)
            process.communicate(timeout=300)
        finally:
            process.kill()
    assert f"http://127.0.0.1:{demo_port}/o/acme/login" in said
    assert "Log in with Sandbox" in page.words
    assert "Never used" in integrations.words
    assert events.words.index("connection was tested") < events.words.index("An integration was added"), "newest first"
    assert process.returncode == 0
    for port in (demo_port, sandbox_port):
        socket.create_server(("127.0.0.1", port)).close()
