"""The sandbox answers for its own names alone: a website can let another name lead to this machine."""

import pytest
from werkzeug.test import Client, create_environ, run_wsgi_app

from social_bitbucket_server.sandbox import Sandbox
from social_bitbucket_server.sandbox.app import create_app
from social_bitbucket_server.sandbox.state.state import State
from social_bitbucket_server.sandbox.state.users import SANDBOX_USERS, Users

from . import calling

PATHS = ("/", "/login", "/sandbox/faults", "/sandbox/static/sandbox.css", "/rest/api/latest/users", "/nowhere")


def application(names=(), answers=None):
    state = State(
        base_url="http://sandbox.internal:7990",
        context="",
        own_version="10.2.0",
        users=Users(SANDBOX_USERS),
        names=frozenset(names),
    )
    return state, create_app(state, 7990, None if answers is None else answers.append)


def send(app, host, path="/", method="GET"):
    """Return status, headers and text of the answer to a request with this header, or without one."""
    environ = create_environ(path, method=method)
    environ["REQUEST_URI"] = path
    del environ["HTTP_HOST"]
    if host is not None:
        environ["HTTP_HOST"] = host
    body, status, headers = run_wsgi_app(app, environ, buffered=True)
    return int(status.split()[0]), headers, b"".join(body).decode()


@pytest.mark.parametrize(
    "host",
    [
        *(None, "", ".", "a..b", ".example", f"{'x' * 64}.example", "x." * 200, "\xe9.example", "\xff", "xn--", "a b"),
        *("a:b", "a:65536", "a:1:2", "[::1", "[::::]", "[1.2.3.4]", "[::1]x", "::1", "a@localhost", "%00", "a/b"),
    ],
)
def test_a_malformed_host_ends_with_400(host):
    state, app = application()
    assert {send(app, host, path, method)[0] for path in PATHS for method in ("GET", "POST")} == {400}
    assert len(state.requests) == 0


def test_the_sandbox_answers_for_its_own_names_and_for_addresses():
    _, app = application(["bitbucket", "bitbucket.test"])
    own = (
        *("sandbox.internal:7990", "SANDBOX.internal", "sandbox.internal.", "localhost", "localhost:1234"),
        *("acme.localhost:7990", "a.b.localhost", "127.0.0.1:7990", "10.1.2.3", "[::1]:7990", "[fd00::1]"),
        *("bitbucket", "Bitbucket.test:80"),
    )
    assert {host: status for host in own if (status := send(app, host)[0]) != 200} == {}


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:7990", "127.0.0.1.evil.example", "localhost.evil.example", "evil-localhost"),
        *("internal", "x.sandbox.internal", "bitbucket", "127.1", "2130706433"),
    ],
)
def test_for_another_name_it_says_which_option_gives_it(host):
    state, app = application(["other"])
    for path in PATHS:
        status, headers, text = send(app, host, path)
        assert status == 421
        assert "--name NAME" in text
        assert "Sandbox(names=[NAME])" in text
        assert headers["Content-Type"].startswith("text/plain")
    assert len(state.requests) == 0


def test_the_command_hears_of_a_request_for_another_name():
    answers = []
    _, app = application(answers=answers)
    send(app, "bitbucket", "/login")
    assert [(answer.path, answer.status) for answer in answers] == [("/login", 421)]


def test_another_name_changes_nothing():
    state, app = application()
    client = Client(app)
    for method, path in (("POST", "/sandbox/faults"), ("PATCH", "/sandbox/faults.json"), ("POST", "/logout")):
        client.open(path, method=method, base_url="http://evil.example", json={"server_error": True})
    assert not state.faults.server_error


@pytest.mark.parametrize("name", ["", "http://bitbucket.test", "bitbucket:7990", "a..b", "a b", "é.example", "xn--"])
def test_a_name_that_is_none_is_refused_before_anything_is_served(name):
    with pytest.raises(ValueError, match="is not a host name like"):
        Sandbox(names=[name])


@pytest.mark.socket
def test_a_sandbox_answers_for_the_names_that_it_is_given():
    with Sandbox(names=["Bitbucket.Test"]) as sandbox:
        statuses = {
            host: calling.send("GET", sandbox.url + calling.PROPERTIES, headers={"Host": host}).status_code
            for host in ("bitbucket.test:7990", "bitbucket.test.", "evil.example")
        }
    assert statuses == {"bitbucket.test:7990": 200, "bitbucket.test.": 200, "evil.example": 421}
