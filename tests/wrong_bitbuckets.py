"""Everything that can be wrong with a Bitbucket Server and the way to it, set up for real, and what a check-up says."""

from __future__ import annotations

import datetime as dt
import re
import socket
import ssl
import threading
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from social_bitbucket_server.crypto import PrivateKey, PublicKey
from social_bitbucket_server.onboarding import Result, Stage, checkup
from social_bitbucket_server.problems import PROBLEMS, Problem
from social_bitbucket_server.sandbox import Sandbox
from social_bitbucket_server.transport import default_transport
from tests.client_certificates import wanting
from tests.raw_server import Behaviour, Peer, RawServer, answer, answering

HERE = "127.0.0.1"

A_MOMENT = 0.05
"""Seconds for what never comes. A busy machine that is slower still finds the same: no answer in time."""

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Place:
    """Target of an integration: its base URL, its trusted CA certificates (PEM), and *paste*. That function does the
    Bitbucket admin's work with the consumer key and the public key."""

    url: str
    ca_certificates: str = ""
    paste: Callable[[str, str], object] = lambda consumer_key, public_key: None


class Bench:
    """Sets places up, for the length of a test."""

    def __init__(self, stack: ExitStack, monkeypatch: Any) -> None:
        self.stack = stack
        self.monkeypatch = monkeypatch
        self.company = _company()

    def sandbox(self, **faults: object) -> Place:
        sandbox = self.start_sandbox(**faults)
        return Place(sandbox.url, paste=lambda key, pem: sandbox.link(consumer_key=key, public_key=pem))

    def start_sandbox(self, **faults: object) -> Sandbox:
        sandbox = self.stack.enter_context(Sandbox(context="/bitbucket"))
        sandbox.faults.update(faults)
        if sandbox.faults.delay:
            self.hurry(Stage.HTTP)
        return sandbox

    def plain(self, behaviour: Behaviour, scheme: str = "http") -> Place:
        """A port without TLS, whatever the base URL says."""
        return Place(f"{scheme}://{HERE}:{self.listen(behaviour)}")

    def tls(self, certificate: Any, behaviour: Behaviour | None = None, *, ca: str | None = None) -> Place:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        trusted = self.company.cert_pem.bytes().decode() if ca is None else ca
        return Place(f"https://{HERE}:{self.listen(behaviour or answering(), context)}", trusted)

    def hurry(self, stage: Stage) -> None:
        """Give *stage*, in which the answer never comes, a moment. The stages before take what a busy machine needs."""
        look = checkup._look

        def look_briefly(at: Stage, act: Callable[[], Result]) -> tuple[Result, bool]:
            with pytest.MonkeyPatch.context() as patched:
                if at is stage:
                    patched.setattr(checkup, "_STAGE_SECONDS", A_MOMENT)
                return look(at, act)

        self.monkeypatch.setattr(checkup, "_look", look_briefly)

    def listen(self, behaviour: Behaviour, context: ssl.SSLContext | None = None) -> int:
        return self.stack.enter_context(RawServer(behaviour, context=context)).port


@dataclass(frozen=True)
class Wrong:
    """One thing that is wrong: how to *arrange* it, the *stage* where the check-up ends, and how its answer begins."""

    what: str
    arrange: Callable[[Bench], Place]
    stage: Stage
    sentence: str

    @property
    def problem(self) -> Problem:
        """The problem whose title the sentence begins with."""
        (problem,) = (problem for problem in PROBLEMS.values() if self.sentence.startswith(problem.title))
        return problem


@cache
def _company() -> trustme.CA:
    return trustme.CA(organization_name="The Company")


_generate = PrivateKey.generate


@cache
def _key(bits: int) -> PrivateKey:
    """A key that is no integration's: those of the pool, which tests get from ``PrivateKey.generate``, may be."""
    return _generate(bits)


class SelfSigned:
    """A certificate that a server made itself."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bitbucket")])
        now = dt.datetime.now(dt.UTC)
        builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - _DAY, now + _DAY).add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(HERE))]), critical=False
        )
        certificate = builder.sign(key, hashes.SHA256())
        self.pem = certificate.public_bytes(serialization.Encoding.PEM)
        self._key = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def configure_cert(self, context: ssl.SSLContext) -> None:
        with trustme.Blob(self.pem).tempfile() as certificate, trustme.Blob(self._key).tempfile() as key:
            context.load_cert_chain(certificate, key)


class Issued:
    """A certificate that the company's CA, or a certificate of its own that is no CA's, issued as it is told."""

    def __init__(
        self,
        company: trustme.CA,
        *,
        bits: int = 2048,
        purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
        is_by_no_ca: bool = False,
    ) -> None:
        issuer, issuer_key = x509.load_pem_x509_certificate(company.cert_pem.bytes()), _private(company.private_key_pem)
        self._pems: list[bytes] = []
        if is_by_no_ca:
            middle = company.issue_cert("middle.example")
            self._pems = [middle.cert_chain_pems[0].bytes()]
            issuer, issuer_key = x509.load_pem_x509_certificate(self._pems[0]), _private(middle.private_key_pem)
        key = rsa.generate_private_key(65537, bits)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bitbucket")])
        now = dt.datetime.now(dt.UTC)
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(HERE))])
        builder = x509.CertificateBuilder(issuer.subject, name, key.public_key(), 7, now - _DAY, now + _DAY)
        builder = builder.add_extension(names, critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        self._pems.insert(0, builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        self._key = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def configure_cert(self, context: ssl.SSLContext) -> None:
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        with trustme.Blob(b"".join(self._pems)).tempfile() as certificates, trustme.Blob(self._key).tempfile() as key:
            context.load_cert_chain(certificates, key)


def _private(pem: trustme.Blob) -> Any:
    return serialization.load_pem_private_key(pem.bytes(), None)


class Alone:
    """A certificate without the intermediate one that issued it."""

    def __init__(self, certificate: trustme.LeafCert) -> None:
        self._certificate = certificate

    def configure_cert(self, context: ssl.SSLContext) -> None:
        leaf, key = self._certificate.cert_chain_pems[0], self._certificate.private_key_pem
        with leaf.tempfile() as certificate_file, key.tempfile() as key_file:
            context.load_cert_chain(certificate_file, key_file)


def behind_a_proxy_that_hides_https(bench: Bench) -> Place:
    """The sandbox behind a real proxy that ends TLS and tells nobody."""
    sandbox = bench.start_sandbox()
    port = int(sandbox.url.split(":")[2].partition("/")[0])

    def forward(peer: Peer) -> None:
        with socket.create_connection((HERE, port)) as onward:
            back = threading.Thread(target=_carry, args=(onward, peer._connection), daemon=True)
            back.start()
            _carry(peer._connection, onward)
            back.join()

    place = bench.tls(bench.company.issue_cert(HERE), forward)
    return Place(
        f"{place.url}/bitbucket",
        place.ca_certificates,
        lambda key, pem: sandbox.link(consumer_key=key, public_key=pem),
    )


def _without_authorization(below: str) -> Callable[[Bench], Place]:
    """The sandbox behind a proxy that takes the header Authorization away from requests *below* a path."""

    def arrange(bench: Bench) -> Place:
        sandbox = bench.start_sandbox()
        port = int(sandbox.url.split(":")[2].partition("/")[0])

        def forward(peer: Peer) -> None:
            request = peer.read()
            if f" /bitbucket{below}" in request.partition("\r\n")[0]:
                request = re.sub(r"(?im)^authorization: .*\r\n", "", request)
            with socket.create_connection((HERE, port)) as onward:
                onward.sendall(re.sub(r"\r\n\r\n", "\r\nConnection: close\r\n\r\n", request, count=1).encode("latin-1"))
                _carry(onward, peer._connection)

        place = bench.plain(forward)
        return Place(f"{place.url}/bitbucket", paste=lambda key, pem: sandbox.link(consumer_key=key, public_key=pem))

    return arrange


def _carry(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:  # one side is gone
        pass


def _nobody_knows_the_name(bench: Bench) -> Place:
    def unknown(name: str) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    default_transport().resolver = unknown
    return Place("https://bitbucket.example.invalid")


def _nothing_listens(bench: Bench) -> Place:
    taken = bench.stack.enter_context(socket.socket())  # nobody else can listen there meanwhile
    taken.bind((HERE, 0))
    return Place(f"http://{HERE}:{taken.getsockname()[1]}")


def _swallowed(bench: Bench) -> Place:
    """A port whose queue is full: the kernel drops what comes, as a firewall does."""
    bench.hurry(Stage.CONNECTION)
    listener = bench.stack.enter_context(socket.create_server((HERE, 0), backlog=0))
    for _ in range(4):
        filling = bench.stack.enter_context(socket.socket())
        filling.setblocking(False)
        filling.connect_ex(listener.getsockname())
    return Place(f"http://{HERE}:{listener.getsockname()[1]}")


_NO_CERTIFICATE_SENT = answer(
    b"<html>\r\n<head><title>400 No required SSL certificate was sent</title></head>\r\n<body>\r\n",
    "400 Bad Request",
    "Content-Type: text/html",
)
"""Answer of nginx where ``ssl_verify_client`` is ``on``."""


def wants_client_certificate(version: ssl.TLSVersion) -> Callable[[Bench], Place]:
    """A gateway that speaks *version* with clients that the company issued a certificate for."""

    def arrange(bench: Bench) -> Place:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        bench.company.issue_cert(HERE).configure_cert(context)
        wanting(context, bench.company, version)
        trusted = bench.company.cert_pem.bytes().decode()
        return Place(f"https://{HERE}:{bench.listen(answering(), context)}", trusted)

    return arrange


def _silent(scheme: str) -> Callable[[Bench], Place]:
    def arrange(bench: Bench) -> Place:
        bench.hurry(Stage.TLS if scheme == "https" else Stage.HTTP)
        return bench.plain(Peer.wait, scheme)

    return arrange


def _linked(**values: object) -> Callable[[Bench], Place]:
    """The sandbox, with a link whose values are others than those of the worksheet."""

    def arrange(bench: Bench) -> Place:
        sandbox = bench.start_sandbox()

        def paste(key: str, pem: str) -> None:
            given: dict[str, Any] = {"consumer_key": key, "public_key": pem} | values
            if given["public_key"] is _OF_SAME_SIZE:
                given["public_key"] = _key(PublicKey.read(pem).bits).public.pem
            if given["public_key"] is _OF_ANOTHER_SIZE:
                given["public_key"] = _key(5120 - PublicKey.read(pem).bits).public.pem
            sandbox.link(**given)

        return Place(sandbox.url, paste=paste)

    return arrange


_OF_SAME_SIZE, _OF_ANOTHER_SIZE = object(), object()


def _faulty(**faults: object) -> Callable[[Bench], Place]:
    return lambda bench: bench.sandbox(**faults)


def _says(body: str, status: str = "200 OK", kind: str = "text/html", *headers: str) -> Callable[[Bench], Place]:
    return lambda bench: bench.plain(answering(answer(body.encode(), status, f"Content-Type: {kind}", *headers)))


def _mirror(peer: Peer) -> None:
    """Answer as a mirror, which tells its version and knows no OAuth."""
    while request := peer.read():
        if PROPERTIES in request.partition("\r\n")[0]:
            peer.send(answer(b'{"version":"8.19.0"}', "200 OK", "Content-Type: application/json"))
        else:
            peer.send(answer(b"<title>404</title>", "404 Not Found", "Content-Type: text/html"))


def _shows(make: Callable[[trustme.CA], Any], *, ca: str | None = None) -> Callable[[Bench], Place]:
    return lambda bench: bench.tls(make(bench.company), ca=ca)


def _without_its_context_path(bench: Bench) -> Place:
    return Place(bench.sandbox().url.removesuffix("/bitbucket"))


def _old_tls(bench: Bench) -> Place:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    bench.company.issue_cert(HERE).configure_cert(context)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return Place(f"https://{HERE}:{bench.listen(answering(), context)}", bench.company.cert_pem.bytes().decode())


PROPERTIES = "/rest/api/latest/application-properties"
_NGINX_400 = "<title>400 The plain HTTP request was sent to HTTPS port</title><center>nginx/1.24.0</center>"
_LOGIN = "Something in front of Bitbucket asks to log in."
_ADDRESS = "Bitbucket sees another address than the base URL, and so it cannot verify signatures. The server sees "

FAULTS_OF_THE_SANDBOX = (
    Wrong("interception: redirect", _faulty(interception="redirect"), Stage.HTTP, _LOGIN),
    Wrong("interception: page", _faulty(interception="page"), Stage.HTTP, _LOGIN),
    Wrong(
        "interception: page, below /plugins alone",
        _faulty(interception="page", only_path="/plugins/"),
        Stage.SIGNATURE,
        _LOGIN,
    ),
    Wrong("rate_limited", _faulty(rate_limited=True), Stage.HTTP, "The Bitbucket Server limits our requests."),
    Wrong(
        "server_error",
        _faulty(server_error=True),
        Stage.HTTP,
        "The Bitbucket Server reported an error of its own.",
    ),
    Wrong("delay", _faulty(delay=600.0), Stage.HTTP, "The Bitbucket Server did not answer in time."),
    Wrong("clock_skew: ahead", _faulty(clock_skew=900), Stage.CLOCK, "The clocks differ too much."),
    Wrong("clock_skew: behind", _faulty(clock_skew=-900), Stage.CLOCK, "The clocks differ too much."),
    Wrong("seen_scheme", _faulty(seen_scheme="https"), Stage.SIGNATURE, f"{_ADDRESS}https:// instead of http://"),
    Wrong(
        "seen_host",
        _faulty(seen_host="internal.example"),
        Stage.SIGNATURE,
        f"{_ADDRESS}the host internal.example instead of 127.0.0.1",
    ),
    Wrong("seen_port", _faulty(seen_port=1234), Stage.SIGNATURE, f"{_ADDRESS}port 1234 instead of"),
    Wrong("seen_context_twice", _faulty(seen_context_twice=True), Stage.SIGNATURE, f"{_ADDRESS}the context path twice"),
    Wrong(
        "a proxy that hides https",
        behind_a_proxy_that_hides_https,
        Stage.SIGNATURE,
        f"{_ADDRESS}http:// instead of https://: its proxy settings lack server.scheme and server.secure",
    ),
)

FAULTS_OF_PROXIES = (
    Wrong(
        "Authorization is taken away",
        _without_authorization("/"),
        Stage.SIGNATURE,
        "The header Authorization does not reach Bitbucket.",
    ),
    Wrong(
        "Authorization is taken away below /rest",
        _without_authorization("/rest/"),
        Stage.REST,
        "The header Authorization does not reach Bitbucket. It arrives below /plugins/servlet/oauth",
    ),
)

FAULTS_OF_THE_LINK = (
    Wrong(
        "no link with the consumer key",
        _linked(consumer_key="another"),
        Stage.SIGNATURE,
        "Bitbucket does not know the consumer key.",
    ),
    Wrong(
        "another public key",
        _linked(public_key=_OF_SAME_SIZE),
        Stage.SIGNATURE,
        "The public key in the application link is not the one of this integration.",
    ),
    Wrong(
        "a public key of another size",
        _linked(public_key=_OF_ANOTHER_SIZE),
        Stage.SIGNATURE,
        "Bitbucket cannot use the public key in the application link.",
    ),
    Wrong(
        "a damaged public key",
        _linked(public_key="nonsense"),
        Stage.SIGNATURE,
        "Bitbucket cannot use the public key in the application link.",
    ),
    Wrong(
        "three-legged OAuth off",
        _linked(three_legged_allowed=False),
        Stage.SIGNATURE,
        "Bitbucket does not let this consumer ask people for access.",
    ),
)

FAULTS_OF_TLS = (
    Wrong(
        "self-signed",
        lambda bench: bench.tls(SelfSigned()),
        Stage.TLS,
        "The Bitbucket Server's certificate is self-signed.",
    ),
    Wrong(
        "expired",
        _shows(lambda company: company.issue_cert(HERE, not_after=dt.datetime.now(dt.UTC) - _DAY)),
        Stage.TLS,
        "The Bitbucket Server's certificate is not valid today.",
    ),
    Wrong(
        "another name",
        _shows(lambda company: company.issue_cert("other.example")),
        Stage.TLS,
        "The Bitbucket Server's certificate is for another name.",
    ),
    Wrong(
        "a key of 1024 bits",
        _shows(lambda company: Issued(company, bits=1024)),
        Stage.TLS,
        "The Bitbucket Server's certificate, or one of its CA's, is too weak. OpenSSL says: EE",
    ),
    Wrong(
        "a certificate for clients",
        _shows(lambda company: Issued(company, purpose=ExtendedKeyUsageOID.CLIENT_AUTH)),
        Stage.TLS,
        "The Bitbucket Server's certificate, or one of its CA's, is not made for this use. OpenSSL says: unsu",
    ),
    Wrong(
        "an intermediate certificate that is no CA's",
        _shows(lambda company: Issued(company, is_by_no_ca=True)),
        Stage.TLS,
        "The Bitbucket Server's certificate, or one of its CA's, is not made for this use. OpenSSL says: invalid CA",
    ),
    Wrong(
        "the intermediate certificate is missing",
        _shows(lambda company: Alone(company.create_child_ca().issue_cert(HERE))),
        Stage.TLS,
        "The Bitbucket Server shows its own certificate alone, and who issued it is not known here.",
    ),
    Wrong(
        "a CA that is not trusted",
        _shows(lambda company: company.create_child_ca().issue_cert(HERE), ca=""),
        Stage.TLS,
        "The Bitbucket Server's certificate was issued by a CA that is not trusted here.",
    ),
    Wrong(
        "http on the port for https",
        lambda bench: bench.plain(lambda peer: peer.send(answer(b"", "400 Bad Request")), "https"),
        Stage.TLS,
        "The Bitbucket Server does not speak TLS on the port of the base URL.",
    ),
    Wrong(
        "a handshake that stalls",
        _silent("https"),
        Stage.TLS,
        "The Bitbucket Server does not answer the TLS handshake.",
    ),
    Wrong(
        "a handshake that is broken off",
        lambda bench: bench.plain(lambda _: None, "https"),
        Stage.TLS,
        "No secure connection to the Bitbucket Server could be made.",
    ),
    Wrong(
        "a client certificate is wanted in TLS 1.2",
        wants_client_certificate(ssl.TLSVersion.TLSv1_2),
        Stage.TLS,
        "A gateway in front of Bitbucket wants a client certificate.",
    ),
    Wrong(
        "a client certificate is wanted in TLS 1.3",
        wants_client_certificate(ssl.TLSVersion.TLSv1_3),
        Stage.HTTP,
        "A gateway in front of Bitbucket wants a client certificate.",
    ),
    Wrong(
        "a client certificate is wanted by nginx",
        lambda bench: bench.tls(bench.company.issue_cert(HERE), answering(_NO_CERTIFICATE_SENT)),
        Stage.HTTP,
        "A gateway in front of Bitbucket wants a client certificate.",
    ),
    Wrong(
        "TLS 1.1 at the most", _old_tls, Stage.TLS, "The Bitbucket Server speaks only versions of TLS that are too old."
    ),
)

FAULTS_OF_THE_NETWORK = (
    Wrong(
        "no such name",
        _nobody_knows_the_name,
        Stage.NAME,
        "The name in the base URL does not lead to a server that can be reached.",
    ),
    Wrong("nothing listens", _nothing_listens, Stage.CONNECTION, "Nothing listens on the port of the base URL."),
    Wrong(
        "a firewall that swallows everything",
        _swallowed,
        Stage.CONNECTION,
        "The port of the base URL does not answer; a firewall may be in between.",
    ),
    Wrong(
        "a server that is silent",
        _silent("http"),
        Stage.HTTP,
        "The Bitbucket Server did not answer in time.",
    ),
    Wrong(
        "a server that hangs up",
        lambda bench: bench.plain(lambda peer: peer.read() and None),
        Stage.HTTP,
        "What listens on the port of the base URL does not answer as a web server does.",
    ),
    Wrong(
        "a server of another protocol",
        lambda bench: bench.plain(lambda peer: peer.send(b"SSH-2.0-OpenSSH_9.6\r\n")),
        Stage.HTTP,
        "What listens on the port of the base URL does not answer as a web server does.",
    ),
)

OTHERS_THAT_ANSWER = (
    Wrong(
        "a two-factor plugin",
        _says("<h1>Two-factor authentication</h1>"),
        Stage.HTTP,
        "A two-factor plugin answers instead of Bitbucket's OAuth.",
    ),
    Wrong(
        "maintenance",
        _says("<h1>Down for maintenance</h1>", "503 Service Unavailable"),
        Stage.HTTP,
        "The Bitbucket Server is being maintained.",
    ),
    Wrong(
        "a proxy whose Bitbucket is down",
        _says("<h1>502 Bad Gateway</h1>", "502 Bad Gateway"),
        Stage.HTTP,
        "The Bitbucket Server is starting or restarting.",
    ),
    Wrong(
        "a Bitbucket that starts",
        _says('{"status":"STARTING"}', kind="application/json"),
        Stage.HTTP,
        "The Bitbucket Server is starting or restarting.",
    ),
    Wrong(
        "https on the port for http",
        _says(_NGINX_400, "400 Bad Request"),
        Stage.HTTP,
        "The port of the base URL expects https://.",
    ),
    Wrong(
        "https on the port for http, and no page that says so",
        lambda bench: bench.plain(lambda peer: peer.send(b"\x15\x03\x03\x00\x02\x02\x50")),
        Stage.HTTP,
        "The port of the base URL expects https://.",
    ),
    Wrong(
        "a web application firewall",
        _says("<title>Request Rejected</title>The requested URL was rejected."),
        Stage.HTTP,
        "A web application firewall in front of Bitbucket blocks the request.",
    ),
    Wrong(
        "compression that nobody asked for",
        _says("x", "200 OK", "application/json", "Content-Encoding: gzip"),
        Stage.HTTP,
        "Something in front of Bitbucket compresses its answers, although this application asks it not to.",
    ),
    Wrong(
        "a redirect that wants its cookie back",
        _says("", "302 Found", "text/html", f"Location: {PROPERTIES}?seen=1", "Set-Cookie: seen=1"),
        Stage.HTTP,
        "Something in front of Bitbucket wants a cookie back.",
    ),
    Wrong(
        "a proxy that wants a password",
        _says("", "401 Unauthorized", "text/plain", 'WWW-Authenticate: Basic realm="x"'),
        Stage.HTTP,
        _LOGIN,
    ),
    Wrong(
        "a redirect to another host",
        _says("", "302 Found", "text/plain", "Location: https://elsewhere.example/"),
        Stage.HTTP,
        "The Bitbucket Server answered with a redirect.",
    ),
    Wrong("a page", _says("<p>Welcome!</p>"), Stage.HTTP, "Something else than Bitbucket's OAuth answered."),
    Wrong(
        "the context path is missing",
        _without_its_context_path,
        Stage.HTTP,
        "Bitbucket is below another address. It is http://",
    ),
    Wrong(
        "a mirror",
        lambda bench: bench.plain(_mirror),
        Stage.SIGNATURE,
        "Bitbucket has no OAuth at the base URL.",
    ),
    Wrong(
        "nothing at the address",
        _says("no", "404 Not Found", "text/plain"),
        Stage.HTTP,
        "Something else than Bitbucket answers at the base URL.",
    ),
    Wrong(
        "another product",
        _says('{"baseUrl":"https://jira.example.com","deploymentType":"Server"}', kind="application/json"),
        Stage.BITBUCKET,
        "Something else than Bitbucket answers at the base URL.",
    ),
)

EVERYTHING = (
    *FAULTS_OF_THE_SANDBOX,
    *FAULTS_OF_PROXIES,
    *FAULTS_OF_THE_LINK,
    *FAULTS_OF_TLS,
    *FAULTS_OF_THE_NETWORK,
    *OTHERS_THAT_ANSWER,
)
