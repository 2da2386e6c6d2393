import signal
import socket
import subprocess
import sys
import threading

import pytest

from social_bitbucket_server.sandbox.command import run

from .calling import ACCESS_TOKEN, CALLBACK, REQUEST_TOKEN, WHOAMI, Caller, send
from .conftest import pem


@pytest.fixture
def port():
    """One that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def introduction(port, capsys):
    """What the command, in a thread, prints before it serves. Ends it and looks at its exit status."""
    stopped, statuses, printed = threading.Event(), [], ""
    command = threading.Thread(
        target=lambda: statuses.append(run(port=port, context="/bitbucket", version="7.6.0", stopped=stopped))
    )
    command.start()
    while "Press Ctrl-C" not in printed:
        assert command.is_alive()
        printed += capsys.readouterr().out
    yield printed
    stopped.set()
    command.join(30)
    assert statuses == [0]


@pytest.fixture
def serving(port, introduction):
    return f"http://127.0.0.1:{port}/bitbucket"


def test_it_prints_where_it_is_and_who_is_there(serving, introduction):
    assert f"{serving}\n" in introduction
    assert f"{serving}/plugins/servlet/applinks/listApplicationLinks\n" in introduction
    assert f"{serving}/sandbox/faults\n" in introduction
    assert "admin        Ada Admin (administrator)" in introduction
    assert "dora         Dora Disabled (disabled)" in introduction
    assert send("GET", f"{serving}/sandbox/faults.json").status_code == 200


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


def test_a_port_that_is_taken_is_one_sentence_that_names_the_option(capsys):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert run(port=port, context="", version="7.6.0") == 1
    assert capsys.readouterr().err == f"Port {port} on 127.0.0.1 is in use; choose another with --port.\n"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"port": 70000}, "70000 is not a port number."),
        ({"context": "x"}, "x is not a context path like /bitbucket."),
        ({"version": "x"}, "x is not a version number like 7.6.0."),
        ({"host": "192.0.2.1"}, "The sandbox cannot listen on 192.0.2.1."),
    ],
)
def test_what_cannot_be_served_is_one_sentence(capsys, options, sentence):
    assert run(**({"port": 0, "context": "", "version": "7.6.0"} | options)) == 1
    assert capsys.readouterr().err == f"{sentence}\n"


def test_a_port_without_rights_is_one_sentence(capsys, monkeypatch):
    def refuse(address):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refuse)
    assert run(port=80, context="", version="7.6.0") == 1
    assert "without special rights; choose another with --port" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_ctrl_c_ends_it_cleanly_on_every_terminal(encoding, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    module = "social_bitbucket_server.sandbox.command"
    code = f"import sys; from {module} import run; sys.exit(run(port=0, context='', version='8.19.0'))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as command:
        while "Ctrl-C" not in command.stdout.readline():
            pass
        command.send_signal(signal.SIGINT)
        _, errors = command.communicate(timeout=30)
    assert (command.returncode, errors) == (0, "")
