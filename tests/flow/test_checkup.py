"""Every fault by its right name: the check-up against sandboxes, TLS servers and nothing at all."""

import dataclasses
import socket
import ssl
import time
from contextlib import nullcontext
from email.utils import formatdate
from ipaddress import ip_address
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from urllib3 import HTTPHeaderDict

from social_bitbucket_server.crypto import rsa as keys
from social_bitbucket_server.integration import (
    BaseURLRules,
    ConnectTo,
    Integration,
    OAuth2Integration,
    Server,
    ServerURL,
)
from social_bitbucket_server.oauth import Cause, Client
from social_bitbucket_server.onboarding import Outcome, Stage, check_up, checkup, look_at_server
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.sandbox import Sandbox
from social_bitbucket_server.transport import PUBLIC_ONLY, Answer, default_transport, reaching
from tests.scripted_server import Reply
from tests.servers import with_server

CALLBACK = "https://app.example/complete/bitbucket-server/acme/"
HTML = (("Content-Type", "text/html"),)
JSON = (("Content-Type", "application/json"),)
PROPERTIES = "/rest/api/latest/application-properties"
REQUEST_TOKEN = "/plugins/servlet/oauth/request-token"
GRANTED = "oauth_token=T&oauth_token_secret=S&oauth_callback_confirmed=true"
BITBUCKET = '{"version": "8.19.0", "displayName": "Bitbucket"}'


def look(integration):
    return list(check_up(lambda: integration, CALLBACK))


def failure(results):
    return checkup.first_failure(results)


def outcome(results, stage):
    return next(result.outcome for result in results if result.stage is stage)


@pytest.fixture
def bitbucket_sandbox():
    with Sandbox(context="/bitbucket", names=["bitbucket.example"]) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(bitbucket_sandbox, private_key):
    bitbucket_sandbox.link(consumer_key="the-consumer", public_key=private_key.public.pem)
    return bitbucket_sandbox


@pytest.fixture
def integration(sandbox, private_key):
    return Integration(
        id="acme",
        server=Server(ServerURL.parse(sandbox.url)),
        consumer_key="the-consumer",
        private_key=private_key,
        namespace="ns",
    )


def at(integration, url):
    return with_server(integration, url=ServerURL.parse(url))


def test_a_working_integration_passes_every_stage(integration):
    results = look(integration)
    assert [result.stage for result in results] == [stage for stage in Stage if stage is not Stage.CREDENTIALS]
    assert all(result.outcome.lets_logins_work for result in results)
    assert results[5].facts["version"] == "10.2.0"


def test_what_was_skipped_or_is_dangerous_did_not_pass(integration):
    results = look(integration)
    assert outcome(results, Stage.NAME) is Outcome.SKIPPED
    assert outcome(results, Stage.TLS) is Outcome.UNPROTECTED
    through_proxy = look(with_server(integration, proxies={"http": "http://127.0.0.1:9"}))
    assert {result.outcome for result in through_proxy[1:3]} == {Outcome.SKIPPED}


def test_three_requests_are_enough(integration, sandbox):
    look(integration)
    assert [request.path.rsplit("/", 1)[1] for request in sandbox.requests] == [
        "application-properties",
        "request-token",
        "application-properties",
    ]


def test_a_bad_configuration_ends_it_at_once():
    def fail():
        raise BitbucketServerError("invalid_base_url", "It is empty.")

    results = list(check_up(fail, CALLBACK))
    assert failure(results).stage is Stage.BASE_URL
    assert {result.outcome for result in results[1:]} == {Outcome.NOT_REACHED}


def test_a_machine_that_forbids_sha1_is_told_before_anything_is_sent(integration, server, monkeypatch):
    def forbid():
        raise UnsupportedAlgorithm("sha1 is not supported")

    monkeypatch.setattr(keys.hashes, "SHA1", forbid)
    here = at(integration, server.url)
    failed = failure(look(here))
    assert (failed.stage, failed.problem.code) == (Stage.BASE_URL, "sha1_forbidden")
    with pytest.raises(BitbucketServerError) as caught:
        Client(here).request_token(CALLBACK)
    assert caught.value.code == "sha1_forbidden"
    assert server.received == []


OUTSIDE = ServerURL.parse("http://bitbucket.example/bitbucket", BaseURLRules(plain_http_hosts=None))
"""As browsers see it; the name leads nowhere here."""


def test_connections_may_go_elsewhere_while_the_base_url_is_signed(integration, sandbox, transport):
    def look_up(name):
        return [ip_address("127.0.0.1")] if name == "inside.example" else []

    transport.resolver = look_up
    connect_to = ConnectTo("inside.example", integration.server.url.port)
    results = look(with_server(integration, url=OUTSIDE, connect_to=connect_to))
    assert all(result.outcome.lets_logins_work for result in results)
    assert results[0].says == f"{OUTSIDE}, with connections to {connect_to}"
    assert results[1].says == "inside.example is 127.0.0.1"
    assert {request.headers["host"] for request in sandbox.requests} == {"bitbucket.example"}


@pytest.mark.parametrize(
    ("connect_to", "stage", "code"),
    [
        (ConnectTo("inside.example", 443), Stage.NAME, "connect_to_not_found"),
        (ConnectTo("127.0.0.1", 1), Stage.CONNECTION, "connect_to_closed"),
    ],
)
def test_it_says_so_where_connections_lead_nowhere(integration, transport, connect_to, stage, code):
    transport.resolver = lambda name: []
    failed = failure(look(with_server(integration, connect_to=connect_to)))
    assert (failed.stage, failed.problem.code) == (stage, code)


def test_a_firewall_in_front_of_where_connections_go_is_told(integration, monkeypatch):
    def swallow(addresses, port, seconds):
        assert port == 8443
        raise TimeoutError

    monkeypatch.setattr(checkup, "connect", swallow)
    failed = failure(look(with_server(integration, connect_to=ConnectTo("127.0.0.1", 8443))))
    assert (failed.stage, failed.problem.code) == (Stage.CONNECTION, "connect_to_silent")


def test_a_proxy_that_cannot_be_told_where_connections_go_ends_it_at_once(integration):
    elsewhere = {"connect_to": ConnectTo("inside.example", 80), "proxies": {"http": "http://proxy.example:3128"}}
    failed = failure(look(with_server(integration, **elsewhere)))
    assert (failed.stage, failed.problem.code) == (Stage.BASE_URL, "setting_invalid")


def test_a_name_that_does_not_exist_fails_at_its_stage(integration, transport):
    def unknown(name):
        raise socket.gaierror("unknown")

    transport.resolver = unknown
    failed = failure(look(at(integration, "https://bitbucket.example")))
    assert (failed.stage, failed.problem.code) == (Stage.NAME, "name_not_found")


@pytest.mark.parametrize("connect_to", [None, ConnectTo("bitbucket.example", 8443)])
def test_a_blocked_address_says_exactly_what_a_name_that_does_not_exist_says(integration, transport, connect_to):
    blocked = with_server(
        at(integration, "https://bitbucket.example"), address_policy=PUBLIC_ONLY, connect_to=connect_to
    )
    transport.resolver = lambda name: [ip_address("10.0.0.1")]
    private = look(blocked)

    def unknown(name):
        raise socket.gaierror("unknown")

    transport.resolver = unknown
    nowhere = look(blocked)
    assert nowhere == private
    assert repr(nowhere) == repr(private)
    # What a log may have says nothing in what is shown or written out.
    assert failure(private).blocked == {"host": "bitbucket.example", "address_class": "private"}
    assert not failure(nowhere).blocked


class Slow:
    """A clock that stands still, while everything takes as long as it may and then leads on."""

    def __init__(self, monkeypatch, *, trusted):
        self.now = 1000.0
        monkeypatch.setattr(checkup, "time", SimpleNamespace(monotonic=lambda: self.now, time=time.time))
        monkeypatch.setattr(default_transport(), "look_up", self.look_up)
        monkeypatch.setattr(default_transport(), "send", self.send)
        monkeypatch.setattr(checkup, "connect", self.connect)
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
            error.reason, error.verify_code = "CERTIFICATE_VERIFY_FAILED", 20
            raise error
        return nullcontext(SimpleNamespace(version=lambda: "TLSv1.3"))

    def served_chain(self, connection, host):
        self.take(connection.seconds)
        raise TimeoutError

    def send(self, method, url, headers, *, timeout, **_):
        self.take(timeout)
        return Answer(404, HTTPHeaderDict(), b"")


def test_a_second_look_at_the_certificates_that_finds_no_room_says_so(integration, monkeypatch):
    def served_chain(*_):
        raise BitbucketServerError("server_busy")

    slow = Slow(monkeypatch, trusted=False)
    monkeypatch.setattr(checkup, "served_chain", served_chain)
    assert failure(look(at(integration, "https://bitbucket.example"))).problem.code == "server_busy"
    assert slow.steps


@pytest.mark.parametrize("trusted", [True, False])
def test_all_of_it_ends_in_time_when_everything_takes_as_long_as_it_may(integration, monkeypatch, trusted):
    slow = Slow(monkeypatch, trusted=trusted)
    results = look(at(integration, "https://bitbucket.example/a/b/c"))
    assert slow.steps >= 5
    assert slow.now - 1000.0 <= checkup.SECONDS + slow.steps * checkup.SHORTEST
    assert failure(results).stage is (Stage.HTTP if trusted else Stage.TLS)


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
"""Bitbucket's answers to a signature that it cannot verify. The order of the parameters varies."""


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

    server.scripts[REQUEST_TOKEN] = refuse
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


@pytest.mark.parametrize("typed", ["", "/bitbucket/projects", "/bitbucket/projects/ACME/repos"])
def test_a_wrong_context_path_is_noticed_and_the_right_one_proposed(integration, sandbox, typed):
    root = sandbox.url.removesuffix("/bitbucket")
    failed = failure(look(at(integration, root + typed)))
    assert failed.problem.code == "context_path_missing"
    assert failed.facts["base_url"] == sandbox.url


SAID_OF_VERSIONS = {"malformed_answer", "not_bitbucket"}
"""Codes of the problems that are found by the answer about the version."""


@pytest.mark.parametrize(
    "page",
    [
        "/projects/ACME/repos/site/pull-requests/1/overview",
        "/users/jane/repos/site",
        "/scm/acme/site.git",
        "/plugins/servlet/applinks/listApplicationLinks",
        "/rest/api/latest",
    ],
)
def test_what_stands_before_a_pasted_page_is_tried_first(integration, sandbox, page):
    failed = failure(look(at(integration, sandbox.url + page)))
    assert failed.facts["base_url"] == sandbox.url
    asked = [request.path for request in sandbox.requests.to(PROPERTIES)]
    assert asked == [f"/bitbucket{page}{PROPERTIES}", f"/bitbucket{PROPERTIES}"]


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
        (Reply("<html>Request blocked</html>", 403, HTML), "firewall_in_front"),
        (Reply("<html>Access denied | Cloudflare</html>", 403, HTML), "firewall_in_front"),
        (Reply("<h1>Welcome</h1><script src=//static.cloudflareinsights.com>", 200, HTML), "intercepted"),
        (Reply("<h1>Bad gateway</h1>cloudflare", 502, HTML), "server_starting"),
        (Reply("Bitbucket is starting up", 200, HTML), "server_starting"),
        (Reply('{"state": "FIRST_RUN"}', headers=JSON), "server_starting"),
        (Reply('{"status":"STARTING"}', 503, JSON), "server_starting"),
        (Reply('{"state":"MAINTENANCE"}', 503, JSON), "maintenance"),
        (Reply("", 503), "server_starting"),
        (Reply("", 504), "server_starting"),
        (Reply("This combination of host and port requires TLS.", 400), "https_expected"),
        (Reply("Client sent an HTTP request to an HTTPS server.", 400), "https_expected"),
        (Reply("x", headers=[("Content-Encoding", "gzip")]), "answer_compressed"),
        (Reply("<html>Welcome</html>", headers=HTML), "intercepted"),
        (Reply("", 302, [("Location", "https://elsewhere.example/")]), "redirected"),
        (Reply("nothing", 404), "not_bitbucket"),
        (Reply('{"hello": "world"}'), "not_bitbucket"),
        (Reply('{"version": true, "displayName": "Bitbucket"}'), "not_bitbucket"),
        (Reply('{"version": "<b>", "displayName": "Bitbucket"}'), "not_bitbucket"),
        (Reply("hello"), "malformed_answer"),
    ],
)
def test_what_answers_instead_of_bitbucket_is_recognized(integration, server, reply, code):
    server.scripts[PROPERTIES] = reply
    assert failure(look(at(integration, server.url))).problem.code == code
    if code not in SAID_OF_VERSIONS:
        server.scripts[REQUEST_TOKEN] = reply
        with pytest.raises(BitbucketServerError) as caught:
            Client(at(integration, server.url)).request_token(CALLBACK)
        assert caught.value.code == code, "a login says the same"


@pytest.mark.parametrize(
    ("properties", "says", "version"),
    [
        ('{"version": "9.1.0", "displayName": "Acme Code"}', "Bitbucket 9.1.0 (“Acme Code”)", "9.1.0"),
        ('{"version": "9.1.0", "displayName": "Jira"}', "Bitbucket 9.1.0 (“Jira”)", "9.1.0"),
        ('{"version": "9.1.0", "displayName": "\\u001b[2JA\\u202eB"}', "Bitbucket 9.1.0 (“[2JAB”)", "9.1.0"),
        ('{"version": "9.1.0", "displayName": ["x"]}', "Bitbucket 9.1.0", "9.1.0"),
        ('{"version": "3.11.6", "displayName": "Stash"}', "Stash 3.11.6", "3.11.6"),
        ('{"version": "9.1.0"}', "Bitbucket 9.1.0", "9.1.0"),
        ('{"version": 9.4, "buildNumber": 9004000}', "Bitbucket 9.4", "9.4"),
        ('{"version": 10}', "Bitbucket 10", "10"),
    ],
)
def test_a_name_that_an_admin_chose_is_shown_and_decides_nothing(integration, server, properties, says, version):
    server.scripts[PROPERTIES] = Reply(properties, headers=JSON)
    server.scripts[REQUEST_TOKEN] = Reply(GRANTED)
    results = look(at(integration, server.url))
    (found,) = (result for result in results if result.stage is Stage.BITBUCKET)
    assert (found.says, found.facts["version"]) == (says, version)
    assert outcome(results, Stage.SIGNATURE) is Outcome.PASSED


CLOSED = '{"errors": [{"context": null, "message": "no", "exceptionName": "com.atlassian.AuthorisationException"}]}'


@pytest.mark.parametrize(
    "refusal",
    [
        Reply(CLOSED, 401, [*JSON, ("WWW-Authenticate", 'OAuth realm="https%3A%2F%2Fbitbucket.example.com"')]),
        Reply(CLOSED, 401, [*JSON, ("X-AREQUESTID", "@1X2Y3Zx600x1x0")]),
        Reply("", 401, [("WWW-Authenticate", "Basic"), ("X-AREQUESTID", "@1X2Y3Zx600x1x0")]),
        Reply(CLOSED, 403, [*JSON, ("X-AREQUESTID", "@1X2Y3Zx600x1x0")]),
        Reply(CLOSED, 401, JSON),  # a proxy took the headers away, and /status tells
    ],
)
def test_a_bitbucket_that_tells_its_version_to_nobody_is_tried_to_the_end(integration, server, refusal):
    server.scripts[PROPERTIES] = Reply(refusal.body, refusal.status, [*refusal.headers, ("Date", formatdate(0))])
    server.scripts["/status"] = Reply('{"state":"RUNNING"}', headers=JSON)
    server.scripts[REQUEST_TOKEN] = Reply(GRANTED)
    results = look(at(integration, server.url))
    (found,) = (result for result in results if result.stage is Stage.BITBUCKET)
    assert (found.outcome, found.says) == (Outcome.PASSED, "Bitbucket (its version is not told)")
    assert "version" not in found.facts
    assert failure(results).stage is Stage.CLOCK, "its Date tells the time"
    assert outcome(results, Stage.SIGNATURE) is Outcome.PASSED


@pytest.mark.parametrize("status", [Reply("", 404), Reply('{"state":1}', headers=JSON), Reply("<html>", 200, HTML)])
@pytest.mark.parametrize("body", [CLOSED, ""])
def test_a_401_that_nothing_shows_to_be_bitbuckets_is_somebody_elses(integration, server, status, body):
    server.scripts[PROPERTIES] = Reply(body, 401, JSON)
    server.scripts["/status"] = status
    assert failure(look(at(integration, server.url))).problem.code == "login_in_front"


def test_a_context_path_is_found_where_the_version_is_told_to_nobody(integration, server):
    server.scripts[f"/bitbucket{PROPERTIES}"] = Reply(CLOSED, 401, [("X-AREQUESTID", "@1X2Y3Zx600x1x0")])
    assert failure(look(at(integration, server.url))).facts["base_url"] == f"{server.url}/bitbucket"


@pytest.mark.parametrize(
    ("location", "path"),
    [
        (f"/somewhere{PROPERTIES}", "/somewhere"),
        ("/somewhere/login?next=/", "/somewhere"),
        ("//127.0.0.1:99999/somewhere", None),
        ("http://[somewhere", None),
        ("https://elsewhere.example/somewhere", None),
    ],
)
def test_a_redirect_hints_at_the_right_context_path(integration, server, location, path):
    server.scripts[PROPERTIES] = Reply("", 302, [("Location", location)])
    server.scripts[f"/somewhere{PROPERTIES}"] = Reply(BITBUCKET, headers=JSON)
    failed = failure(look(at(integration, server.url)))
    assert failed.facts.get("base_url") == (path and f"{server.url}{path}")
    assert (failed.problem.code == "context_path_missing") is (path is not None)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply("oauth_problem=token_rejected", 401), None),
        (Reply("", 401, [("WWW-Authenticate", 'OAuth realm="x", oauth_problem="token_expired"')]), None),
        (Reply("oauth_problem=token_revoked", 401), None),
        (Reply(BITBUCKET, headers=JSON), "authorization_header_lost"),
        (Reply(CLOSED, 401, [*JSON, ("WWW-Authenticate", 'OAuth realm="x"')]), "authorization_header_lost"),
        (Reply("oauth_problem=parameter_absent", 400), "authorization_header_lost"),
        (Reply("oauth_problem=signature_invalid", 401), "signature_invalid"),
        (Reply("oauth_problem=consumer_key_refused", 401), "consumer_key_refused"),
        (Reply("<h1>Log in</h1>", headers=HTML), "login_in_front"),
        (Reply("", 401, [("WWW-Authenticate", "Basic")]), "login_in_front"),
        (Reply("", 404), "request_refused"),
        (Reply("", 500), "server_error"),
    ],
)
def test_a_signed_call_below_rest_shows_whether_the_header_arrives(integration, server, reply, code):
    server.scripts[PROPERTIES] = lambda request: (
        reply if "Authorization" in request.headers else Reply(BITBUCKET, headers=JSON)
    )
    server.scripts[REQUEST_TOKEN] = Reply(GRANTED)
    *_, last = look(at(integration, server.url))
    assert (last.stage, last.problem and last.problem.code) == (Stage.REST, code)
    assert server.received[-1].oauth["oauth_token"]


@pytest.mark.parametrize(
    ("reported", "code"),
    [
        ("parameter_absent", "authorization_header_lost"),
        (
            f"parameter_absent&oauth_parameters_absent={quote('oauth_consumer_key&oauth_token')}",
            "authorization_header_lost",
        ),
        ("parameter_absent&oauth_parameters_absent=oauth_nonce", "request_changed"),
        ("consumer_key_refused", "consumer_key_refused"),
        ("consumer_key_rejected", "consumer_key_refused"),
    ],
)
def test_a_login_and_the_check_up_name_the_same_problem(integration, server, reported, code):
    server.scripts[PROPERTIES] = Reply(BITBUCKET, headers=JSON)
    server.scripts[REQUEST_TOKEN] = Reply(f"oauth_problem={reported}", 401)
    failed = failure(look(at(integration, server.url)))
    assert (failed.stage, failed.problem.code) == (Stage.SIGNATURE, code)
    with pytest.raises(BitbucketServerError) as caught:
        Client(at(integration, server.url)).request_token(CALLBACK)
    assert caught.value.code == code


def test_a_callback_that_is_not_confirmed_ends_it(integration, server):
    server.scripts[PROPERTIES] = Reply(BITBUCKET, headers=JSON)
    server.scripts[REQUEST_TOKEN] = Reply("oauth_token=T&oauth_token_secret=S")
    failed = failure(look(at(integration, server.url)))
    assert (failed.stage, failed.problem.code) == (Stage.SIGNATURE, "callback_not_confirmed")


def test_through_a_proxy_the_proxy_looks_up_and_connects(integration, server):
    server.scripts[PROPERTIES] = Reply(BITBUCKET, headers=JSON)
    anywhere = ServerURL.parse("http://bitbucket.example", BaseURLRules(plain_http_hosts=None))
    beyond = with_server(integration, url=anywhere, proxies={"http": server.url})
    results = look(beyond)
    assert all(result.outcome.lets_logins_work for result in results[:7])
    assert "The proxy looks the name up." in results[1].says
    assert "The proxy makes the connection." in results[2].says
    assert server.received[0].target == f"http://bitbucket.example{PROPERTIES}"


def test_a_proxy_that_is_not_there_is_named(integration):
    with socket.socket() as taken:  # nobody else can listen there meanwhile
        taken.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{taken.getsockname()[1]}"
        beyond = with_server(at(integration, "https://bitbucket.example"), proxies={"https": proxy})
        failed = failure(look(beyond))
    assert (failed.stage, failed.problem.code) == (Stage.HTTP, "proxy_unreachable")


def test_a_server_without_a_clock_is_no_failure(integration, server):
    server.scripts[PROPERTIES] = Reply('{"version": "9.1.0", "displayName": "Bitbucket"}', headers=[("Date", "then")])
    assert outcome(look(at(integration, server.url)), Stage.CLOCK) is Outcome.PASSED


def test_a_date_without_a_time_zone_is_one_of_utc(integration, server, monkeypatch):
    utc_without_saying_so = formatdate()
    assert utc_without_saying_so.endswith("-0000")
    server.scripts[PROPERTIES] = Reply(BITBUCKET, headers=[("Date", utc_without_saying_so)])
    try:
        with monkeypatch.context() as patch:
            patch.setenv("TZ", "Asia/Tokyo")
            time.tzset()
            results = look(at(integration, server.url))
    finally:
        time.tzset()
    assert outcome(results, Stage.CLOCK) is Outcome.PASSED


def test_failures_just_now_do_not_keep_it_from_asking(integration, sandbox):
    sandbox.faults.server_error = True
    assert [failure(look(integration)).problem.code for _ in range(5)] == ["server_error"] * 5
    sandbox.faults.reset()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent = with_server(at(integration, f"http://127.0.0.1:{listener.getsockname()[1]}"), timeout=0.1)
        codes = []
        for _ in range(5):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(checkup, "SECONDS", 0.1)
                codes.append(failure(look(silent)).problem.code)
    assert codes == ["timeout"] * 5


# A server without an integration


def test_a_server_is_looked_at_by_one_request_without_credentials(bitbucket_sandbox):
    result = look_at_server(Server(ServerURL.parse(bitbucket_sandbox.url)))
    assert (result.stage, result.outcome) == (Stage.BITBUCKET, Outcome.PASSED)
    assert result.facts["version"] == "10.2.0"
    assert ["authorization" in request.headers for request in bitbucket_sandbox.requests] == [False]


@pytest.mark.parametrize(
    ("server", "stage", "code"),
    [
        (Server(ServerURL.parse("https://127.0.0.1:1")), Stage.CONNECTION, "port_closed"),
        (Server(OUTSIDE, connect_to=ConnectTo("127.0.0.1", 1)), Stage.CONNECTION, "connect_to_closed"),
        (Server(ServerURL.parse("https://10.0.0.1"), address_policy=PUBLIC_ONLY), Stage.NAME, "name_not_found"),
        (
            Server(OUTSIDE, connect_to=ConnectTo("127.0.0.1", 1), proxies={"all": "http://127.0.0.1:1"}),
            Stage.BASE_URL,
            "setting_invalid",
        ),
    ],
)
def test_a_server_that_cannot_be_reached_is_told_at_its_stage(server, stage, code):
    result = look_at_server(server)
    assert (result.stage, result.outcome, result.problem.code) == (stage, Outcome.FAILED, code)


def test_an_organization_looks_at_servers_within_the_limits_of_its_integrations(integration, transport, monkeypatch):
    tenants, bulkhead_of = [], transport.bulkheads.of
    monkeypatch.setattr(transport.bulkheads, "of", lambda tenant: tenants.append(tenant) or bulkhead_of(tenant))
    look(dataclasses.replace(integration, organization="acme"))
    look_at_server(integration.server, organization="acme")
    look_at_server(integration.server)
    assert tenants[0] == tenants[1] != tenants[2]


# OAuth 2


@pytest.fixture
def by_oauth2(bitbucket_sandbox):
    link = bitbucket_sandbox.link_external_application(redirect_url=CALLBACK)
    return OAuth2Integration(
        id="acme",
        server=Server(ServerURL.parse(bitbucket_sandbox.url)),
        client_id=link.client_id,
        client_secret=link.client_secret,
        namespace="ns",
    )


def test_an_oauth_2_integration_in_order_passes_every_stage(by_oauth2):
    results = look(by_oauth2)
    assert [result.stage for result in results] == [
        stage for stage in Stage if stage not in {Stage.SIGNATURE, Stage.REST}
    ]
    assert all(result.outcome.lets_logins_work for result in results)


@pytest.mark.parametrize("change", [{"client_id": "wrong"}, {"client_secret": "wrong"}])
def test_wrong_credentials_are_told_without_a_person(by_oauth2, change):
    failed = failure(look(dataclasses.replace(by_oauth2, **change)))
    assert (failed.stage, failed.problem.code) == (Stage.CREDENTIALS, "client_refused")


def test_a_token_address_that_something_else_answers_at_is_told(by_oauth2, bitbucket_sandbox):
    bitbucket_sandbox.faults.update({"interception": "page", "only_path": "/oauth2/"})
    failed = failure(look(by_oauth2))
    assert (failed.stage, failed.problem.code) == (Stage.CREDENTIALS, "login_in_front")


@pytest.mark.parametrize("reply", [Reply("<h1>404</h1>", 404, HTML), Reply('{"errors": []}', 404, JSON)])
def test_a_bitbucket_without_the_addresses_of_oauth_is_told(integration, by_oauth2, server, reply):
    server.scripts[PROPERTIES] = Reply(BITBUCKET, headers=JSON)
    server.scripts[REQUEST_TOKEN] = server.scripts["/rest/oauth2/latest/revoke"] = reply
    for one, stage in ((integration, Stage.SIGNATURE), (by_oauth2, Stage.CREDENTIALS)):
        failed = failure(look(at(one, server.url)))
        assert (failed.stage, failed.problem.code) == (stage, "oauth_missing")


def test_a_server_before_7_20_has_no_oauth_2(by_oauth2, bitbucket_sandbox):
    bitbucket_sandbox.faults.version = "7.6.0"
    failed = failure(look(by_oauth2))
    assert (failed.stage, failed.problem.code) == (Stage.CREDENTIALS, "external_links_missing")


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply("<html>", headers=(("Content-Type", "text/html"),)), "intercepted"),
        (Reply("", 302, (("Location", "/login"),)), "login_in_front"),
        (Reply("<html>", 500), "server_error"),
        (Reply('{"error":"invalid_client"}', 400, JSON), "client_refused"),
        (Reply('{"error":"unauthorized_client"}', 400, JSON), "oauth_problem"),
        (Reply("", 404), "oauth_missing"),
    ],
)
def test_credentials_pass_by_nothing_but_bitbuckets_own_success(server, reply, code):
    server.scripts[PROPERTIES] = Reply('{"version":"8.19.0","displayName":"Bitbucket"}', headers=JSON)
    server.scripts["/rest/oauth2/latest/revoke"] = reply
    url = ServerURL.parse(server.url)
    failed = failure(
        look(OAuth2Integration(id="acme", server=Server(url), client_id="c", client_secret="s", namespace="ns"))
    )
    assert (failed.stage, failed.problem.code) == (Stage.CREDENTIALS, code)


def test_credentials_are_tested_by_one_call_that_ends_no_token(by_oauth2, bitbucket_sandbox):
    grants = bitbucket_sandbox._state.grants
    grants.grant(by_oauth2.client_id, ("REPO_READ",), 2, 0, "code")
    assert failure(look(by_oauth2)) is None
    assert len(bitbucket_sandbox.requests.to("/revoke")) == 1
    assert not bitbucket_sandbox.requests.to("/token")
    assert len(grants.granted()) == 1
