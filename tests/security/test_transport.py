"""Which base URLs may be entered, where connections go, and whom a server can harm.

Where a row lists many inputs, tests/unit/integration/test_server_url.py, tests/unit/transport/test_addresses.py and
tests/flow/transport have them all. Here one of each kind goes through the application."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from itertools import islice
from typing import Any

import pytest
import trustme
from sqlalchemy import select

from social_bitbucket_server.crypto import PrivateKey
from social_bitbucket_server.integration import ServerURL, UnsafeConfigurationError
from social_bitbucket_server.transport import breaker, default_transport, reaching
from tests.flask_app import create_app, database
from tests.flask_app.instance_files import UnsafeSettingError
from tests.flask_app.models import models
from tests.raw_server import RawServer, answer, answering
from tests.scripted_server import Received, Reply
from tests.security.rows import row
from tests.security.world import (
    ACCESS_TOKEN,
    ORIGIN,
    PORT,
    PROPERTIES,
    REQUEST_TOKEN,
    USERS,
    WHOAMI,
    Browser,
    Page,
    World,
    everywhere,
)
from tests.transports import forget_servers
from tests.tunnel import Tunnel

TOKEN = answer(b"oauth_token=T&oauth_token_secret=S&oauth_callback_confirmed=true")
CLOSE = ("Connection", "close")


def save(owner: Browser, world: World, base_url: str, **fields: str) -> Page:
    """Send the form for a new integration of organization A."""
    path = f"/o/{world.a.slug}/settings/integrations/add"
    return owner.post(path, {"name": "New", "base_url": base_url, **fields}, token_from=path)


def stored(world: World) -> list[models.integration]:
    with world.context():
        found = list(database.session.scalars(select(models.integration).order_by(models.integration.created_at)))
        database.session.expunge_all()
        return found


def owner_of_a(world: World) -> Browser:
    owner = world.browser()
    owner.log_owner_in(world.a)
    return owner


def begin_is_refused(world: World, failure: str, status: int = 502) -> Page:
    with world.nothing_new():
        page = world.attempt(world.b)
    assert (world.last_failure(), page.status) == (failure, status)
    assert world.deny.count == 0
    return page


BLOCKED = "AuthConfigurationError/invalid_setting(base_url)"
UNREACHABLE = "AuthProviderError/connection_failed"


@row(64, 65)
@everywhere
def test_a_base_url_of_another_shape_is_not_stored(world):
    before = world.base_urls()
    for base_url in ("https://127.0.0.1", "https://2130706433", "https://h.test\\@127.0.0.1", "https://h.test:22"):
        assert not world.enter(base_url), base_url
    assert world.base_urls() == before
    assert world.looked_up == []
    assert world.fa.received == world.fb.received == []


@row(64, 65)
def test_the_form_says_what_is_wrong_with_a_base_url(world):
    owner = owner_of_a(world)
    for base_url in ("https://localhost", "https://u:p@h.test"):
        page = save(owner, world, base_url)
        assert page.status == 422
        assert "This base URL cannot be used." in page.text


@row(66)
@everywhere
def test_a_base_url_is_stored_in_one_form(world):
    assert world.enter("HTTPS://BB.Acme.Test:443/bitbucket/")
    assert world.base_urls()[-1] == "https://bb.acme.test/bitbucket"
    server_url = ServerURL.parse(world.base_urls()[-1])
    for address in (
        server_url.request_token,
        server_url.authorize("T"),
        server_url.access_token,
        server_url.application_properties,
    ):
        assert address.startswith("https://bb.acme.test/bitbucket/")


@row(67)
@everywhere
def test_plain_http_needs_the_operators_permission(world):
    assert not world.enter("http://bb.acme.test")
    world.allow_plain_http("bb.acme.test")
    assert not world.enter("http://other.acme.test")
    assert world.enter("http://bb.acme.test")
    assert world.base_urls()[-1] == "http://bb.acme.test"


@row(67)
def test_plain_http_is_said_on_the_page_and_in_the_audit_log(world):
    owner, path = owner_of_a(world), world.a.settings_path
    world.allow_plain_http("bb.acme.test")
    page = save(owner, world, "http://bb.acme.test")
    assert page.status == 303
    assert "This base URL is not encrypted." in owner.get(page.location).text
    assert world.events("integration.created")[-1]["insecure"] is True
    assert "This base URL is not encrypted." not in owner.get(path).text
    form = {"name": "A", "base_url": "http://bb.acme.test"}
    assert owner.post(f"{path}/edit", form, token_from=f"{path}/edit").status == 303
    assert world.events("integration.updated")[-1]["insecure"] is True
    assert "This base URL is not encrypted." in owner.get(path).text


@row(68)
@everywhere
def test_a_name_that_leads_to_a_forbidden_address_is_refused(world):
    world.addresses["bb-b.test"] = world.addresses["deny.test"]
    begin_is_refused(world, BLOCKED)


@row(68)
def test_what_was_blocked_is_written_down_without_its_path(world):
    world.addresses["bb-b.test"] = world.addresses["deny.test"]
    begin_is_refused(world, BLOCKED)
    line = world.events("outbound.blocked")[-1]
    assert (line["host"], line["address_class"]) == ("bb-b.test", "never")
    assert not any("/" in str(value) for name, value in line.items() if name != "at")


@row(69)
@everywhere
def test_a_name_is_resolved_for_each_connection_and_checked_each_time(world):
    def close(_: Received) -> Reply:
        return replace(world.fb.honest[REQUEST_TOKEN](_), headers=[CLOSE])

    world.fb.scripts[REQUEST_TOKEN] = close
    browser = world.browser()
    begun = browser.begin(world.b)
    assert begun.status == 303
    assert world.looked_up == ["bb-b.test."]
    world.addresses["bb-b.test"] = world.addresses["deny.test"]
    asked = len(world.fb.received)
    page = browser.finish(world.b, begun, "mallory")
    assert (page.status, world.last_failure()) == (502, BLOCKED)
    assert world.looked_up == ["bb-b.test."] * 2
    assert len(world.fb.received) == asked


@row(70)
@everywhere
def test_one_forbidden_address_among_others_is_enough(world):
    allowed, forbidden = world.fb.address, world.addresses["deny.test"][0]
    for addresses in ([allowed, forbidden], [forbidden, allowed]):
        world.addresses["bb-b.test"] = addresses
        begin_is_refused(world, BLOCKED)
    assert world.fb.received == []


@row(71)
@everywhere
def test_a_name_that_cannot_be_looked_up_is_not_reached(world, monkeypatch):
    released = threading.Event()

    def hang(_: str) -> list[Any]:
        released.wait(120)
        return [ip_address(world.fb.address)]

    def fail(error: Exception) -> Callable[[str], list[Any]]:
        def resolve(_: str) -> list[Any]:
            raise error

        return resolve

    monkeypatch.setattr(reaching, "RESOLVER_SECONDS", 0.05)
    gaierror = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    for resolver in (
        fail(gaierror),
        fail(UnicodeError("label too long")),
        fail(UnicodeEncodeError("idna", "ü", 0, 1, "no")),
        lambda _: [],
        hang,
    ):
        default_transport().resolver = resolver
        begin_is_refused(world, UNREACHABLE)
    released.set()
    assert world.fb.received == []


@row(72)
@everywhere
def test_an_ipv4_address_does_not_hide_in_an_ipv6_address(world):
    first, second, third, fourth = map(int, world.addresses["deny.test"][0].split("."))
    dotted, pairs = f"{first}.{second}.{third}.{fourth}", f"{first * 256 + second:x}:{third * 256 + fourth:x}"
    for address in (f"::ffff:{dotted}", f"64:ff9b::{pairs}"):
        world.addresses["bb-b.test"] = [address]
        begin_is_refused(world, BLOCKED)


@row(73)
@everywhere
def test_a_private_network_is_open_to_the_organization_it_is_listed_for(world, monkeypatch):
    tried, connect = [], socket.create_connection

    def connect_elsewhere(address: tuple[str, int], *arguments: Any, **options: Any) -> socket.socket:
        if address[0] != "10.20.1.5":
            return connect(address, *arguments, **options)
        tried.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect_elsewhere)
    world.addresses["bb-a.test"] = world.addresses["bb-b.test"] = ["10.20.1.5"]

    def failure(place: Any) -> str:
        assert world.attempt(place).status == 502
        return world.last_failure()

    world.allow_private_networks()
    assert failure(world.a) == BLOCKED
    world.allow_private_networks(a="10.20.0.0/16")
    assert failure(world.b) == BLOCKED
    assert tried == []
    assert failure(world.a) == UNREACHABLE
    assert tried == [("10.20.1.5", PORT)]


@row(68, 76)
@everywhere
def test_connections_that_go_elsewhere_are_checked_as_those_to_the_base_url(world):
    world.addresses["inside.test"] = world.addresses[world.fb.host]
    world.addresses[world.fb.host] = world.addresses["deny.test"]
    begin_is_refused(world, BLOCKED)
    world.change_integration(world.b, connect_to=f"inside.test:{PORT}")
    assert world.browser().log_in(world.b, "mallory").status == 303
    world.change_integration(world.b, connect_to=f"deny.test:{PORT}")
    begin_is_refused(world, BLOCKED)


FORBIDDEN_NETWORKS = ["127.0.0.0/8", "169.254.0.0/16", "0.0.0.0/0", "::/0", "fd00::/8", "100.64.0.0/10"]


@row(74)
@everywhere
def test_no_application_starts_with_a_network_that_nobody_should_reach(world):
    for network in FORBIDDEN_NETWORKS:
        assert network in world.refusal_of_private_network(network)
    assert not world.refusal_of_private_network("10.20.0.0/16")


@row(74)
@pytest.mark.parametrize("network", FORBIDDEN_NETWORKS)
def test_the_application_does_not_start_with_such_a_network_for_everybody(tmp_path, network):
    config = {
        "PUBLIC_BASE_URL": ORIGIN,
        "SECRET_KEY": "s" * 64,
        "INSTANCE_PATH": str(tmp_path / "instance"),
        "OUTBOUND_MODE": "listed",
        "ALLOWED_PRIVATE_NETWORKS": f"*=10.0.0.0/8,{network}",
    }
    with pytest.raises(UnsafeSettingError) as caught:
        create_app(config)
    assert network in str(caught.value)


@row(75)
@everywhere
def test_no_redirect_is_followed_and_nothing_signed_goes_elsewhere(world):
    """Each address that is asked redirects once, each time in another way."""
    for path, status, location in (
        (REQUEST_TOKEN, 302, f"https://deny.test:{PORT}/"),
        (ACCESS_TOKEN, 307, f"https://bb-b.test:7990{ACCESS_TOKEN}"),
        (PROPERTIES, 302, f"https://bb-b.test:{PORT}/elsewhere"),
        (WHOAMI, 307, f"//deny.test:{PORT}/x"),
        (f"{USERS}/mallory", 302, f"http://bb-b.test:{PORT}{USERS}/mallory"),
        (USERS, 302, f"https://deny.test:{PORT}/"),
    ):
        world.fb.scripts = {path: Reply("", status, [("Location", location)])}
        if path == WHOAMI:
            world.fb.scripts[PROPERTIES] = Reply('{"version":"8.7.0"}')
        if path == USERS:
            world.fb.scripts[f"{USERS}/mallory"] = Reply("", 404)
        world.fb.received.clear()
        browser = world.stranger()
        forget_servers()
        with world.nothing_new():
            page = browser.begin(world.b)
            if path != REQUEST_TOKEN:
                page = browser.finish(world.b, page, "mallory")
        assert page.status == 502, path
        if path != WHOAMI:
            assert world.last_failure() == "AuthProviderError/http_error"
        assert world.fb.count(path) == 1
        assert world.fb.paths()[-1] == path
        assert world.deny.count == 0
    assert world.fa.received == []


@row(76)
@everywhere
def test_the_environment_leads_nowhere(world, monkeypatch, tmp_path):
    deny = f"http://{world.addresses['deny.test'][0]}:{PORT}"
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, deny)
        monkeypatch.setenv(variable.lower(), deny)
    monkeypatch.setenv("NO_PROXY", "elsewhere.test")
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password something\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    foreign = tmp_path / "foreign.pem"
    trustme.CA().cert_pem.write_to_path(str(foreign))
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(variable, str(foreign))
    assert world.browser().log_in(world.b, "mallory").status == 303
    assert world.deny.count == 0
    assert {request.headers.get("Authorization", "")[:6] for request in world.fb.received} == {"OAuth "}


def expired(authority: trustme.CA) -> trustme.LeafCert:
    now = datetime.now(UTC)
    return authority.issue_cert("bb-b.test", not_before=now - timedelta(days=9), not_after=now - timedelta(days=1))


@row(77)
@everywhere
def test_a_certificate_that_does_not_hold_ends_the_login(world, raw, certificate_authority):
    for certificate in (
        certificate_authority.issue_cert("bb-a.test"),
        certificate_authority.issue_cert("127.0.0.2"),
        expired(certificate_authority),
        trustme.CA().issue_cert("bb-b.test"),
    ):
        server = raw(answering(TOKEN), certificate=certificate)
        begin_is_refused(world, "AuthProviderError/tls_error")
        assert server.requests == []
        assert len(server.peers) == 1


@row(77)
def test_a_self_signed_certificate_ends_the_login(world, raw, tmp_path):
    class SelfSigned:
        def configure_cert(self, context: Any) -> None:
            key = PrivateKey.generate(2048)
            file = tmp_path / "self-signed.pem"
            file.write_text(key.pem() + key.certificate("bb-b.test"))
            context.load_cert_chain(file)
            file.unlink()

    server = raw(answering(TOKEN), certificate=SelfSigned())
    begin_is_refused(world, "AuthProviderError/tls_error")
    assert server.requests == []


@row(77)
def test_the_ca_of_one_organization_counts_for_no_other(world, raw):
    own = trustme.CA()
    server = raw(answering(TOKEN), certificate=own.issue_cert("bb-b.test"))
    world.change_integration(world.b, ca_certificates=own.cert_pem.bytes().decode())
    assert world.attempt(world.b).status == 303
    world.change_integration(world.a, base_url="https://bb-b.test:7990")
    page = world.attempt(world.a)
    assert (page.status, world.last_failure()) == (502, "AuthProviderError/tls_error")
    assert len(server.requests) == 1


@row(77)
@pytest.mark.parametrize("name", ["SOCIAL_AUTH_BITBUCKET_SERVER_VERIFY_SSL", "SOCIAL_AUTH_VERIFY_SSL"])
def test_the_application_does_not_start_without_verification(tmp_path, name):
    config = {"PUBLIC_BASE_URL": ORIGIN, "SECRET_KEY": "s" * 64, "INSTANCE_PATH": str(tmp_path / "instance")}
    with pytest.raises(UnsafeConfigurationError, match="VERIFY_SSL"):
        create_app({**config, name: False})


@row(78)
@everywhere
def test_what_is_no_ca_certificate_is_not_stored(world, certificate_authority):
    leaf = certificate_authority.issue_cert("bb-a.test")
    certificate = certificate_authority.cert_pem.bytes().decode()
    before = world.base_urls()
    for pasted in (
        leaf.cert_chain_pems[0].bytes().decode(),
        certificate + leaf.private_key_pem.bytes().decode(),
        certificate * 100,
        "not PEM",
    ):
        assert not world.enter("https://bb.acme.test", pasted), pasted[:60]
    assert "PRIVATE KEY" not in "".join(page.text for page in world.pages)
    assert world.base_urls() == before
    assert world.enter("https://bb.acme.test", certificate)


@row(78)
@everywhere
def test_a_ca_affects_only_whose_it_is(world):
    world.change_integration(world.a, ca_certificates=trustme.CA().cert_pem.bytes().decode())
    assert world.attempt(world.a).status == 502
    assert world.last_failure() == "AuthProviderError/tls_error"
    assert world.attempt(world.b).status == 303


@row(78)
def test_a_ca_of_another_organization_affects_only_who_set_it(world):
    foreign = trustme.CA().cert_pem.bytes().decode()
    owner, path = owner_of_a(world), f"{world.a.settings_path}/edit"
    form = {"name": "A", "base_url": world.fa.url, "ca_certificates": foreign}
    assert owner.post(path, form, token_from=path).status == 303
    assert world.attempt(world.a).status == 502
    assert world.last_failure() == "AuthProviderError/tls_error"
    assert world.attempt(world.b).status == 303


@row(79)
@everywhere
def test_a_forbidden_address_looks_like_a_name_that_does_not_exist(world, monkeypatch):
    monkeypatch.setattr(breaker, "SECONDS_OPEN", 600)  # not over before the last of four tries

    def answers(place_name: str, addresses: list[str], port: int) -> list[Any]:
        """Try to log in four times in a row, and return what a stranger sees each time."""
        forget_servers()
        world.addresses[place_name] = addresses
        world.change_integration(world.b, base_url=f"https://{place_name}:{port}")
        browser, seen = world.stranger(), []
        for _ in range(4):
            page = browser.begin(world.b)
            headers = [(name, value) for name, value in page.headers if name not in {"Date", "Expires", "Set-Cookie"}]
            seen.append((page.status, page.without_reference, len(page.body), headers))
        return seen

    forbidden = world.addresses["deny.test"]
    with RawServer(lambda peer: peer.send(b"SSH-2.0-OpenSSH_9.6\r\n"), forbidden[0], 7990):
        blocked = answers("one.test", forbidden, PORT)
        with_banner = answers("two.test", forbidden, 7990)
        with_closed_port = answers("six.test", forbidden, 443)
        unresolvable = answers("ten.test", [], PORT)
        nothing_listens = answers("old.test", [world.fb.address], 7990)
    assert blocked == with_banner == with_closed_port == unresolvable == nothing_listens
    assert [status for status, *_ in blocked] == [502, 502, 502, 503]


CROWD = 12
"""People who log in at once: three times as many as a server may keep waiting. More of them only wait as the others."""


@row(80)
@everywhere
def test_a_stalled_server_holds_a_quarter_of_the_threads_and_nobody_else(world, transport):
    transport.limits = replace(transport.limits, patience=0.3)
    world.wait_for_servers(60)
    release = threading.Event()

    def stall(received: Received) -> Reply:
        release.wait(60)
        return world.fb.honest[REQUEST_TOKEN](received)

    world.fb.scripts[REQUEST_TOKEN] = stall
    strangers = [world.stranger() for _ in range(CROWD)]
    forms = [browser.get(world.b.login_path).csrf_field for browser in strangers]
    alice = world.browser()
    form_of_alice = alice.get(world.a.login_path).csrf_field
    with ThreadPoolExecutor(CROWD) as everybody:
        under_way = [
            everybody.submit(browser.post, world.b.begin_path, form)
            for browser, form in zip(strangers, forms, strict=True)
        ]
        try:
            refused = list(islice(as_completed(under_way, timeout=120), CROWD - 4))
            assert alice.post(world.a.begin_path, form_of_alice).status == 303
        finally:
            release.set()
        statuses = sorted(future.result().status for future in under_way)
    assert statuses == [303] * 4 + [503] * (CROWD - 4)
    assert {future.result().status for future in refused} == {503}


@row(76)
def test_a_proxy_of_the_operators_is_used_for_its_organization_alone_and_asked_for_the_checked_address(world):
    tunnel = Tunnel((world.fa.address, PORT))
    with RawServer(tunnel) as proxy:
        world.restart(OUTBOUND_PROXIES=f"{world.organization_id(world.a)}=http://127.0.0.1:{proxy.port}")
        assert world.browser().log_in(world.a, "alice").status == 303
        assert world.browser().log_in(world.b, "mallory").status == 303
    (asked,) = tunnel.asked
    assert asked.startswith(f"CONNECT {world.fa.address}:{PORT} HTTP/1.")
    assert "oauth" not in asked.lower()


@row(68)
def test_a_proxy_is_not_asked_for_an_address_that_is_blocked(world):
    tunnel = Tunnel((world.fa.address, PORT))
    with RawServer(tunnel) as proxy:
        world.restart(OUTBOUND_PROXIES=f"*=http://127.0.0.1:{proxy.port}")
        world.addresses[world.fa.host] = world.addresses["deny.test"]
        assert world.browser().begin(world.a).status == 502
    assert tunnel.asked == []
    assert len(world.events("outbound.blocked")) == 1


def test_a_proxy_of_another_shape_keeps_the_application_from_starting(world):
    for proxy in ("proxy:3128", "socks5://proxy:1080", "http://proxy", "http://proxy:3128/x", ""):
        with pytest.raises(UnsafeSettingError, match=r"OUTBOUND_PROXIES: The one for 17 .* such as http://proxy"):
            create_app(world.config | {"OUTBOUND_PROXIES": f"17={proxy}"})
