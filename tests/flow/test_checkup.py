"""Every fault by its right name: the check-up against sandboxes, TLS servers and nothing at all."""

import dataclasses
import datetime as dt
import socket
import ssl
import threading
import time
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from types import SimpleNamespace
from urllib.parse import quote

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from urllib3 import HTTPHeaderDict

from social_bitbucket_server import checkup, reaching
from social_bitbucket_server.addresses import PUBLIC_ONLY
from social_bitbucket_server.base_strings import Cause
from social_bitbucket_server.checkup import Outcome, Stage, check_up
from social_bitbucket_server.integration import Integration, OAuth2Integration
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.server_url import ServerURL
from social_bitbucket_server.transport import Answer
from tests.scripted_server import Reply

CALLBACK = "https://app.example/complete/bitbucket-server/acme/"
HTML = (("Content-Type", "text/html"),)
JSON = (("Content-Type", "application/json"),)
PROPERTIES = "/rest/api/latest/application-properties"


def look(integration):
    return list(check_up(lambda: integration, CALLBACK))


def failure(results):
    return checkup.first_failure(results)


def outcome(results, stage):
    return next(result.outcome for result in results if result.stage is stage)


@pytest.fixture
def sandbox(bitbucket_sandbox, private_key):
    bitbucket_sandbox.link(consumer_key="the-consumer", public_key=private_key.public.pem)
    return bitbucket_sandbox


@pytest.fixture
def integration(sandbox, private_key):
    return Integration(
        id="acme",
        server_url=ServerURL.parse(sandbox.url),
        consumer_key="the-consumer",
        private_key=private_key,
        namespace="ns",
    )


def at(integration, url):
    return dataclasses.replace(integration, server_url=ServerURL.parse(url))


def test_a_working_integration_passes_every_stage(integration):
    results = look(integration)
    assert [result.stage for result in results] == [stage for stage in Stage if stage is not Stage.CREDENTIALS]
    assert {result.outcome for result in results} == {Outcome.PASSED}
    assert results[5].facts["version"] == "8.19.0"


def test_two_requests_are_enough(integration, sandbox):
    look(integration)
    assert [request.path.rsplit("/", 1)[1] for request in sandbox.requests] == [
        "application-properties",
        "request-token",
    ]


def test_a_bad_configuration_ends_it_at_once():
    def fail():
        raise BitbucketServerError("invalid_base_url", "It is empty.")

    results = list(check_up(fail, CALLBACK))
    assert failure(results).stage is Stage.BASE_URL
    assert {result.outcome for result in results[1:]} == {Outcome.NOT_REACHED}


def test_a_name_that_does_not_exist_fails_at_its_stage(integration, monkeypatch):
    def unknown(name):
        raise socket.gaierror("unknown")

    monkeypatch.setattr(reaching, "resolver", unknown)
    failed = failure(look(at(integration, "https://bitbucket.example")))
    assert (failed.stage, failed.problem.code) == (Stage.NAME, "name_not_found")


def test_a_blocked_address_says_exactly_what_a_name_that_does_not_exist_says(integration, monkeypatch):
    blocked = dataclasses.replace(at(integration, "https://bitbucket.example"), address_policy=PUBLIC_ONLY)
    monkeypatch.setattr(reaching, "resolver", lambda name: [ip_address("10.0.0.1")])
    private = look(blocked)

    def unknown(name):
        raise socket.gaierror("unknown")

    monkeypatch.setattr(reaching, "resolver", unknown)
    assert look(blocked) == private


def test_a_closed_port_fails_at_its_stage(integration):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    failed = failure(look(at(integration, f"http://127.0.0.1:{port}")))
    assert (failed.stage, failed.problem.code) == (Stage.CONNECTION, "port_closed")
    assert str(port) in failed.says


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_silence_is_a_timeout_and_the_whole_ends_in_time(integration, monkeypatch, scheme):
    monkeypatch.setattr(checkup, "SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        failed = failure(look(at(integration, f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")))
    expected = (Stage.HTTP, "timeout") if scheme == "http" else (Stage.TLS, "tls_silent")
    assert (failed.stage, failed.problem.code) == expected


class Slow:
    """A clock that stands still, while everything takes as long as it may and then leads on."""

    def __init__(self, monkeypatch, *, trusted):
        self.now = 1000.0
        monkeypatch.setattr(checkup, "time", SimpleNamespace(monotonic=lambda: self.now, time=time.time))
        monkeypatch.setattr(checkup, "look_up", self.look_up)
        monkeypatch.setattr(checkup, "connect", self.connect)
        monkeypatch.setattr(checkup, "send", self.send)
        monkeypatch.setattr(checkup, "ssl_context", lambda *_: SimpleNamespace(wrap_socket=self.handshake))
        monkeypatch.setattr(checkup, "served_chain", self.served_chain)
        self.trusted = trusted
        self.steps = 0

    def take(self, seconds):
        self.now += seconds
        self.steps += 1

    def look_up(self, host, policy, seconds):
        self.take(min(reaching.RESOLVER_SECONDS, seconds))
        return [ip_address("127.0.0.1")]

    def connect(self, addresses, port, seconds):
        self.take(seconds)
        return SimpleNamespace(close=lambda: None, seconds=seconds)

    def handshake(self, connection, server_hostname):
        self.take(connection.seconds)
        if not self.trusted:
            error = ssl.SSLCertVerificationError("untrusted")
            error.reason = "CERTIFICATE_VERIFY_FAILED"
            raise error
        return nullcontext(SimpleNamespace(version=lambda: "TLSv1.3"))

    def served_chain(self, connection, host):
        self.take(connection.seconds)
        raise TimeoutError

    def send(self, method, url, headers, *, timeout, **_):
        self.take(timeout)
        return Answer(404, HTTPHeaderDict(), b"")


@pytest.mark.parametrize("trusted", [True, False])
def test_all_of_it_ends_in_time_when_everything_takes_as_long_as_it_may(integration, monkeypatch, trusted):
    slow = Slow(monkeypatch, trusted=trusted)
    results = look(at(integration, "https://bitbucket.example/a/b/c"))
    assert slow.steps >= 5
    assert slow.now - 1000.0 <= checkup.SECONDS + slow.steps * checkup.SHORTEST
    assert failure(results).stage is (Stage.HTTP if trusted else Stage.TLS)


class TLSServer:
    """A server on loopback that shows *chain*; it answers nothing."""

    def __init__(self, certificate, *, chain=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if chain is None:
            certificate.configure_cert(context)
        else:
            with chain.tempfile() as path, certificate.private_key_pem.tempfile() as key:
                context.load_cert_chain(path, key)

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *_):
                pass

        self._server = Quiet(("127.0.0.1", 0), BaseHTTPRequestHandler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.port = self._server.server_address[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


class SelfSigned:
    """A certificate that a server made itself."""

    def __init__(self, name):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        today = dt.datetime.now(dt.UTC)
        builder = x509.CertificateBuilder(subject, subject, key.public_key(), 1, today, today + dt.timedelta(days=1))
        certificate = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        self._pem = certificate.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
        self._key = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def configure_cert(self, context):
        with trustme.Blob(self._pem).tempfile() as certificate, trustme.Blob(self._key).tempfile() as key:
            context.load_cert_chain(certificate, key)


@pytest.fixture(scope="module")
def root():
    return trustme.CA(organization_name="The Company")


@pytest.fixture
def by_name(integration, monkeypatch, tmp_path, root):
    """An integration at ``bitbucket.example``, which is this machine, trusting the company's CA."""
    monkeypatch.setattr(reaching, "resolver", lambda name: [ip_address("127.0.0.1")])
    bundle = tmp_path / "ca.pem"
    root.cert_pem.write_to_path(str(bundle))
    return lambda port, **changes: dataclasses.replace(
        at(integration, f"https://bitbucket.example:{port}"), **{"verify": str(bundle), **changes}
    )


def long_ago():
    return dt.datetime.now(dt.UTC) - dt.timedelta(days=1)


def test_each_fault_of_a_certificate_has_its_name(by_name, root):
    foreign = trustme.CA(organization_name="Another Company")
    chain = root.create_child_ca()
    cases = [
        ("certificate_expired", root.issue_cert("bitbucket.example", not_after=long_ago()), {}),
        ("certificate_for_another_name", root.issue_cert("other.example"), {}),
        ("certificate_for_another_name", root.issue_cert("127.0.0.1"), {}),
        ("certificate_chain_incomplete", foreign.issue_cert("bitbucket.example"), {}),
        ("certificate_authority_unknown", foreign.create_child_ca().issue_cert("bitbucket.example"), {}),
        (
            "certificate_chain_incomplete",
            (cert := chain.issue_cert("bitbucket.example")),
            {"chain": cert.cert_chain_pems[0]},
        ),
    ]
    for code, certificate, options in cases:
        with TLSServer(certificate, **options) as server:
            failed = failure(look(by_name(server.port)))
        assert (failed.stage, failed.problem.code) == (Stage.TLS, code)
        assert failed.chain


def test_the_ca_that_would_mend_it_is_offered_and_mends_it(by_name):
    foreign = trustme.CA(organization_name="Another Company")
    with TLSServer(foreign.create_child_ca().issue_cert("bitbucket.example")) as server:
        offered = failure(look(by_name(server.port))).facts["ca_certificates"]
        again = look(by_name(server.port, ca_certificates=offered + foreign.cert_pem.bytes().decode()))
    assert "BEGIN CERTIFICATE" in offered
    assert outcome(again, Stage.TLS) is Outcome.PASSED


def test_a_certificate_that_cannot_be_read_is_said_to_be_so(by_name, monkeypatch):
    def unreadable(*_):
        raise x509.InvalidVersion("version 9", 9)

    monkeypatch.setattr(checkup, "diagnose", unreadable)
    with TLSServer(trustme.CA().issue_cert("bitbucket.example")) as server:
        failed = failure(look(by_name(server.port)))
    assert (failed.stage, failed.problem.code) == (Stage.TLS, "tls_error")
    assert "cannot be read" in failed.says


def test_a_self_signed_certificate_is_offered_as_the_one_to_trust(by_name):
    with TLSServer(SelfSigned("bitbucket.example")) as server:
        failed = failure(look(by_name(server.port)))
    assert failed.problem.code == "certificate_self_signed"
    assert "BEGIN CERTIFICATE" in failed.facts["ca_certificates"]


def test_a_complete_chain_passes(by_name, root):
    with TLSServer(root.create_child_ca().issue_cert("bitbucket.example")) as server:
        assert outcome(look(by_name(server.port)), Stage.TLS) is Outcome.PASSED


def test_a_port_without_tls_fails_at_its_stage(integration, server):
    failed = failure(look(at(integration, server.url.replace("http:", "https:"))))
    assert (failed.stage, failed.problem.code) == (Stage.TLS, "tls_missing")


@pytest.mark.parametrize(
    ("faults", "stage", "code"),
    [
        ({"interception": "redirect"}, Stage.HTTP, "login_in_front"),
        ({"interception": "page"}, Stage.HTTP, "login_in_front"),
        ({"rate_limited": True}, Stage.HTTP, "rate_limited"),
        ({"server_error": True}, Stage.HTTP, "server_error"),
        ({"clock_skew": 900}, Stage.CLOCK, "timestamp_refused"),
        ({"clock_skew": -900}, Stage.CLOCK, "timestamp_refused"),
        ({"seen_scheme": "https"}, Stage.SIGNATURE, "address_hidden"),
        ({"seen_host": "internal.example"}, Stage.SIGNATURE, "address_hidden"),
        ({"seen_port": 1234}, Stage.SIGNATURE, "address_hidden"),
        ({"seen_context_twice": True}, Stage.SIGNATURE, "address_hidden"),
    ],
)
def test_each_fault_of_the_sandbox_is_found_where_it_is(integration, sandbox, faults, stage, code):
    sandbox.faults.update(faults)
    failed = failure(look(integration))
    assert (failed.stage, failed.problem.code) == (stage, code)
    assert failed.problem.remedy


@pytest.mark.parametrize(
    ("faults", "cause"),
    [
        ({"seen_scheme": "https"}, Cause.SCHEME),
        ({"seen_host": "internal.example"}, Cause.HOST),
        ({"seen_port": 1234}, Cause.PORT),
        ({"seen_context_twice": True}, Cause.CONTEXT_PATH_TWICE),
    ],
)
def test_a_hidden_proxy_is_explained(integration, sandbox, faults, cause):
    sandbox.faults.update(faults)
    failed = failure(look(integration))
    assert failed.explanation.cause is cause
    assert failed.explanation.conclusion in failed.says


RECORDED = (
    "oauth_problem=signature_invalid&oauth_signature_base_string={base_string}",
    "oauth_signature_base_string={base_string}&oauth_signature_method=RSA-SHA1&oauth_problem=signature_invalid",
    "oauth_signature=c2ln&oauth_signature_base_string={base_string}&oauth_problem=signature_invalid&oauth_version=1.0",
)
"""What Bitbucket answers a signature with that it cannot verify: the order of the parameters varies."""


@pytest.mark.parametrize("recorded", RECORDED)
@pytest.mark.parametrize("place", ["body", "header"])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("hidden", [False, True])
def test_a_recorded_answer_is_explained_in_whatever_order(integration, server, recorded, place, backwards, hidden):
    server.scripts[PROPERTIES] = Reply('{"version":"8.19.0","displayName":"Bitbucket"}', headers=JSON)

    def refuse(request):
        pairs = [f"{name}%3D{quote(quote(value, safe=''), safe='')}" for name, value in sorted(request.oauth.items())]
        sent = [pair for pair in pairs if not pair.startswith(("oauth_signature%3D", "realm"))]
        seen = "http://internal.example:7990" if hidden else server.url
        address = quote(f"{seen}{request.path}", safe="")
        base_string = f"POST&{address}&{'%26'.join(reversed(sent) if backwards else sent)}"
        text = recorded.format(base_string=quote(base_string, safe=""))
        if place == "body":
            return Reply(text, 401, [("Content-Type", "application/x-www-form-urlencoded")])
        parameters = ", ".join('{}="{}"'.format(*pair.split("=", 1)) for pair in text.split("&"))
        return Reply("", 401, [("WWW-Authenticate", 'OAuth realm="x"'), ("WWW-Authenticate", f"OAuth {parameters}")])

    server.scripts["/plugins/servlet/oauth/request-token"] = refuse
    failed = failure(look(at(integration, server.url)))
    assert failed.explanation.cause is (Cause.HOST if hidden else Cause.KEY)
    assert failed.problem.code == ("address_hidden" if hidden else "public_key_differs")


def test_another_public_key_is_explained_with_our_fingerprint(integration, other_private_key):
    failed = failure(look(dataclasses.replace(integration, private_key=other_private_key)))
    assert failed.explanation.cause is Cause.KEY
    assert other_private_key.public.fingerprint in failed.says


def test_a_wrong_clock_does_not_hide_the_signature(integration, sandbox):
    sandbox.faults.clock_skew = 900
    assert outcome(look(integration), Stage.SIGNATURE) is Outcome.PASSED


def test_an_unknown_consumer_key_is_named(integration):
    failed = failure(look(dataclasses.replace(integration, consumer_key="nobody")))
    assert (failed.stage, failed.problem.code) == (Stage.SIGNATURE, "consumer_key_unknown")


def test_a_consumer_without_three_legged_oauth_is_named(integration, sandbox, other_private_key):
    sandbox.link(consumer_key="two", public_key=other_private_key.public.pem, three_legged_allowed=False)
    changed = dataclasses.replace(integration, consumer_key="two", private_key=other_private_key)
    assert failure(look(changed)).problem.code == "permission_denied"


def test_a_public_key_of_another_size_is_named(integration, sandbox):
    sandbox.link(consumer_key="damaged", public_key="nonsense")
    failed = failure(look(dataclasses.replace(integration, consumer_key="damaged")))
    assert (failed.stage, failed.problem.code) == (Stage.SIGNATURE, "public_key_unusable")


@pytest.mark.parametrize("typed", ["", "/bitbucket/projects", "/bitbucket/projects/ACME/repos"])
def test_a_wrong_context_path_is_noticed_and_the_right_one_proposed(integration, sandbox, typed):
    root = sandbox.url.removesuffix("/bitbucket")
    failed = failure(look(at(integration, root + typed)))
    assert failed.problem.code == "context_path_missing"
    assert failed.facts["base_url"] == sandbox.url


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply("<html>Second factor required</html>", headers=HTML), "second_factor_plugin"),
        (Reply("", 302, [("Location", "/plugins/servlet/twofactor/login")]), "second_factor_plugin"),
        (Reply("<html>Down for maintenance</html>", 503, HTML), "maintenance"),
        (Reply("<html><h1>Please log in</h1></html>", headers=HTML), "login_in_front"),
        (Reply("<form><input type=password name=p></form>", headers=HTML), "login_in_front"),
        (Reply("", 302, [("Location", "https://sso.example/")]), "login_in_front"),
        (Reply("", 401, [("WWW-Authenticate", 'Basic realm="Company"')]), "login_in_front"),
        (Reply("", 401), "login_in_front"),
        (Reply("<html>Request blocked</html>", 403, HTML), "intercepted"),
        (Reply("<html>Welcome</html>", headers=HTML), "intercepted"),
        (Reply("", 302, [("Location", "https://elsewhere.example/")]), "redirected"),
        (Reply("nothing", 404), "not_bitbucket"),
        (Reply('{"hello": "world"}'), "not_bitbucket"),
        (Reply('{"version": "9.1.0", "displayName": "Jira"}'), "not_bitbucket"),
        (Reply('{"version": "<b>", "displayName": "Bitbucket"}'), "not_bitbucket"),
        (Reply("hello"), "malformed_answer"),
    ],
)
def test_what_answers_instead_of_bitbucket_is_recognized(integration, server, reply, code):
    server.scripts[PROPERTIES] = reply
    assert failure(look(at(integration, server.url))).problem.code == code


def test_a_server_without_a_clock_is_no_failure(integration, server):
    server.scripts[PROPERTIES] = Reply('{"version": "9.1.0", "displayName": "Bitbucket"}', headers=[("Date", "then")])
    assert outcome(look(at(integration, server.url)), Stage.CLOCK) is Outcome.PASSED


def test_failures_just_now_do_not_keep_it_from_asking(integration, sandbox):
    sandbox.faults.server_error = True
    assert [failure(look(integration)).problem.code for _ in range(5)] == ["server_error"] * 5
    sandbox.faults.reset()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent = dataclasses.replace(at(integration, f"http://127.0.0.1:{listener.getsockname()[1]}"), timeout=0.1)
        codes = []
        for _ in range(5):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(checkup, "SECONDS", 0.1)
                codes.append(failure(look(silent)).problem.code)
    assert codes == ["timeout"] * 5


# OAuth 2


@pytest.fixture
def by_oauth2(bitbucket_sandbox):
    link = bitbucket_sandbox.link_external_application(redirect_url=CALLBACK)
    return OAuth2Integration(
        id="acme",
        server_url=ServerURL.parse(bitbucket_sandbox.url),
        client_id=link.client_id,
        client_secret=link.client_secret,
        namespace="ns",
    )


def test_an_oauth_2_integration_in_order_passes_every_stage(by_oauth2):
    results = look(by_oauth2)
    assert [result.stage for result in results] == [stage for stage in Stage if stage is not Stage.SIGNATURE]
    assert {result.outcome for result in results} == {Outcome.PASSED}


@pytest.mark.parametrize("change", [{"client_id": "wrong"}, {"client_secret": "wrong"}])
def test_wrong_credentials_are_told_without_a_person(by_oauth2, change):
    failed = failure(look(dataclasses.replace(by_oauth2, **change)))
    assert (failed.stage, failed.problem.code) == (Stage.CREDENTIALS, "client_refused")


def test_a_token_address_that_something_else_answers_at_is_told(by_oauth2, bitbucket_sandbox):
    bitbucket_sandbox.faults.update({"interception": "page", "only_path": "/oauth2/"})
    failed = failure(look(by_oauth2))
    assert (failed.stage, failed.problem.code) == (Stage.CREDENTIALS, "intercepted")


def test_a_server_before_7_20_has_no_oauth_2(by_oauth2, bitbucket_sandbox):
    bitbucket_sandbox.faults.version = "7.6.0"
    failed = failure(look(by_oauth2))
    assert (failed.stage, failed.problem.code) == (Stage.CREDENTIALS, "external_links_missing")


def test_a_server_that_grants_whatever_it_is_asked_for_is_not_in_order(server):
    server.scripts[PROPERTIES] = Reply('{"version":"8.19.0","displayName":"Bitbucket"}', headers=JSON)
    server.scripts["/rest/oauth2/latest/token"] = Reply('{"access_token":"A","token_type":"bearer"}', headers=JSON)
    failed = failure(
        look(
            OAuth2Integration(
                id="acme",
                server_url=ServerURL.parse(server.url),
                client_id="c",
                client_secret="s",
                namespace="ns",
            )
        )
    )
    assert (failed.stage, failed.problem.code) == (Stage.CREDENTIALS, "malformed_answer")
