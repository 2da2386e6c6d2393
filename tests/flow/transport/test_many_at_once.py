"""Many requests at once, and servers that fail again and again."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.transport import Budget, breaker
from tests.raw_server import answer, answering

from .asking import FORBIDDEN, HERE, NAME, get, pem, problem, url


def test_a_server_that_failed_three_times_is_left_alone_and_then_tried_once(serve, route, monkeypatch):
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(breaker, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    reply = [b""]

    def say(peer):
        while peer.read():
            peer.send(reply[0])
            if not reply[0]:
                return

    server = serve(say)
    codes = [problem(server, route).code for _ in range(5)]
    assert codes == ["connection_failed"] * 3 + ["server_overloaded"] * 2
    now.seconds += 5
    codes = [problem(server, route).code for _ in range(3)]
    assert codes == ["connection_failed"] + ["server_overloaded"] * 2
    reply[0] = answer()
    now.seconds += 5
    assert [get(server, route).status for _ in range(3)] == [200] * 3


def test_a_step_that_was_admitted_goes_on_whatever_fails_meanwhile(serve, route, transport, monkeypatch):
    monkeypatch.setattr(breaker, "SECONDS_OPEN", 0)
    reply = [b""]

    def say(peer):
        while peer.read() and reply[0]:
            peer.send(reply[0])

    server = serve(say)
    origin = url(server).rpartition("/")[0]
    assert [problem(server, route).code for _ in range(3)] == ["connection_failed"] * 3
    monkeypatch.setattr(breaker, "SECONDS_OPEN", 600)
    reply[0] = answer()
    with Budget.of_one_request(60) as budget, Budget.of_one_request(60) as another:
        transport.admit(origin, route, budget)
        with pytest.raises(BitbucketServerError) as refused:
            transport.admit(origin, route, another)
        assert refused.value.code == "server_overloaded"
        assert problem(server, route).code == "server_overloaded"
        assert get(server, route, budget=budget).status == 200


def test_a_refused_address_has_the_same_consequences_as_an_unknown_name(serve, route, names, monkeypatch):
    monkeypatch.setattr(breaker, "SECONDS_OPEN", 600)
    codes = []
    for addresses in ([FORBIDDEN], []):
        server = serve(answering())
        names.addresses[NAME] = addresses
        codes.append([problem(server, route).code for _ in range(5)])
    refused, unknown = codes
    assert refused == ["address_blocked"] * 3 + ["server_overloaded"] * 2
    assert unknown == ["connection_failed"] * 3 + ["server_overloaded"] * 2


def test_an_answer_that_is_refused_is_still_an_answer(serve, route):
    server = serve(answering(answer(b"x" * 100)))
    assert {problem(server, route, limit=10).code for _ in range(5)} == {"malformed_answer"}


def test_threads_share_connections_and_get_their_own_answers(serve, route, transport):
    def echo(peer):
        while request := peer.read():
            peer.send(answer(request.split()[1].encode()))

    server = serve(echo)

    def ask(number):
        return transport.send("GET", f"{url(server)}{number}", {}, route=route, timeout=120).body

    with ThreadPoolExecutor(4) as pool:
        bodies = list(pool.map(ask, range(100)))
    assert bodies == [b"/x%d" % number for number in range(100)]
    assert len(server.peers) <= 4


FORKED = """
import os, sys
from ipaddress import ip_address
from social_bitbucket_server.transport import Route, default_transport
host, port, ca = sys.argv[1:]
def get():
    transport, route = default_transport(), Route(ca_certificates=ca)
    transport.resolver = lambda name: [ip_address(host)]
    return transport.send("GET", f"https://bb-a.test:{port}/{os.getpid()}", {}, route=route).status
assert get() == 200
child = os.fork()
if not child:
    os._exit(0 if get() == 200 == get() else 1)
_, status = os.waitpid(child, 0)
assert status == 0 and get() == 200
"""


def test_a_forked_process_opens_connections_of_its_own(serve, authority):
    server = serve(answering())
    arguments = [sys.executable, "-c", FORKED, HERE, str(server.port), pem(authority)]
    subprocess.run(arguments, check=True, timeout=300, cwd=Path(__file__).parents[3])
    processes = [{request.split()[1] for request in peer.requests} for peer in server.peers]
    assert [len(peer.requests) for peer in server.peers] == [2, 2]
    assert [len(seen) for seen in processes] == [1, 1]
    assert processes[0] != processes[1]
