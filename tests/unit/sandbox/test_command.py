import signal
import socket
import subprocess
import sys
import threading

import pytest

from social_bitbucket_server.sandbox.command import CommandFailedError, run
from tests.ports import free_port

from .calling import ACCESS_TOKEN, CALLBACK, REQUEST_TOKEN, WHOAMI, Caller, send
from .conftest import pem, public_pem


@pytest.fixture
def port():
    return free_port()


class _Stop(threading.Event):
    """Says when the command waits for it."""

    def __init__(self):
        super().__init__()
        self.is_waited_for = threading.Event()

    def wait(self, timeout=None):
        self.is_waited_for.set()
        return super().wait(timeout)


@pytest.fixture
def introduction(port, capsys):
    """Run the command in a thread, yield what it prints before it serves, then end it and check its exit status."""
    stopped, statuses = _Stop(), []
    command = threading.Thread(
        target=lambda: statuses.append(run(port=port, context="/bitbucket", version="7.6.0", stopped=stopped))
    )
    command.start()
    assert stopped.is_waited_for.wait(60)
    yield capsys.readouterr().out
    stopped.set()
    command.join(60)
    assert statuses == [0]


@pytest.fixture
def serving(port, introduction):
    return f"http://127.0.0.1:{port}/bitbucket"


@pytest.mark.socket
def test_it_prints_where_it_is_and_who_is_there(serving, introduction):
    assert f"{serving}\n" in introduction
    assert f"{serving}/plugins/servlet/applinks/listApplicationLinks\n" in introduction
    assert f"{serving}/sandbox/faults\n" in introduction
    assert "admin        Ada Admin (administrator)" in introduction
    assert "dora         Dora Disabled (disabled)" in introduction
    assert send("GET", f"{serving}/sandbox/faults.json").status_code == 200


@pytest.mark.socket
def test_it_prints_a_line_for_each_request_without_secrets(serving, capsys, rsa_key):
    caller = Caller(serving, "no\nbody", pem(rsa_key))
    caller.call("POST", f"{REQUEST_TOKEN}?secret=1", oauth_callback=CALLBACK)
    caller.call("POST", ACCESS_TOKEN, token="secret")
    send("GET", serving + WHOAMI)
    send("GET", f"{serving}/sandbox/static/sandbox.css")
    printed = capsys.readouterr()
    assert f"POST /bitbucket{REQUEST_TOKEN} 401 consumer=no\\nbody\n" in printed.out
    assert f"POST /bitbucket{ACCESS_TOKEN} 401 consumer=no\\nbody\n" in printed.out
    assert f"GET /bitbucket{WHOAMI} 200\n" in printed.out
    assert "secret" not in printed.out
    assert ".css" not in printed.out
    assert printed.err == ""


@pytest.mark.socket
def test_a_port_that_is_taken_is_one_sentence_that_names_the_option():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(CommandFailedError) as caught:
            run(port=port, context="", version="7.6.0")
    assert str(caught.value) == f"Port {port} on 127.0.0.1 is in use; choose another with --port."


@pytest.mark.program
@pytest.mark.socket
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"port": 70000}, "70000 is not a port number."),
        ({"context": "x"}, "x is not a context path like /bitbucket."),
        ({"version": "x"}, "x is not a version that the sandbox knows. It knows 7.6, 7.21, 8.19, 9.4 and 10.2."),
        ({"host": "192.0.2.1"}, "The sandbox cannot listen on 192.0.2.1."),
        ({"links": [("acme", "")]}, "The public key of acme cannot be used. It is empty."),
        ({"links": [("acme", "ssh-rsa AAAA")]}, "The public key of acme cannot be used. It is an SSH key; it must be"),
        ({"program": ["./no-program"]}, "./no-program cannot be run: No such file or directory."),
    ],
)
def test_what_cannot_be_served_is_one_sentence(options, sentence):
    with pytest.raises(CommandFailedError) as caught:
        run(**({"port": 0, "context": "", "version": "7.6.0"} | options))
    assert str(caught.value).startswith(sentence)


def test_a_consumer_key_has_one_application_link(rsa_key):
    links = [("acme", public_pem(rsa_key))] * 2
    with pytest.raises(CommandFailedError, match=r"^The application link of acme is refused\. There is a link with"):
        run(port=0, context="", version="7.6.0", links=links)


def test_a_port_without_rights_is_one_sentence(monkeypatch):
    def refuse(address):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(CommandFailedError, match="without special rights; choose another with --port"):
        run(port=80, context="", version="7.6.0")


@pytest.mark.program
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_ctrl_c_ends_it_cleanly_on_every_terminal(encoding, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    module = "social_bitbucket_server.sandbox.command"
    code = f"import sys; from {module} import run; sys.exit(run(port=0, context='', version='8.19.0'))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as command:
        assert any("Ctrl-C" in line for line in command.stdout)
        command.send_signal(signal.SIGINT)
        _, errors = command.communicate(timeout=60)
    assert (command.returncode, errors) == (0, "")


_LOG_IN_BY_PASSWORD = """
import base64, os, sys
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener
address = os.environ["BITBUCKET_URL"] + "/rest/applinks/3.0/applicationlink"
login = "Basic " + base64.b64encode(b"admin:admin").decode()
try:
    status = build_opener(ProxyHandler({})).open(Request(address, headers={"Authorization": login})).status
except HTTPError as refusal:
    with refusal:
        status = refusal.code
sys.exit(status - 200)
"""


@pytest.mark.program
@pytest.mark.socket
@pytest.mark.parametrize(
    ("version", "is_on", "status"),
    [("9.4", None, 200), ("10.2", None, 403), ("10.2", True, 200), ("9.4", False, 403)],
)
def test_passwords_of_programs_are_taken_as_the_version_comes_or_as_it_is_told(version, is_on, status):
    program = [sys.executable, "-c", _LOG_IN_BY_PASSWORD]
    options = {"port": 0, "context": "", "version": version, "basic_authentication": is_on}
    assert run(**options, program=program) == status - 200


@pytest.mark.socket
@pytest.mark.program
def test_beside_a_program_it_says_the_same_and_leaves_its_output_alone(capfd):
    program = [sys.executable, "-c", "import os; print(os.environ['BITBUCKET_URL'])"]
    assert run(port=0, context="/bitbucket", version="7.6.0", program=program) == 0
    output, said = capfd.readouterr()
    assert output.startswith("http://127.0.0.1:")
    assert f"A stand-in for Bitbucket is at  {output}" in said
    assert "admin        Ada Admin (administrator)" in said
    assert "Ctrl-C" not in said
