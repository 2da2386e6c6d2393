"""The transport on real sockets, against servers that do everything wrong."""

import dataclasses
import gzip
import os
import socket
import ssl
import subprocess
import sys
import threading
import tracemalloc
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from types import SimpleNamespace

import pytest
import trustme

from social_bitbucket_server import reaching, transport
from social_bitbucket_server.addresses import AddressPolicy
from social_bitbucket_server.client import AccessToken, Client
from social_bitbucket_server.integration import Integration
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.server_url import ServerURL
from social_bitbucket_server.transport import Route, send
from tests.raw_server import RawServer, answer, answering

NAME = "bb-a.test"
YEAR = timedelta(days=365)


def loopback(last):
    """An address of this machine that is used by no other worker of the same test run."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return f"127.0.{worker + 1}.{last}"


HERE = loopback(2)
FORBIDDEN = loopback(3)


def which(addresses):
    """The name of a parameter, the same for every worker."""
    return ", ".join(addresses).replace(HERE, "the server's").replace(FORBIDDEN, "another")


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@pytest.fixture(scope="session")
def other_authority():
    return trustme.CA()


def pem(authority):
    return authority.cert_pem.bytes().decode()


def server_context(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.fixture
def serve(authority):
    """Start a server at an address of this worker, for the length of the test."""
    with ExitStack() as stack:

        def start(behaviour, host=HERE, port=0, *, certificate=None, tls=True):
            certificate = certificate or authority.issue_cert(NAME)
            context = server_context(certificate) if tls else None
            return stack.enter_context(RawServer(behaviour, host, port, context))

        yield start


@pytest.fixture
def names(monkeypatch):
    """What names resolve to: a list of addresses, an exception to raise, or a function; and who asked."""
    known = SimpleNamespace(asked=[], addresses={NAME: [HERE]})

    def resolve(name):
        known.asked.append(name)
        found = known.addresses[name.rstrip(".")]
        if isinstance(found, BaseException):
            raise found
        return [ip_address(address) for address in (found() if callable(found) else found)]

    monkeypatch.setattr(reaching, "resolver", resolve)
    return known


@pytest.fixture
def route(authority, names):
    return Route(ca_certificates=pem(authority), policy=AddressPolicy(test_addresses=frozenset({ip_address(HERE)})))


def url(server, name=NAME, scheme="https"):
    return f"{scheme}://{name}:{server.port}/x"


def get(server, route, *, timeout=5.0, **options):
    return send("GET", url(server), {}, route=route, timeout=timeout, **options)


def problem(server, route, **options):
    with pytest.raises(BitbucketServerError) as caught:
        get(server, route, **options)
    return caught.value


# Which address


def test_the_name_is_resolved_once_as_a_whole_name_and_the_connection_goes_to_its_address(serve, route, names):
    server = serve(answering())
    assert get(server, route).body == b"hello"
    assert names.asked == [f"{NAME}."]
    assert f"Host: {NAME}:{server.port}\r\n" in server.requests[0]


def test_a_name_without_policy_is_resolved_as_the_machine_does(serve, route, names):
    get(serve(answering()), dataclasses.replace(route, policy=None))
    assert names.asked == [NAME]


@pytest.fixture
def forbidden(serve):
    """Start a listener at another address with a server's port, which nobody must reach."""
    return lambda server: serve(answering(), FORBIDDEN, server.port, tls=False)


@pytest.mark.parametrize(
    "addresses",
    [
        [FORBIDDEN],
        [HERE, FORBIDDEN],
        [FORBIDDEN, HERE],
        [f"::ffff:{FORBIDDEN}"],
        ["::7f00:3"],
        ["64:ff9b::7f00:3"],
        ["2002:7f00:3::"],
        ["::1"],
        ["0.0.0.0"],
        ["10.20.1.5"],
        [HERE, "169.254.169.254"],
        [HERE, "fe80::1"],
    ],
    ids=which,
)
def test_an_address_that_is_not_permitted_refuses_the_name_and_nobody_is_reached(
    serve, route, names, forbidden, addresses
):
    server = serve(answering())
    listener = forbidden(server)
    names.addresses[NAME] = addresses
    refused = problem(server, route)
    assert refused.code == "address_blocked"
    assert refused.parameter == "base_url"
    assert refused.facts["host"] == NAME
    assert not server.peers
    assert not listener.peers


def test_a_literal_address_is_checked_like_any_other(serve, route, forbidden):
    listener = forbidden(serve(answering()))
    with pytest.raises(BitbucketServerError) as caught:
        send("GET", f"https://{FORBIDDEN}:{listener.port}/", {}, route=route)
    assert caught.value.code == "address_blocked"
    assert not listener.peers


def test_a_name_that_is_rebound_is_refused_when_the_connection_has_to_be_made_anew(serve, route, names, forbidden):
    def once(peer):
        peer.read()
        peer.send(answer(b"hello", "200 OK", "Connection: close"))

    server = serve(once)
    listener = forbidden(server)
    looked_up = iter([[HERE], [FORBIDDEN]])
    names.addresses[NAME] = lambda: next(looked_up)
    assert get(server, route).status == 200
    assert problem(server, route).code == "address_blocked"
    assert len(names.asked) == 2
    assert len(server.peers) == 1
    assert not listener.peers


def test_a_kept_connection_asks_no_resolver_again(serve, route, names):
    server = serve(answering())
    for _ in range(3):
        get(server, route)
    assert len(names.asked) == 1


@pytest.mark.parametrize(
    "failure", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long"), []], ids=repr
)
def test_a_name_that_does_not_resolve_is_a_failed_connection(serve, route, names, failure):
    server = serve(answering())
    names.addresses[NAME] = failure
    assert problem(server, route).code == "connection_failed"
    assert not server.peers


def test_a_resolver_that_hangs_is_left_behind(serve, route, names, monkeypatch):
    monkeypatch.setattr(reaching, "RESOLVER_SECONDS", 0.05)
    server = serve(answering())
    done = threading.Event()
    names.addresses[NAME] = lambda: done.wait(30) and [HERE]
    assert problem(server, route, timeout=30).code == "connection_failed"
    assert not server.peers
    done.set()


def test_the_next_address_is_tried_where_one_does_not_answer(serve, route, names):
    server = serve(answering())
    names.addresses[NAME] = [loopback(9), HERE]
    both = AddressPolicy(test_addresses=frozenset({ip_address(loopback(9)), ip_address(HERE)}))
    assert get(server, dataclasses.replace(route, policy=both)).status == 200


def test_an_address_that_swallows_everything_leaves_time_for_the_next(serve, route, names, monkeypatch):
    server = serve(answering())
    names.addresses[NAME] = [loopback(9), HERE]
    both = AddressPolicy(test_addresses=frozenset({ip_address(loopback(9)), ip_address(HERE)}))
    connect, waited = socket.create_connection, []

    def swallow(address, seconds):
        if address[0] == HERE:
            return connect(address, seconds)
        waited.append(seconds)
        raise TimeoutError

    monkeypatch.setattr(transport.socket, "create_connection", swallow)
    assert get(server, dataclasses.replace(route, policy=both), timeout=8).status == 200
    assert waited[0] <= 4


class Everything(AddressPolicy):
    """Permits what no policy permits, so that this machine's own addresses are within reach."""

    def permits(self, address):
        return True


def test_this_machines_own_addresses_are_refused_whatever_they_are(serve, route, names):
    server = serve(answering(), "127.0.0.1")
    names.addresses[NAME] = ["127.0.0.1"]
    refused = problem(server, dataclasses.replace(route, policy=Everything()))
    assert refused.code == "address_blocked"
    assert refused.facts["address_class"] == "this machine"
    assert not server.peers


def test_a_private_network_is_reached_only_by_whom_it_is_allowed(route, names, monkeypatch):
    names.addresses[NAME] = ["10.20.1.5"]
    tried = []

    def refuse(address, seconds):
        tried.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(transport.socket, "create_connection", refuse)
    allowed = AddressPolicy(private_networks=(ip_network("10.20.0.0/16"),))
    another = AddressPolicy(private_networks=(ip_network("10.30.0.0/16"),))
    outcomes = []
    for policy in (AddressPolicy(), another, allowed):
        with pytest.raises(BitbucketServerError) as caught:
            send("GET", f"https://{NAME}/", {}, route=dataclasses.replace(route, policy=policy))
        outcomes.append(caught.value.code)
    assert outcomes == ["address_blocked", "address_blocked", "connection_failed"]
    assert tried == [("10.20.1.5", 443)]


# Redirects and the environment


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location", ["https://{forbidden}/y", "https://{name}:{port}/y", "//{forbidden}/y", "http://{name}:{port}/x", "/y"]
)
def test_redirects_are_reported_and_never_followed(serve, route, forbidden, status, location):
    def redirect(peer):
        while peer.read():
            target = location.format(forbidden=f"{FORBIDDEN}:{server.port}", name=NAME, port=server.port)
            peer.send(answer(b"", f"{status} Elsewhere", f"Location: {target}"))

    server = serve(redirect)
    listener = forbidden(server)
    assert get(server, route).status == status
    assert len(server.requests) == 1
    assert not listener.peers


def test_the_environment_leads_nowhere(serve, route, forbidden, monkeypatch, tmp_path, other_authority):
    server = serve(answering())
    listener = forbidden(server)
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(variable, f"http://{FORBIDDEN}:{server.port}")
    (tmp_path / "netrc").write_text("default login somebody password something\n")
    (tmp_path / "foreign.pem").write_text(pem(other_authority))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(variable, str(tmp_path / "foreign.pem"))
    assert get(server, route).body == b"hello"
    assert "authorization" not in server.requests[0].lower()
    assert not listener.peers


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_environment_makes_nobody_trusted(serve, route, authority, monkeypatch, tmp_path, variable):
    (tmp_path / "own.pem").write_text(pem(authority))
    monkeypatch.setenv(variable, str(tmp_path / "own.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    server = serve(answering())
    assert problem(server, dataclasses.replace(route, ca_certificates="")).code == "tls_error"


# Certificates


@pytest.mark.parametrize(
    "make",
    [
        lambda own, other: own.issue_cert("another.test"),
        lambda own, other: own.issue_cert(HERE),
        lambda own, other: own.issue_cert(NAME, not_after=datetime.now(UTC) - timedelta(days=1)),
        lambda own, other: own.issue_cert(
            NAME, not_before=datetime.now(UTC) + YEAR, not_after=datetime.now(UTC) + YEAR * 2
        ),
        lambda own, other: other.issue_cert(NAME),
        lambda own, other: trustme.CA().issue_cert(NAME),
    ],
    ids=["another name", "an address", "expired", "not yet valid", "a foreign CA", "an unknown CA"],
)
def test_a_certificate_that_does_not_hold_is_a_tls_error_and_nothing_is_sent(
    serve, route, authority, other_authority, make
):
    server = serve(answering(), certificate=make(authority, other_authority))
    refused = problem(server, route)
    assert refused.code == "tls_error"
    assert refused.facts["cause"]
    assert len(server.peers) == 1
    assert server.requests == []


def test_a_self_signed_certificate_is_a_tls_error(route, private_key, tmp_path):
    (tmp_path / "both.pem").write_text(private_key.pem() + private_key.certificate(NAME))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    with RawServer(answering(), HERE, context=context) as server:
        assert problem(server, route).code == "tls_error"
        assert server.requests == []


def test_an_old_tls_version_is_a_tls_error(route, authority):
    context = server_context(authority.issue_cert(NAME))
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with RawServer(answering(), HERE, context=context) as server:
        assert problem(server, route).code == "tls_error"


def test_a_bundle_is_given_by_its_path_and_a_changed_one_is_noticed(serve, route, authority, other_authority, tmp_path):
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(pem(other_authority))
    route = dataclasses.replace(route, ca_certificates="", verify=str(bundle))
    server = serve(answering())
    assert problem(server, route).code == "tls_error"
    bundle.write_text(pem(authority))
    os.utime(bundle, ns=(1, 1))
    assert get(server, route).status == 200


def test_the_ca_of_one_integration_counts_for_no_other(serve, route, other_authority):
    server = serve(answering())
    others = dataclasses.replace(route, ca_certificates=pem(other_authority))
    assert get(server, route).status == 200
    assert problem(server, others).code == "tls_error"
    assert get(server, route).status == 200


def test_failures_by_one_integrations_certificates_do_not_shut_others_out(serve, route, other_authority):
    server = serve(answering())
    others = dataclasses.replace(route, ca_certificates=pem(other_authority))
    for _ in range(3):
        assert problem(server, others).code == "tls_error"
    assert problem(server, others).code == "server_overloaded"
    assert get(server, route).status == 200


# Limits in bytes


COMPRESSED = {
    "gzip": gzip.compress(b"x" * 1000),
    "x-gzip": gzip.compress(b"x" * 1000),
    "gzip, gzip": gzip.compress(gzip.compress(bytes(10**7))),
    "deflate": zlib.compress(b"x" * 1000),
    "br": b"\x0b\x02\x80hello\x03",
    "zstd": b"(\xb5/\xfd",
    "identity, gzip": gzip.compress(b"x"),
}


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_compressed_answers_are_refused_unread(serve, route, encoding):
    server = serve(answering(answer(COMPRESSED[encoding], "200 OK", f"Content-Encoding: {encoding}")))
    refused = problem(server, route)
    assert refused.code == "malformed_answer"
    assert "compressed" in refused.reason
    assert server.is_left_alone()


def test_an_answer_that_says_it_is_not_compressed_is_read(serve, route):
    server = serve(answering(answer(b"hello", "200 OK", "Content-Encoding: identity")))
    assert get(server, route).body == b"hello"


def test_a_compressed_answer_that_does_not_say_so_stays_compressed(serve, route):
    server = serve(answering(answer(COMPRESSED["gzip"])))
    assert get(server, route).body == COMPRESSED["gzip"]


FLOODS = {
    "by its length": (b"HTTP/1.1 200 OK\r\nContent-Length: 52428800\r\n\r\n", b"x" * 65536),
    "until the end": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"x" * 65536),
    "in chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"8000\r\n" + b"x" * 0x8000 + b"\r\n"),
    "in one chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3200000\r\n", b"x" * 65536),
    "in a chunk's first line": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * 65536),
    "in a header line": (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536),
    "in the status line": (b"HTTP/1.1 200 ", b"x" * 65536),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_is_cut_off(serve, route, flood):
    beginning, more = FLOODS[flood]

    def pour(peer):
        peer.read()
        peer.send(beginning)
        for _ in range(800):
            peer.send(more)

    server = serve(pour)
    tracemalloc.start()
    try:
        refused = problem(server, route)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.code in {"malformed_answer", "connection_failed"}
    assert peak < 5_000_000
    assert server.is_left_alone()


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(200)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\nx\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/9.9\r\n\r\n",
        b"\x00" * 1000,
        b"",
    ],
    ids=[
        "200 headers",
        "a header line of 70 KB",
        "SSH",
        "less than announced",
        "a chunk without size",
        "a chunk of negative size",
        "half a chunk",
        "a status that is no number",
        "another version",
        "zeros",
        "nothing",
    ],
)
def test_what_is_not_http_is_a_failed_connection_after_one_try(serve, route, reply):
    def say(peer):
        peer.read()
        peer.send(reply)

    server = serve(say)
    assert problem(server, route).code == "connection_failed"
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\njan",
        b"HTTP/1.0 200 OK\r\n\r\njan",
        b"HTTP/1.1 200 OK\r\nX-AUSERNAME: jan",
    ],
    ids=["without length", "in HTTP/1.0", "within the headers"],
)
def test_an_answer_that_could_have_been_cut_short_is_refused(serve, route, reply):
    def cut(peer):
        peer.read()
        peer.send(reply)

    assert problem(serve(cut), route).code == "malformed_answer"


def test_an_answer_in_chunks_is_read(serve, route):
    reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nX: y\r\n\r\n"
    server = serve(answering(reply))
    assert [get(server, route).body for _ in range(2)] == [b"hello"] * 2
    assert len(server.peers) == 1


# The deadline


def after_headers(peer):
    peer.read()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    peer.drip(b"x", 0.01)


def in_chunks(peer):
    peer.read()
    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    peer.drip(b"1\r\nx\r\n", 0.01)


def in_headers(peer):
    peer.read()
    peer.send(b"HTTP/1.1 200 OK\r\nX: ")
    peer.drip(b"x", 0.01)


def by_header_lines(peer):
    peer.read()
    peer.send(b"HTTP/1.1 200 OK\r\n")
    peer.drip(b"X: y\r\n", 0.02)


def by_interim_answers(peer):
    peer.read()
    peer.drip(b"HTTP/1.1 100 Continue\r\n\r\n", 0.01)


def in_trailers(peer):
    peer.read()
    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
    peer.drip(b"X: y\r\n", 0.01)


def in_silence(peer):
    peer.read()
    peer.wait()


@pytest.mark.parametrize(
    "behaviour",
    [after_headers, in_chunks, in_headers, by_header_lines, by_interim_answers, in_trailers, in_silence],
    ids=lambda behaviour: behaviour.__name__,
)
def test_a_server_that_never_ends_is_left_when_time_is_up(serve, route, behaviour):
    server = serve(behaviour)
    assert problem(server, route, timeout=0.3).code == "timeout"
    assert server.is_left_alone()


def test_a_tls_handshake_that_stalls_is_left_when_time_is_up(serve, route):
    server = serve(lambda peer: peer.wait(), tls=False)
    assert problem(server, route, timeout=0.3).code == "timeout"
    assert server.is_left_alone()


def test_a_tls_handshake_that_drips_is_left_when_time_is_up(serve, route):
    def handshake(peer):
        peer.send(b"\x16\x03\x03\x40\x00")
        peer.drip(b"\x00", 0.01)

    server = serve(handshake, tls=False)
    assert problem(server, route, timeout=0.3).code == "timeout"
    assert server.is_left_alone()


def test_a_kept_connection_has_the_deadline_too(serve, route):
    def first_only(peer):
        peer.read()
        peer.send(answer())
        peer.read()
        peer.wait()

    server = serve(first_only)
    assert get(server, route).status == 200
    assert problem(server, route, timeout=0.3).code == "timeout"
    assert len(server.peers) == 1
    assert server.is_left_alone()


# Many at once


def test_a_stalled_server_takes_four_connections_and_no_more_and_no_other_server_suffers(
    serve, route, names, monkeypatch
):
    monkeypatch.setattr(transport, "_WAIT_FOR_CONNECTION", 0.01)
    arrived, release = threading.Semaphore(0), threading.Event()

    def stall(peer):
        peer.read()
        arrived.release()
        release.wait(30)
        peer.send(answer())

    stalled, other = serve(stall), serve(answering())
    with ThreadPoolExecutor(4) as waiting:
        under_way = [waiting.submit(get, stalled, route, timeout=30) for _ in range(4)]
        for _ in under_way:
            assert arrived.acquire(timeout=10)
        refused = [problem(stalled, route, timeout=30).code for _ in range(10)]
        unaffected = get(other, route).status
        release.set()
        served = [future.result().status for future in under_way]
    assert refused == ["server_overloaded"] * 10
    assert unaffected == 200
    assert served == [200] * 4
    assert len(stalled.peers) == 4


def test_a_server_that_failed_three_times_is_left_alone_and_then_tried_once(serve, route, monkeypatch):
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(transport, "time", SimpleNamespace(monotonic=lambda: now.seconds))
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


def test_a_refused_address_has_the_same_consequences_as_an_unknown_name(serve, route, names):
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


def test_threads_share_connections_and_get_their_own_answers(serve, route):
    def echo(peer):
        while request := peer.read():
            peer.send(answer(request.split()[1].encode()))

    server = serve(echo)

    def ask(number):
        return send("GET", f"{url(server)}{number}", {}, route=route, timeout=30).body

    with ThreadPoolExecutor(4) as pool:
        bodies = list(pool.map(ask, range(100)))
    assert bodies == [b"/x%d" % number for number in range(100)]
    assert len(server.peers) <= transport.CONNECTIONS


FORKED = """
import os, sys
from ipaddress import ip_address
from social_bitbucket_server import reaching, transport
host, port, ca = sys.argv[1:]
reaching.resolver = lambda name: [ip_address(host)]
def get():
    route = transport.Route(ca_certificates=ca)
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
    subprocess.run(arguments, check=True, timeout=60, cwd=os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    processes = [{request.split()[1] for request in peer.requests} for peer in server.peers]
    assert [len(peer.requests) for peer in server.peers] == [2, 2]
    assert [len(seen) for seen in processes] == [1, 1]
    assert processes[0] != processes[1]


# Whole conversations


@pytest.fixture
def client(route, private_key):
    """A client of the server given."""

    def make(server, **options):
        integration = Integration(
            id="acme-1",
            server_url=ServerURL.parse(f"https://{NAME}:{server.port}"),
            consumer_key="the-consumer",
            private_key=private_key,
            namespace="ns",
            ca_certificates=route.ca_certificates,
            address_policy=route.policy,
            timeout=5,
            **options,
        )
        return Client(integration)

    return make


TOKEN = AccessToken("A", "", None, None)
CONFIRMED = answer(b"oauth_token=T&oauth_token_secret=S&oauth_callback_confirmed=true")


def nonces(server):
    return [request.partition('oauth_nonce="')[2].partition('"')[0] for request in server.requests]


def test_connections_are_used_again_across_logins_and_clients(serve, client):
    server = serve(answering(CONFIRMED))
    for _ in range(5):
        assert client(server).request_token("https://app.example/") == "T"
    assert len(server.peers) == 1
    assert len(set(nonces(server))) == 5


def closing_after(answers, reply=CONFIRMED):
    """Keep a connection, but close it without an answer to the request after so many; the first such connection."""
    seen = []

    def behave(peer):
        seen.append(peer)
        while peer.read():
            if peer is seen[0] and len(peer.requests) > answers:
                return
            peer.send(reply)

    return behave


def test_a_kept_connection_that_was_closed_is_signed_and_sent_again_once_with_another_nonce(serve, client):
    server = serve(closing_after(1))
    client(server).request_token("https://app.example/")
    client(server).request_token("https://app.example/")
    assert [len(peer.requests) for peer in server.peers] == [2, 1]
    assert len(set(nonces(server))) == 3


def test_it_is_sent_again_on_a_new_connection_where_other_kept_ones_were_closed_too(serve, client):
    barrier = threading.Barrier(2)
    kept = []

    def behave(peer):
        if len(kept) < 2:
            kept.append(peer)
        peer.read()
        if peer in kept:
            barrier.wait(10)
        peer.send(CONFIRMED)
        peer.read()

    server = serve(behave)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: client(server).request_token("https://app.example/"), range(2)))
    assert client(server).request_token("https://app.example/") == "T"
    assert len(server.requests) == 4
    assert len(server.peers) == 3


def test_a_new_connection_that_is_closed_is_not_tried_again(serve, client):
    def behave(peer):
        peer.read()
        if peer is server.peers[0]:
            peer.send(CONFIRMED)
            peer.read()

    server = serve(behave)
    client(server).request_token("https://app.example/")
    with pytest.raises(BitbucketServerError) as caught:
        client(server).request_token("https://app.example/")
    assert caught.value.code == "connection_failed"
    assert len(server.requests) == 3


def test_a_first_connection_that_is_closed_is_not_tried_again(serve, client):
    server = serve(lambda peer: peer.read())
    with pytest.raises(BitbucketServerError) as caught:
        client(server).request_token("https://app.example/")
    assert caught.value.code == "connection_failed"
    assert len(server.requests) == 1


def test_a_post_of_a_document_is_not_sent_again(serve, client):
    server = serve(closing_after(1, answer(b"{}")))
    address = f"https://{NAME}:{server.port}/rest/x"
    client(server).request("POST", address, TOKEN, body="{}", limit=1000)
    with pytest.raises(BitbucketServerError) as caught:
        client(server).request("POST", address, TOKEN, body="{}", limit=1000)
    assert caught.value.code == "connection_failed"
    assert len(server.requests) == 2


def test_a_put_of_a_document_is_sent_again(serve, client):
    server = serve(closing_after(1, answer(b"{}")))
    address = f"https://{NAME}:{server.port}/rest/x"
    for _ in range(2):
        assert client(server).request("PUT", address, TOKEN, body='{"a": 1}', limit=1000).status == 200
    assert len(server.requests) == 3
    assert all(request.endswith('\r\n\r\n{"a": 1}') for request in server.requests)


def test_stale_connections_are_not_held_against_the_server(serve, client):
    def behave(peer):
        peer.read()
        peer.send(CONFIRMED)
        peer.read()

    server = serve(behave)
    for _ in range(10):
        assert client(server).request_token("https://app.example/") == "T"


# Proxies


class Tunnel:
    """A proxy that lets connections through to where the test says, and remembers what it was asked."""

    def __init__(self, target, status="200 Connection established"):
        self.asked = []
        self._target = target
        self._status = status

    def __call__(self, peer):
        head = peer.read()
        self.asked.append(head)
        if not self._status.startswith("200"):
            peer.send(answer(b"", self._status))
            return
        peer.send(f"HTTP/1.1 {self._status}\r\n\r\n".encode())
        with socket.create_connection(self._target) as onward:
            threading.Thread(target=self._carry, args=(onward, peer._connection), daemon=True).start()
            self._carry(peer._connection, onward)

    @staticmethod
    def _carry(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:  # one side is gone
            pass


def test_a_proxy_is_asked_for_the_address_that_was_checked_and_carries_tls_for_the_name(serve, client):
    server = serve(answering(CONFIRMED))
    tunnel = Tunnel((HERE, server.port))
    proxy = serve(tunnel, tls=False)
    through = client(server, proxies={"https": f"http://{HERE}:{proxy.port}"})
    for _ in range(2):
        assert through.request_token("https://app.example/") == "T"
    (asked,) = tunnel.asked
    assert asked.startswith(f"CONNECT {HERE}:{server.port} HTTP/1.")
    assert "oauth" not in asked.lower()
    assert "proxy-authorization" not in asked.lower()
    assert f"Host: {NAME}:{server.port}\r\n" in server.requests[0]


def test_a_proxy_is_asked_for_the_name_where_there_is_no_policy(serve, route, names):
    server = serve(answering())
    names.addresses[NAME] = socket.gaierror(-2, "Name or service not known")
    tunnel = Tunnel((HERE, server.port))
    proxy = serve(tunnel, tls=False)
    operators = dataclasses.replace(route, policy=None, proxy=f"http://{HERE}:{proxy.port}")
    assert get(server, operators).body == b"hello"
    assert tunnel.asked[0].startswith(f"CONNECT {NAME}:{server.port} HTTP/1.")


@pytest.mark.parametrize("key", ["https", f"https://{NAME}", "all", f"all://{NAME}"])
def test_a_proxy_is_chosen_by_the_keys_that_requests_knows(serve, client, key):
    server = serve(answering(CONFIRMED))
    tunnel = Tunnel((HERE, server.port))
    proxy = serve(tunnel, tls=False)
    client(server, proxies={"http": "http://127.0.0.1:9", key: f"{HERE}:{proxy.port}"}).request_token(
        "https://app.example/"
    )
    assert len(tunnel.asked) == 1


def test_a_proxy_is_logged_in_to_with_the_name_in_its_address(serve, client):
    server = serve(answering(CONFIRMED))
    tunnel = Tunnel((HERE, server.port))
    proxy = serve(tunnel, tls=False)
    client(server, proxies={"https": f"http://us%40er:pass@{HERE}:{proxy.port}"}).request_token("https://app.example/")
    assert "\r\nproxy-authorization: Basic dXNAZXI6cGFzcw==\r\n" in tunnel.asked[0]


@pytest.mark.parametrize("addresses", [[FORBIDDEN], [HERE, FORBIDDEN], ["10.0.0.1"]], ids=which)
def test_a_proxy_is_never_asked_for_an_address_that_is_not_permitted(serve, client, names, addresses):
    server = serve(answering(CONFIRMED))
    tunnel = Tunnel((HERE, server.port))
    proxy = serve(tunnel, tls=False)
    names.addresses[NAME] = addresses
    with pytest.raises(BitbucketServerError) as caught:
        client(server, proxies={"https": f"http://{HERE}:{proxy.port}"}).request_token("https://app.example/")
    assert caught.value.code == "address_blocked"
    assert not proxy.peers


@pytest.mark.parametrize("found", [socket.gaierror(-2, "Name or service not known"), []], ids=["unknown", "nothing"])
def test_a_proxy_is_never_asked_for_a_name_that_could_not_be_checked(serve, client, names, found):
    server = serve(answering(CONFIRMED))
    proxy = serve(Tunnel((HERE, server.port)), tls=False)
    names.addresses[NAME] = found
    with pytest.raises(BitbucketServerError) as caught:
        client(server, proxies={"https": f"http://{HERE}:{proxy.port}"}).request_token("https://app.example/")
    assert caught.value.code == "connection_failed"
    assert not proxy.peers


@pytest.mark.parametrize("status", ["403 Forbidden", "407 Proxy Authentication Required", "502 Bad Gateway"])
def test_a_proxy_that_refuses_is_a_failed_connection(serve, client, status):
    server = serve(answering(CONFIRMED))
    proxy = serve(Tunnel((HERE, server.port), status), tls=False)
    with pytest.raises(BitbucketServerError) as caught:
        client(server, proxies={"https": f"http://{HERE}:{proxy.port}"}).request_token("https://app.example/")
    assert caught.value.code == "connection_failed"
    assert not server.peers


def test_a_certificate_is_checked_through_a_proxy_as_well(serve, client, other_authority):
    server = serve(answering(CONFIRMED), certificate=other_authority.issue_cert(NAME))
    proxy = serve(Tunnel((HERE, server.port)), tls=False)
    with pytest.raises(BitbucketServerError) as caught:
        client(server, proxies={"https": f"http://{HERE}:{proxy.port}"}).request_token("https://app.example/")
    assert caught.value.code == "tls_error"
    assert server.requests == []


def test_a_proxy_that_stalls_is_left_when_time_is_up(serve, route, client):
    server = serve(answering(CONFIRMED))
    proxy = serve(in_silence, tls=False)
    stalled = dataclasses.replace(route, proxy=f"http://{HERE}:{proxy.port}")
    assert problem(server, stalled, timeout=0.3).code == "timeout"
    assert proxy.is_left_alone()


@pytest.mark.parametrize("address", ["socks5://127.0.0.1:1080", "ftp://127.0.0.1", "http://[::1", "http://a:b:c"])
def test_a_proxy_of_another_kind_is_a_setting_that_cannot_be_used(serve, route, address):
    refused = problem(serve(answering()), dataclasses.replace(route, proxy=address))
    assert (refused.code, refused.parameter) == ("setting_invalid", "proxies")
