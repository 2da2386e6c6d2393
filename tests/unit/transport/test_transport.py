import errno
import socket
import threading

import pytest

from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.transport import (
    Route,
    Transport,
    connections,
    default_transport,
    exchange,
    reaching,
    use_transport,
)
from tests.raw_server import RawServer
from tests.scripted_server import Reply, ScriptedServer


def send(method, url, **options):
    return default_transport().send(method, url, {}, route=Route(), **options)


def problem(*arguments, **options):
    with pytest.raises(BitbucketServerError) as caught:
        send(*arguments, **options)
    return caught.value.code


def test_an_answer_has_status_every_header_line_and_body(server):
    server.scripts["/x"] = Reply("hello", 401, [("WWW-Authenticate", "Basic"), ("WWW-Authenticate", "OAuth")])
    answer = send("GET", f"{server.url}/x")
    assert answer.status == 401
    assert answer.headers.getlist("WWW-Authenticate") == ["Basic", "OAuth"]
    assert answer.body == b"hello"


def test_an_answer_does_not_show_its_body(server):
    server.scripts["/x"] = Reply("oauth_token=secret")
    assert "secret" not in repr(send("GET", f"{server.url}/x"))


def test_redirects_are_not_followed(server):
    server.scripts["/x"] = Reply("", 302, [("Location", f"{server.url}/y")])
    assert send("GET", f"{server.url}/x").status == 302
    assert server.paths() == ["/x"]


def test_cookies_are_not_kept(server):
    server.scripts["/x"] = Reply("", 200, [("Set-Cookie", "BITBUCKETSESSIONID=abc; Path=/")])
    send("GET", f"{server.url}/x")
    send("GET", f"{server.url}/x")
    assert "Cookie" not in server.received[1].headers


def test_the_connection_is_used_again(server):
    server.scripts["/x"] = Reply("hello")
    for _ in range(3):
        send("GET", f"{server.url}/x")
    assert len({request.connection for request in server.received}) == 1


@pytest.mark.socket
def test_connections_are_kept_to_the_servers_that_were_asked_last():
    use_transport(Transport(servers=2))
    with ScriptedServer() as first, ScriptedServer() as second, ScriptedServer() as third:
        for server in (first, second, first, third, first, second):
            send("GET", f"{server.url}/x")
    opened = [len({request.connection for request in server.received}) for server in (first, second, third)]
    assert opened == [1, 2, 1]


def test_the_environment_plays_no_part(server, monkeypatch, tmp_path):
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password something\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server.scripts["/x"] = Reply("hello")
    assert send("GET", f"{server.url}/x").body == b"hello"
    assert "Authorization" not in server.received[0].headers


def test_a_compressed_answer_is_refused(server):
    server.scripts["/x"] = Reply("x", 200, [("Content-Encoding", "gzip")])
    assert problem("GET", f"{server.url}/x") == "answer_compressed"
    assert server.received[0].headers["Accept-Encoding"] == "identity"


def test_a_long_answer_is_refused(server):
    server.scripts["/x"] = Reply("x" * 1001)
    assert problem("GET", f"{server.url}/x", limit=1000) == "malformed_answer"
    server.scripts["/x"] = Reply("x" * 1000)
    assert len(send("GET", f"{server.url}/x", limit=1000).body) == 1000


@pytest.mark.socket
def test_silence_is_a_timeout():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        assert problem("GET", address, timeout=0.2) == "timeout"


@pytest.mark.socket
def test_a_body_that_drips_is_a_timeout():
    def drip(peer):
        peer.read()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        peer.drip(b"x" * 2000, 0.05)

    with RawServer(drip) as server:
        assert problem("GET", f"http://127.0.0.1:{server.port}/", timeout=0.3, limit=10**6) == "timeout"


def test_a_connection_that_comes_when_time_is_up_is_closed(server, monkeypatch):
    made = []

    class Kept(connections.TimedSocket):
        def __init__(self, **options):
            super().__init__(**options)
            made.append(self)

    def late(*arguments):
        connection = reaching.connect(*arguments)
        exchange.current()._deadline = 0
        return connection

    monkeypatch.setattr(connections, "TimedSocket", Kept)
    monkeypatch.setattr(connections, "connect", late)
    assert problem("GET", f"{server.url}/x", timeout=60) == "timeout"
    assert [connection.fileno() for connection in made] == [-1]


@pytest.mark.socket
def test_another_protocol_is_a_failed_connection():
    def greet(listener):
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=greet, args=(listener,))
        thread.start()
        assert problem("GET", f"http://127.0.0.1:{listener.getsockname()[1]}/") == "connection_failed"
        thread.join()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("number", [errno.ECONNRESET, errno.EPIPE, errno.ECONNREFUSED], ids=errno.errorcode.get)
def test_a_connection_that_is_cut_while_it_is_made_is_a_failed_one(monkeypatch, scheme, number):
    def cut(*_):
        raise OSError(number, "cut")

    monkeypatch.setattr(connections, "connect", cut)
    assert problem("GET", f"{scheme}://127.0.0.1:1/") == "connection_failed"


def test_a_server_without_tls_is_named(server):
    assert problem("GET", server.url.replace("http:", "https:") + "/x") == "tls_missing"


@pytest.mark.socket
def test_a_name_that_cannot_be_one_is_a_failed_connection():
    assert problem("GET", f"http://{'a' * 70}.invalid/") == "connection_failed"
