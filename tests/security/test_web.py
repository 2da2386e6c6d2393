"""The web around the login."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from social_core.pipeline import DEFAULT_AUTH_PIPELINE
from social_flask.routes import social_auth
from sqlalchemy import event, select, text

from social_bitbucket_server.flask import BitbucketServer
from social_bitbucket_server.integration import UnsafeConfigurationError
from social_bitbucket_server.login import LONGEST_NEXT
from social_bitbucket_server.sqlalchemy.organizations import clock, integrations
from tests.flask_app import create_app, database
from tests.flask_app.instance_files import UnsafeSettingError
from tests.flask_app.models import models
from tests.fuzz.examples import JSON, NOISE
from tests.routes import address_of
from tests.scripted_server import Reply
from tests.security.rows import row
from tests.security.world import (
    ACCESS_TOKEN,
    HOST,
    ORIGIN,
    PROPERTIES,
    REQUEST_TOKEN,
    USERS,
    Browser,
    Page,
    Place,
    World,
    everywhere,
    on_every_database,
    person,
)
from tests.transports import forget_servers

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))

HOSTILE_TEXTS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{19187*19183}}",
    "${19187*19183}",
    "'-alert(1)-'",
]
PRODUCT = str(19187 * 19183)


def addresses(world: World, place: Place, method: str = "GET") -> list[str]:
    """Return every address of the application for *method*, filled in with what belongs to *place*."""
    values = {
        "slug": place.slug,
        "integration": place.integration_id,
        "number": 1,
        "link": 1,
        "person": 1,
        "event_id": 1,
        "identity_id": 1,
        "handle": "x",
        "token": world.set_up_link(place),
        "filename": "style.css",
    }
    looks = {"bitbucket.static": {"filename": "bitbucket_server.css"}}
    with world.context():
        return [
            address_of(rule, values | looks.get(rule.endpoint, {}))
            for rule in world.app.url_map.iter_rules()
            if method in (rule.methods or ())
        ]


def everybody(world: World) -> dict[str, Browser]:
    """Somebody unknown, a person of A, and A's owner."""
    stranger, member, owner = world.stranger(), world.stranger(), world.stranger()
    assert member.log_in(world.a, "alice").status == 303
    assert owner.log_owner_in(world.a).status == 303
    return {"stranger": stranger, "member": member, "owner": owner}


def every_page(world: World) -> Iterator[tuple[str, Page]]:
    """Every page that can be opened, for everybody who can open it."""
    for browser in everybody(world).values():
        for address in addresses(world, world.a):
            yield address, browser.get(address)


def policy(page: Page) -> dict[str, str]:
    """The Content-Security-Policy by directive."""
    directives = (part.strip().partition(" ") for part in page.header("Content-Security-Policy").split(";"))
    return {name: value for name, _, value in directives}


@row(93)
def test_hostile_text_is_shown_as_text(world):
    owner, member = world.stranger(), world.stranger()
    owner.log_owner_in(world.a)
    markup, code = " ".join(HOSTILE_TEXTS[:2]), " ".join(HOSTILE_TEXTS[2:])
    name = world.fa.knows(person(100, "m", displayName=" ".join(HOSTILE_TEXTS)))
    assert member.log_in(world.a, name).status == 303
    for first, second in ((markup, code), (code, markup)):
        world.change_organization(world.a, name=first)
        world.change_integration(world.a, name=second)
        pages = [browser.get(address) for browser in (member, owner) for address in addresses(world, world.a)]
        for hostile in ("alert(1)", "19187*19183"):
            assert sum(hostile in page.text for page in pages) > 5
        for page in pages:
            if page.header("Content-Type").startswith("text/html"):
                assert "<script>alert" not in page.text
                assert "<img src=x" not in page.text
            assert PRODUCT not in page.text
            assert "unsafe" not in page.header("Content-Security-Policy")


@row(93)
@everywhere
def test_a_problems_text_is_not_shown(world):
    for hostile in (HOSTILE_TEXTS[0], HOSTILE_TEXTS[2]):
        advice = f"oauth_problem={hostile}&oauth_problem_advice={hostile}"
        world.fb.scripts[REQUEST_TOKEN] = Reply(advice, 401, [("WWW-Authenticate", f'OAuth oauth_problem="{hostile}"')])
        page = world.attempt(world.b)
        assert page.status == 502
        assert "alert(1)" not in page.text
        assert "19187" not in page.text
        assert PRODUCT not in page.text


EVE = person(
    9,
    "eve",
    avatarUrl="javascript:alert(1)",
    links={"self": [{"href": "//deny.test:8443/x"}]},
    url="https://deny.test:8443/",
)


@row(94)
@everywhere
def test_addresses_in_a_profile_are_not_asked(world):
    world.fb.knows(EVE)
    eve = world.browser()
    assert eve.log_in(world.b, "eve").status == 303
    asked, page = len(world.fb.received), eve.get(world.b.account_path)
    assert "javascript:" not in page.text
    assert "deny.test" not in page.text
    assert len(world.fb.received) == asked
    assert "deny.test." not in world.looked_up


@row(94)
def test_no_page_shows_an_address_of_a_profile(world):
    world.fb.knows(EVE)
    eve, owner = world.browser(), world.browser()
    assert eve.log_in(world.b, "eve").status == 303
    asked = len(world.fb.received)
    owner.log_owner_in(world.b)
    for browser in (eve, owner):
        for address in addresses(world, world.b):
            page = browser.get(address)
            assert "javascript:" not in page.text
            assert "deny.test" not in page.text
    assert len(world.fb.received) == asked
    assert "deny.test." not in world.looked_up


def begin_by_hand(world: World, target: str, head: list[str]) -> bytes:
    """A POST that begins a login, its request line's *target* and *head* lines as given; returns the answer."""
    browser = world.stranger()
    body = urlencode(browser.get(world.a.login_path).csrf_field)
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    lines = [
        f"POST {target} HTTP/1.1",
        *head,
        f"Cookie: {cookies}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    with closing(socket.create_connection(("127.0.0.1", world.port), timeout=120)) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


@row(95)
@everywhere
def test_the_callback_never_comes_from_a_host_header(world):
    for absolute, head, status in (
        ("", ["Host: evil.example"], b"400"),
        ("", [f"Host: {HOST}:8443"], b"400"),
        ("", [], b"400"),
        ("", [f"Host: {HOST}", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: http"], b"303"),
        ("", [f"Host: {HOST}", "Forwarded: host=evil.example;proto=http"], b"303"),
        ("", [f"Host: {HOST}", "Host: evil.example"], b"400"),
        ("", ["Host: evil.example", f"Host: {HOST}"], b"400"),
        ("http://evil.example", [f"Host: {HOST}"], b"303"),
    ):
        world.fa.received.clear()
        answer = begin_by_hand(world, absolute + world.a.begin_path, head)
        if world.answers_for_one_host:
            assert answer.split()[1] == status, head
        assert answer.split()[1] in {b"303", b"400"}, head
        assert b"evil.example" not in answer, head
        callbacks = [request.oauth["oauth_callback"] for request in world.fa.received if request.path == REQUEST_TOKEN]
        expected = f"{ORIGIN}/complete/bitbucket-server/{world.a.integration_id}/"
        assert callbacks == ([expected] if answer.split()[1] == b"303" else []), head


ELSEWHERE = [
    "//e.example",
    "///e.example",
    "/\\e.example",
    "\\\\e.example",
    "/\te.example",
    "/%09/e.example",
    "/%2f%2fe.example",
    "/%5ce.example",
    "https://app.example/x",
    "http://app.example/",
    "@e.example",
    "e.example",
    "javascript:x",
    " /x",
    "/x\r\nA:b",
    "/x%0d%0aA:b",
    "/logout",
    "/o/b/account",
    "/o/a/../b/account",
    "/o/a/%2e%2e/b",
    "/o/a//e.example",
    "/o/a/account#x",
    "/" + "x" * 5000,
    "/o/a/" + "x" * 5000,
]


SOME = ["//e.example", "/\\e.example", "https://app.example/x", "/x%0d%0aA:b", "/o/a/" + "x" * 5000]
"""One of each kind, where the application has a check of its own: tests/unit/flask_app/test_navigation.py and
tests/frameworks/django/test_many_organizations.py have all of them."""


@row(96)
@pytest.mark.parametrize(
    ("application", "elsewhere"),
    [("organizations", SOME), ("django", SOME), ("flask", ELSEWHERE), ("plain", ELSEWHERE)],
    indirect=["application"],
    ids=["organizations", "django", "flask", "plain"],
)
def test_no_login_leads_to_another_site(world, elsewhere):
    for wanted in elsewhere:
        browser = world.stranger()
        page = browser.finish(world.a, browser.begin(world.a, next=wanted), "alice")
        assert page.status == 303, wanted
        assert urlsplit(urljoin(world.a.callback(), page.location)).netloc in {"", HOST}, wanted
        assert not re.search(r"[\x00-\x20\\\x7f]", page.location.strip()), wanted
        assert len(page.location) <= LONGEST_NEXT
        assert not page.header("A")


@row(96)
def test_only_the_organizations_own_pages_are_gone_to_after_a_login(world):
    for wanted in (*SOME, "/o/b/account"):
        browser = world.stranger()
        page = browser.finish(world.a, browser.begin(world.a, next=wanted), "alice")
        assert (page.status, page.location) == (303, "/o/a/account"), wanted
        assert not page.header("A")
    browser = world.stranger()
    page = browser.finish(world.a, browser.begin(world.a, next="/o/a/members?x=1"), "alice")
    assert (page.status, page.location) == (303, "/o/a/members?x=1")


@row(96)
def test_the_owner_goes_to_the_organizations_own_pages_alone(world):
    path = "/o/a/login/owner"
    login = {"email": world.a.owner_email, "password": "correct horse battery staple"}
    for wanted in (*SOME, "/o/b/account"):
        page = world.stranger().post(path, {**login, "next": wanted}, token_from=path)
        assert page.status == 303, wanted
        assert page.location in {"/o/a/account", "/o/a/settings/integrations"}, wanted
    page = world.stranger().post(path, {**login, "next": "/o/a/settings/people"}, token_from=path)
    assert page.location == "/o/a/settings/people"


@row(97, 98, 100)
def test_every_page_has_its_headers(world):
    """Frames (97), forms (98), caches and the rest (100)."""
    reaching_bitbucket = set()
    for address, page in every_page(world):
        directives = policy(page)
        assert directives["default-src"] == "'none'", address
        assert directives["frame-ancestors"] == "'none'", address
        assert page.header("X-Frame-Options") == "DENY", address
        if directives["form-action"] != "'self'":
            assert directives["form-action"] == "'self' https://bb-a.test:8443", address
            reaching_bitbucket.add(address)
        if not address.endswith(".css"):
            assert page.header("Cache-Control") == "no-store", address
            assert "Cookie" in page.header("Vary"), address
        assert page.header("Referrer-Policy") == "no-referrer", address
        assert page.header("X-Content-Type-Options") == "nosniff", address
        assert page.header("Strict-Transport-Security").startswith("max-age="), address
    assert reaching_bitbucket == {"/o/a/login"}


@row(99)
def test_every_cookie_belongs_to_this_host_alone(world):
    list(every_page(world))
    cookies = [cookie for page in world.pages for cookie in page.cookies]
    assert cookies
    for cookie in cookies:
        attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert cookie.startswith("__Host-")
        assert attributes == {"secure", "httponly", "samesite=lax", "path=/"}


@row(98)
def test_the_page_that_connects_an_account_names_the_server_that_it_connects(world):
    member = world.browser()
    member.log_in(world.a, "alice")
    world.another_integration(world.a, world.fb)
    page = member.get("/o/a/account/connect")
    assert policy(page)["form-action"] == "'self' https://bb-b.test:8443"


@row(100)
def test_the_callback_and_refusals_are_kept_nowhere(world):
    browser = world.browser()
    pages = [browser.log_in(world.a, "alice"), browser.get(world.a.callback()), browser.get("/o/nobody/")]
    for page in pages:
        assert page.header("Cache-Control") == "no-store"
        assert page.header("Referrer-Policy") == "no-referrer"
        assert "Cookie" in page.header("Vary")


def rows_of(world: World, *tables: str) -> list[tuple[Any, ...]]:
    with world.context():
        return [tuple(row) for name in tables for row in database.session.execute(text(f"SELECT * FROM {name}"))]


@row(101)
def test_another_organizations_settings_are_not_there(world):
    owner = world.browser()
    owner.log_owner_in(world.b)
    token = owner.get("/o/b/settings/integrations/add").csrf_token
    form = {"csrf_token": token, "name": "Bitbucket A", "base_url": "https://evil.example"}
    before = rows_of(world, "bitbucket_integrations", "bitbucket_key_pairs", "users")
    settings_pages = {
        method: {address for address in addresses(world, world.a, method) if "/settings" in address}
        for method in ("GET", "POST", "DELETE", "PUT", "PATCH")
    }
    for method, known in settings_pages.items():
        for address in set().union(*settings_pages.values()):
            denied = len(world.events("admin.denied"))
            page = owner.request(method, address, form if method != "GET" else None)
            # No organization has a page for the other methods.
            assert page.status == (404 if address in known else 405), f"{method} {address}"
            assert len(world.events("admin.denied")) == denied + (address in known), f"{method} {address}"
    for method in ("GET", "POST"):
        for address in addresses(world, world.a, method):
            if world.a.integration_id in address and "/settings" in address:
                under_own_name = address.replace("/o/a/", "/o/b/")
                page = owner.request(method, under_own_name, form if method == "POST" else None)
                assert page.status == 404, f"{method} {under_own_name}"
                assert world.events("admin.denied")[-1]["organization_id"] == world.a.organization_id
    assert rows_of(world, "bitbucket_integrations", "bitbucket_key_pairs", "users") == before


@contextmanager
def counted_queries(world: World) -> Iterator[list[str]]:
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    engine = world.app.extensions["engine"]
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)


@row(102)
def test_what_is_not_there_and_what_belongs_to_others_look_the_same(world):
    """That they take the same time is seen in the database's work: it is all that differs between them."""
    gone = world.make_place("gone", world.fa)
    world.change_organization(gone, disabled_at=clock.now())
    off = world.make_place("off", world.fa)
    world.change_integration(off, disabled_at=clock.now())
    unknown = "0" * 24
    browser = world.browser()
    token = browser.get(world.a.login_path).csrf_token

    def begin(slug: str, integration_id: str) -> Page:
        return browser.post(f"/o/{slug}/login/{integration_id}/begin", {"csrf_token": token})

    same_work = [
        [lambda: browser.get("/o/nobody/login"), lambda: browser.get("/o/gone/login")],
        [lambda: begin("nobody", world.a.integration_id), lambda: begin("gone", gone.integration_id)],
        [lambda: begin("a", unknown), lambda: begin("a", world.b.integration_id)],
        [
            lambda: browser.get(f"/complete/bitbucket-server/{unknown}/"),
            lambda: browser.get(off.callback(oauth_token="t", oauth_verifier="v")),
            lambda: browser.get(gone.callback(oauth_token="t", oauth_verifier="v")),
        ],
    ]
    bodies = {begin("off", off.integration_id).body}
    for requests in same_work:
        work = []
        for request in requests:
            with counted_queries(world) as statements:
                page = request()
            assert page.status == 404
            bodies.add(page.body)
            work.append(statements)
        assert all(statements == work[0] for statements in work)
    assert len(bodies) == 1


@row(103)
def test_logins_are_limited_for_each_address_and_integration(world):
    crowd = world.stranger()
    for _ in range(10):
        assert crowd.begin(world.a).status == 303
    asked = len(world.fa.received)
    page = crowd.begin(world.a)
    assert page.status == 429
    assert 0 < int(page.header("Retry-After")) <= 60
    assert re.search(r"Wait \d+ seconds?", page.text)
    assert len(world.fa.received) == asked
    assert world.events("request.failure")[-1]["limit"] == "logins"
    assert world.stranger().begin(world.a).status == 303, "another address"
    assert crowd.begin(world.b).status == 303, "another integration"


@row(104)
def test_integrations_are_limited_and_no_key_is_made_for_nothing(world, monkeypatch):
    made = []
    make = integrations.make_private_key
    monkeypatch.setattr(integrations, "make_private_key", lambda: made.append(1) or make())
    owner = world.browser()
    owner.log_owner_in(world.b)
    path = "/o/b/settings/integrations/add"
    form = {"base_url": "https://bb-b.test:8443"}
    for number in range(10):
        assert owner.post(path, form | {"name": f"One more {number}"}, token_from=path).status == 303
    assert len(made) == 10
    page = owner.post(path, form | {"name": "Too many"}, token_from=path)
    assert page.status == 429
    assert 0 < int(page.header("Retry-After")) <= 3600
    assert owner.post(f"{world.b.settings_path}/key-pair", token_from=f"{world.b.settings_path}/key-pair").status == 429
    # The form for a new integration has the same address as what creates it; a GET shows it, and makes nothing.
    assert owner.get(path).status == 200
    for action in ("key-pair", "test"):
        assert owner.get(f"{world.b.settings_path}/{action}").status == 200
    assert owner.get(f"{world.b.settings_path}/key-pair/verify").status == 405
    assert len(made) == 10


FORGED = 'x\r\n{"event":"login.success"}'


@row(105)
@everywhere
def test_text_from_a_server_is_in_no_log(world):
    world.fb.knows(person(8, "eve", displayName=FORGED, emailAddress=FORGED))
    browser = world.browser()
    assert browser.log_in(world.b, "eve").status in {303, 502}
    browser.get(world.b.callback(oauth_token=FORGED))
    assert FORGED not in world.log.text
    assert '"x\\r\\n{' not in world.log.text


@row(105)
def test_text_from_a_server_cannot_forge_the_log(world):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("social_bitbucket_server.events")
    logger.addHandler(handler)
    try:
        world.fb.knows(person(8, "eve", displayName=FORGED, emailAddress=FORGED))
        browser = world.browser()
        assert browser.log_in(world.b, "eve").status in {303, 502}
        browser.get("/o/b/account", headers={"User-Agent": '{"event":"login.success"}'})
        browser.get(world.b.callback(oauth_token='"}x{"event":"login.success"}'))
    finally:
        logger.removeHandler(handler)
    lines = stream.getvalue().splitlines()
    assert len(lines) == stream.getvalue().count("\n")
    events = [json.loads(line)["event"] for line in lines]
    assert events.count("login.success") <= 1
    assert "x\\r" not in stream.getvalue()


@row(105)
@on_every_database
def test_entries_of_the_audit_log_outlive_what_they_are_about(world):
    world.browser().log_in(world.a, "alice")
    columns = select(
        models.event.id, models.event.event, models.event.user_id, models.event.integration_id, models.event.at
    )
    with world.context():
        kept = database.session.execute(columns.order_by(models.event.id)).all()
    assert "login.success" in {entry.event for entry in kept}
    world.take_away(world.a, delete=True)
    assert world.users() == []
    with world.context():
        after = database.session.execute(columns.order_by(models.event.id)).all()
    assert after[: len(kept)] == kept
    changing = [
        rule.rule
        for rule in world.app.url_map.iter_rules()
        if "/events" in rule.rule and (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}
    ]
    assert changing == []


@row(105)
def test_the_rows_say_what_the_lines_say(world):
    browser = world.browser()
    browser.log_in(world.a, "alice")
    browser.get(world.a.callback(oauth_token="x", oauth_verifier="y"))
    with world.context():
        rows = database.session.scalars(select(models.event).order_by(models.event.id)).all()
        kept = [(row.event, row.outcome, row.at.isoformat(), row.reference, row.transaction) for row in rows]
    said = [
        (line["event"], line["outcome"], line["at"], line.get("reference"), line.get("transaction"))
        for line in world.audit
    ]
    assert kept == said


@row(105)
def test_the_owner_reads_what_happened_in_the_own_organization(world):
    browser = world.browser()
    browser.log_in(world.a, "alice")
    failed = browser.get(world.a.callback(oauth_token="x", oauth_verifier="y"))
    reference = re.search(r"Reference number ([0-9A-F]{8})", failed.text)[1]
    owner, foreign = world.browser(), world.browser()
    owner.log_owner_in(world.a)
    foreign.log_owner_in(world.b)
    path = "/o/a/settings/events"
    page = owner.get(path)
    assert page.status == 200
    assert "Login succeeded" in page.text
    assert page.text.index("Login failed") < page.text.index("A person was added")
    assert "Alice" in page.text
    found = owner.get(f"{path}?reference={reference.lower()}")
    assert reference in found.text
    assert "This login is not under way in this browser" in found.text
    assert "Login succeeded" not in found.text
    assert reference not in foreign.get(f"/o/b/settings/events?reference={reference}").text.partition("<table")[2]
    assert "Alice" not in foreign.get("/o/b/settings/events").text
    assert foreign.get(path).status == 404
    assert browser.get(path).status == 404
    assert world.browser().get(path).status == 303


@row(105)
def test_the_list_of_events_shows_all_of_them_page_by_page(world):
    for number in range(60):
        world.stranger().get(world.a.callback(oauth_token=f"x{number}", oauth_verifier="y"))
    owner = world.browser()
    owner.log_owner_in(world.a)
    address: str | None = "/o/a/settings/events"
    shown = []
    while address:
        page = owner.get(address)
        shown += re.findall(r"<b>(.*?)</b>", page.text)
        older = re.search(r'href="([^"]+)">Older events', page.text)
        address = older[1].replace("&amp;", "&") if older else None
    with world.context():
        entries = select(models.event).where(models.event.organization_id == world.a.organization_id)
        assert len(shown) == len(database.session.scalars(entries).all())
    for odd in ("0", "-1", "x", "99999999999999999999", "1e3"):
        assert owner.get(f"/o/a/settings/events?before={odd}").status == 200
    assert owner.get(f"/o/a/settings/events?reference={'A' * 5000}").status == 200
    assert owner.get("/o/a/settings/events?reference=%00").status == 200


@row(105)
def test_which_addresses_are_blocked_is_for_the_operator_alone(world):
    owner = world.browser()
    owner.log_owner_in(world.b)
    pages = []
    for addresses_found in (["127.0.0.3"], []):
        world.addresses["bb-b.test"] = addresses_found
        assert world.attempt(world.b).status == 502
        page = owner.get("/o/b/settings/events")
        pages.append(re.findall(r'<b>(.*?)</b><span class="small">(.*?)</span>', page.text)[0])
    assert world.events("outbound.blocked")
    assert pages[0] == pages[1] == ("Login failed", "The Bitbucket Server could not be reached")


@row(106)
def test_debug_is_for_this_machine_alone(tmp_path):
    with pytest.raises(UnsafeSettingError, match="FLASK_DEBUG"):
        create_app(
            {
                "PUBLIC_BASE_URL": ORIGIN,
                "FLASK_DEBUG": "1",
                "SECRET_KEY": "s" * 64,
                "INSTANCE_PATH": str(tmp_path / "instance"),
            }
        )


@row(106)
def test_a_servers_error_shows_no_debugger(world):
    world.app.debug = True
    for path in (REQUEST_TOKEN, ACCESS_TOKEN, PROPERTIES):
        world.fa.scripts = {path: Reply(b"\xff\xfe" * 100, 200, [("Content-Type", "application/json")])}
        browser = world.stranger()
        page = browser.begin(world.a)
        if page.status == 303:
            page = browser.finish(world.a, page, "alice")
        assert page.status == 502
        assert "Traceback" not in page.text
        assert "werkzeug" not in page.text.lower()


OWN = "SOCIAL_AUTH_BITBUCKET_SERVER_"


@row(107)
@everywhere
def test_settings_that_take_a_protection_away_are_refused_at_start(world):
    by_email = [*DEFAULT_AUTH_PIPELINE, "social_core.pipeline.social_auth.associate_by_email"]
    assert not world.refusal()
    for setting, value, says in (
        (world.pipeline_setting, by_email, "associate_by_email"),
        ("SOCIAL_AUTH_SANITIZE_REDIRECTS", False, "SANITIZE_REDIRECTS"),
        (f"{OWN}VERIFY_SSL", False, "VERIFY_SSL"),
        (f"{OWN}CALLBACK_ORIGIN", "", "CALLBACK_ORIGIN"),
    ):
        refusal = world.refusal(**{setting: value})
        assert says in refusal
        assert refusal.count(". ") == 0, refusal


@row(107)
def test_a_weak_secret_key_is_refused_at_start(world):
    for secret_key, says in {"": "is missing", "dev": "fewer than 32 bytes", "s" * 31: "fewer than 32 bytes"}.items():
        refusal = world.refusal(SECRET_KEY=secret_key)
        assert "SECRET_KEY" in refusal
        assert says in refusal
        assert refusal.count(". ") == 0


@row(107)
def test_the_stock_blueprint_is_refused():
    app = Flask(__name__)
    app.register_blueprint(social_auth)
    with pytest.raises(UnsafeConfigurationError, match="Do not register social_flask's blueprint"):
        BitbucketServer(app, object)


fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
LEGAL = {303, 400, 401, 403, 404, 405, 409, 413, 422, 429, 502, 503, 504}
UID = re.compile(r"[0-9a-f]{32}:[1-9][0-9]{0,18}")
HEADER_VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)


def holds(world: World, *pages: Page) -> None:
    assert {page.status for page in pages} <= LEGAL
    assert all(UID.fullmatch(uid) for uid in world.newest_identities())
    world.check_and_forget()


def log_in_at_b(world: World) -> list[Page]:
    """Somebody new tries to log in at B, as far as it goes."""
    forget_servers()
    browser = world.stranger()
    begun = browser.begin(world.b)
    return [begun] if begun.status != 303 else [begun, browser.finish(world.b, begun, "mallory")]


@row(108)
@pytest.mark.parametrize("path", [REQUEST_TOKEN, ACCESS_TOKEN])
def test_any_bytes_as_token_answer_end_in_a_page(world, path):
    @fuzzed
    @given(st.binary(max_size=300) | NOISE.map(lambda noise: noise.encode(errors="surrogatepass")))
    def try_one(body: bytes) -> None:
        world.fb.scripts = {path: Reply(body)}
        with world.nothing_new():
            holds(world, *log_in_at_b(world))

    try_one()


@row(108)
def test_any_json_as_profile_ends_in_a_page(world):
    fields = st.sampled_from(["id", "name", "slug", "displayName", "emailAddress", "active", "type", "links"])

    @fuzzed
    @given(JSON | st.dictionaries(fields, JSON, max_size=3).map(lambda changed: person(7, "mallory") | changed))
    def try_one(record: Any) -> None:
        reply = Reply(json.dumps(record), headers=[("Content-Type", "application/json")])
        world.fb.scripts = {f"{USERS}/mallory": reply}
        holds(world, *log_in_at_b(world))

    try_one()


@row(108)
def test_any_header_values_end_in_a_page(world):
    names = ["Content-Type", "Content-Encoding", "WWW-Authenticate", "X-AUSERNAME", "Date", "Set-Cookie", "Location"]
    headers = st.lists(st.tuples(st.sampled_from(names), HEADER_VALUES), max_size=4)

    @fuzzed
    @given(st.sampled_from([REQUEST_TOKEN, ACCESS_TOKEN, PROPERTIES]), st.sampled_from([200, 302, 401, 429]), headers)
    def try_one(path: str, status: int, lines: list[tuple[str, str]]) -> None:
        body = '{"version":"8"}' if path == PROPERTIES else "oauth_token=T&oauth_token_secret=S"
        world.fb.scripts = {path: Reply(body, status, lines)}
        with world.nothing_new():
            holds(world, *log_in_at_b(world))

    try_one()


@row(108)
def test_any_base_url_ends_in_a_page(world):
    owner = world.browser()
    owner.log_owner_in(world.a)
    path = f"{world.a.settings_path}/edit"
    token = owner.get(path).csrf_token
    almost = st.sampled_from(["https://", "HTTPS://bb-a.test:8443", "https://bb-a.test", "//", "https://127.0.0.1"])

    @fuzzed
    @given(NOISE | st.builds(lambda start, end: start + end, almost, st.text(max_size=20)))
    def try_one(base_url: str) -> None:
        form = {"csrf_token": token, "name": "A", "base_url": base_url.encode(errors="replace").decode()}
        holds(world, owner.post(path, {**form}))

    try_one()


@row(108)
def test_any_callback_query_ends_in_a_page(world):
    names = ["oauth_token", "oauth_verifier", "oauth_problem", "integration", "next", "x"]
    queries = st.dictionaries(st.sampled_from(names), st.text(max_size=40), max_size=4)

    @fuzzed
    @given(queries)
    def try_one(query: dict[str, str]) -> None:
        sent = {name: value.encode(errors="replace").decode() for name, value in query.items()}
        with world.nothing_new():
            holds(world, world.stranger().get(world.a.callback(**sent)))

    try_one()
