"""The demo's ports: looked at before anything is installed, and explained in one sentence."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo_app import ports
from tests.ports import free_port

pytestmark = [pytest.mark.socket, pytest.mark.program]

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def free_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ports.DEFAULTS:
        monkeypatch.setenv(variable, str(free_port()))


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server((ports.HOST, 0)) as listener:
        yield listener.getsockname()[1]


def test_two_free_ports_pass_and_stay_free() -> None:
    ports.check()
    for variable in ports.DEFAULTS:
        ports.listen(variable).close()


@pytest.mark.parametrize("variable", ports.DEFAULTS)
def test_a_busy_port_gets_one_sentence_with_the_port_and_its_variable(
    monkeypatch: pytest.MonkeyPatch, busy_port: int, variable: str
) -> None:
    monkeypatch.setenv(variable, str(busy_port))
    with pytest.raises(ports.CannotStartError) as refused:
        ports.check()
    sentence = (
        rf"Port {busy_port} is in use; choose another one with {variable}, for example: {variable}=(\d+) make demo"
    )
    assert re.fullmatch(sentence, str(refused.value))


@pytest.mark.parametrize("variable", ports.DEFAULTS)
def test_the_port_of_the_example_is_free(monkeypatch: pytest.MonkeyPatch, busy_port: int, variable: str) -> None:
    monkeypatch.setenv(variable, str(busy_port))
    with pytest.raises(ports.CannotStartError) as refused:
        ports.check()
    name, _, port = str(refused.value).split()[-3].partition("=")
    monkeypatch.setenv(name, port)
    ports.check()


def test_a_port_that_the_system_refuses_gets_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    listen = socket.create_server

    def refuse(address: tuple[str, int]) -> socket.socket:
        if address[1] == 80:
            raise PermissionError(13, "Permission denied")
        return listen(address)

    monkeypatch.setattr(socket, "create_server", refuse)
    monkeypatch.setenv("DEMO_PORT", "80")
    with pytest.raises(
        ports.CannotStartError, match=r"^Port 80 cannot be used \(Permission denied\); .* DEMO_PORT=1\d"
    ):
        ports.check()


@pytest.mark.parametrize("text", ["", "eight", "0", "65536", "-1", "8000 ", "٨٠٠٠"])
@pytest.mark.parametrize("variable", ports.DEFAULTS)
def test_a_port_that_is_none_gets_one_sentence(monkeypatch: pytest.MonkeyPatch, variable: str, text: str) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(ports.CannotStartError, match=f"^{variable} must be a port number from 1 to 65535.$"):
        ports.check()


def test_one_port_for_both_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_PORT", str(ports.chosen("DEMO_PORT")))
    with pytest.raises(ports.CannotStartError, match="two different ports"):
        ports.check()


def test_the_check_runs_without_anything_installed(busy_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_PORT", str(busy_port))
    without_packages = [sys.executable, "-I", "-S", ROOT / "demo_app" / "ports.py"]
    process = subprocess.run(without_packages, capture_output=True, text=True, check=False)
    assert process.returncode == 1
    assert process.stderr.startswith(f"Port {busy_port} is in use; choose another one with DEMO_PORT, for example: ")
    assert process.stderr.count("\n") == 1


@pytest.mark.parametrize(("variable", "port"), ports.DEFAULTS.items())
def test_the_readme_names_the_variables_and_the_default_ports(variable: str, port: int) -> None:
    section = re.search(r"^## Try it$(.*?)^## ", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert section
    assert f"{variable}=" in section[1]
    assert str(port) in section[1]
