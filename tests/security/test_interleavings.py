"""Logins of several people in several browsers, in any order: what must never happen, and what must always work."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import trustme
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import select
from urllib3 import HTTPHeaderDict

from demo_app import create_app, database, integrations, people
from demo_app.models import LoginSession, Organization, SocialStorage, User
from social_bitbucket_server import client
from social_bitbucket_server.server_url import ServerURL
from social_bitbucket_server.transport import Answer
from tests.scripted_server import Received, Reply
from tests.security.world import ACCESS_TOKEN, ORIGIN, PASSWORD, PORT, REQUEST_TOKEN, Canaries, FakeBitbucket, person

NAMES = ("ann", "ben")
SLUGS = {"a1": "a", "a2": "a", "b1": "b"}
BROWSERS = range(3)


@dataclass(eq=False)
class Tab:
    """A login that was begun in a browser's tab."""

    browser: int
    place: str
    token: str
    under_way: bool = True


@dataclass
class Prepared:
    """What every run begins with: the application, and its database with two organizations and their integrations."""

    app: Flask
    database: Path
    integration_ids: dict[str, str]
    authority: trustme.CA
    snapshot: bytes = b""

    def __post_init__(self) -> None:
        self.close()
        self.snapshot = self.database.read_bytes()

    def restore(self) -> None:
        self.close()
        self.database.write_bytes(self.snapshot)

    def close(self) -> None:
        """The last connection leaves everything in the one file."""
        self.app.extensions["engine"].dispose()


addresses = (f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}" for number in itertools.count())
"""A new one for every request: how often something may be tried is not the subject here."""


def host(name: str) -> str:
    return f"bb-{name}.test"


def prepare(instance: Path) -> Prepared:
    app = create_app({"PUBLIC_BASE_URL": ORIGIN, "SECRET_KEY": "s" * 64, "INSTANCE_PATH": str(instance)})
    ids = {}
    with app.test_request_context(base_url=ORIGIN):
        for slug in sorted(set(SLUGS.values())):
            people.create_organization(slug=slug, name=f"Org {slug}", email=f"{slug}@corp.example", password=PASSWORD)
        for name, slug in SLUGS.items():
            organization = database.session.scalars(select(Organization).where(Organization.slug == slug)).one()
            ids[name] = integrations.make(organization, name, ServerURL.parse(f"https://{host(name)}:{PORT}")).id
    return Prepared(app, instance / "demo.sqlite", ids, trustme.CA())


class Interleavings(RuleBasedStateMachine):
    """Organization A has two integrations, B has one, each with a server of its own; all servers have the same people,
    with the same ids."""

    tabs = Bundle("tabs")
    prepared: Prepared
    send: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.prepared.restore()
        self.app = self.prepared.app
        self.clients = [self.app.test_client() for _ in BROWSERS]
        canaries = Canaries()
        self.servers = {name: FakeBitbucket("", host(name), self.prepared.authority, canaries) for name in SLUGS}
        self.issued: Counter[tuple[str, str]] = Counter()
        """How often a login was begun, by server and request token."""
        self.owners: dict[str, int] = {}
        """Whose each identity is."""
        self.enabled = dict.fromkeys(SLUGS, True)
        self.deleted: set[str] = set()
        self.touched: set[int] = set()
        for server in self.servers.values():
            for number, name in enumerate(NAMES, 1):
                server.knows(person(number, name))
        type(self).send = self.answer

    def teardown(self) -> None:
        self.touched = set(BROWSERS)
        self.nobody_sees_another_organizations_pages()
        self.prepared.close()

    def answer(self, method: str, url: str, headers: Any, *, body: str | None = None, **_: Any) -> Answer:
        """What the server of *url* answers, without a network."""
        parts = urlsplit(url)
        server = next(server for server in self.servers.values() if server.host == parts.hostname)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        received = Received(method, target, dict(headers), ("", 0), (body or "").encode())
        server.received.append(received)
        script = server.script_for(received)
        reply = script if isinstance(script, Reply) else script(received)
        text = reply.body if isinstance(reply.body, bytes) else reply.body.encode()
        return Answer(reply.status, HTTPHeaderDict(list(reply.headers)), text)

    # What people and owners do

    def request(self, browser: int, method: str, path: str, form: dict[str, str] | None = None) -> Any:
        self.touched.add(browser)
        visitor: FlaskClient = self.clients[browser]
        response = visitor.open(
            path, method=method, data=form, base_url=ORIGIN, environ_overrides={"REMOTE_ADDR": next(addresses)}
        )
        assert response.status_code != 500
        return response

    def post(self, browser: int, path: str) -> Any:
        """With the session's token, from a page that always has a form."""
        slug = path.split("/")[2]
        page = self.request(browser, "GET", f"/o/{slug}/login/owner").text
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
        assert token is not None
        return self.request(browser, "POST", path, {"csrf_token": token[1]})

    def press_button(self, browser: int, place: str) -> Any:
        return self.post(browser, f"/o/{SLUGS[place]}/login/{self.prepared.integration_ids[place]}/begin")

    def open_callback(self, browser: int, place: str, token: str, verifier: str) -> Any:
        path = f"/complete/bitbucket-server/{self.prepared.integration_ids[place]}/"
        return self.request(browser, "GET", f"{path}?oauth_token={token}&oauth_verifier={verifier}")

    @rule(target=tabs, browser=st.sampled_from(BROWSERS), place=st.sampled_from(list(SLUGS)))
    def begin(self, browser: int, place: str) -> Tab:
        response = self.press_button(browser, place)
        assert response.status_code == (303 if self.enabled[place] else 404)
        if response.status_code == 404:
            return Tab(browser, place, "never-issued", under_way=False)
        (token,) = parse_qs(urlsplit(response.location).query)["oauth_token"]
        self.issued[place, token] += 1
        return Tab(browser, place, token)

    @rule(
        target=tabs,
        browser=st.sampled_from(BROWSERS),
        other=st.sampled_from(BROWSERS),
        place=st.sampled_from(["a1", "a2"]),
    )
    def begin_at_a_server_that_hands_out_a_token_under_way(self, browser: int, other: int, place: str) -> Tab:
        tab = self.begin(browser, place)
        if tab.under_way and self.enabled["b1"]:
            server = self.servers["b1"]
            server.scripts[REQUEST_TOKEN] = Reply(
                f"oauth_token={tab.token}&oauth_token_secret=s&oauth_callback_confirmed=true"
            )
            assert self.press_button(other, "b1").status_code == 502
            server.scripts.clear()
        return tab

    @rule(
        tab=tabs,
        browser=st.sampled_from([None, None, *BROWSERS]),
        place=st.sampled_from([None, None, *SLUGS]),
        name=st.sampled_from(NAMES),
        denied=st.booleans(),
        reloads=st.integers(0, 2),
    )
    def come_back(
        self, tab: Tab, browser: int | None, place: str | None, name: str, denied: bool, reloads: int
    ) -> None:
        """To this tab's browser and integration, or to others; for the first time, or again."""
        browser, place = tab.browser if browser is None else browser, place or tab.place
        _, verifier = self.servers[tab.place].authorize(f"https://x/?oauth_token={tab.token}", name)
        exchanges = self.exchanges()
        response = self.open_callback(browser, place, tab.token, "denied" if denied else verifier)
        is_own = (browser, place) == (tab.browser, tab.place) and tab.under_way and self.enabled[place]
        if response.status_code == 303:
            assert is_own
        else:
            assert response.status_code in {400, 403, 404}
        if not is_own or denied:
            assert self.exchanges() == exchanges, "a login that is refused asks nothing"
        if browser == tab.browser and self.enabled[place]:
            tab.under_way = False
            self.replay(tab, reloads)

    @rule(
        browser=st.sampled_from(BROWSERS),
        place=st.sampled_from(list(SLUGS)),
        name=st.sampled_from(NAMES),
        denied=st.booleans(),
        reloads=st.integers(0, 2),
    )
    def log_in(self, browser: int, place: str, name: str, denied: bool, reloads: int) -> None:
        """Whatever happened before: where nothing is disabled, a login works, and works once."""
        if not self.enabled[place]:
            return
        tab = self.begin(browser, place)
        _, verifier = self.servers[place].authorize(f"https://x/?oauth_token={tab.token}", name)
        response = self.open_callback(browser, place, tab.token, "denied" if denied else verifier)
        tab.under_way = False
        if denied:
            assert response.location == f"/o/{SLUGS[place]}/login?e=declined"
        else:
            assert response.status_code == (403 if self.is_disabled(place, name) else 303)
        if response.status_code == 303 and not denied:
            assert self.request(browser, "GET", f"/o/{SLUGS[place]}/account").status_code == 200
        self.replay(tab, reloads)

    @rule(tab=tabs, times=st.integers(1, 2))
    def replay(self, tab: Tab, times: int) -> None:
        if tab.under_way:
            return
        exchanges = self.exchanges()
        for _ in range(times):
            assert self.open_callback(tab.browser, tab.place, tab.token, "again").status_code in {400, 404}
        assert self.exchanges() == exchanges

    @rule(browser=st.sampled_from(BROWSERS), slug=st.sampled_from(["a", "b"]))
    def log_out(self, browser: int, slug: str) -> None:
        response = self.post(browser, f"/o/{slug}/logout")
        assert response.status_code in {303, 404}
        if response.status_code == 303:
            assert self.request(browser, "GET", f"/o/{slug}/account").status_code == 303

    @rule(place=st.sampled_from(list(SLUGS)), enabled=st.booleans())
    def disable_or_enable(self, place: str, enabled: bool) -> None:
        if place in self.deleted:
            return
        with self.app.test_request_context(base_url=ORIGIN):
            record = database.session.get_one(integrations.IntegrationRecord, self.prepared.integration_ids[place])
            integrations.change(record, name=place, server_url=integrations.server_url(record), enabled=enabled)
        self.enabled[place] = enabled

    @rule(place=st.sampled_from(["a2"]))
    def delete(self, place: str) -> None:
        if place in self.deleted:
            return
        with self.app.test_request_context(base_url=ORIGIN):
            record = database.session.get_one(integrations.IntegrationRecord, self.prepared.integration_ids[place])
            namespace = record.namespace
            integrations.delete(record)
        self.deleted.add(place)
        self.enabled[place] = False
        self.owners = {uid: owner for uid, owner in self.owners.items() if not uid.startswith(f"{namespace}:")}

    @rule(number=st.integers(0, 5), disable=st.booleans())
    def disable_or_enable_somebody(self, number: int, disable: bool) -> None:
        with self.app.test_request_context(base_url=ORIGIN):
            everybody = database.session.scalars(select(User).where(~User.is_owner).order_by(User.id)).all()
            if everybody:
                (people.disable if disable else people.enable)(everybody[number % len(everybody)])

    def is_disabled(self, place: str, name: str) -> bool:
        identity: Any = SocialStorage.user
        with self.app.test_request_context(base_url=ORIGIN):
            record = database.session.get_one(integrations.IntegrationRecord, self.prepared.integration_ids[place])
            uid = f"{record.namespace}:{NAMES.index(name) + 1}"
            found = database.session.scalar(select(identity).where(identity.uid == uid))
            return found is not None and found.user.disabled_at is not None

    def exchanges(self) -> Counter[tuple[str, str]]:
        """How often each request token was exchanged, by server."""
        return Counter(
            (name, received.oauth["oauth_token"])
            for name, server in self.servers.items()
            for received in server.received
            if received.path == ACCESS_TOKEN
        )

    # What must hold after every step

    @invariant()
    def a_token_is_exchanged_once_and_at_the_server_that_issued_it(self) -> None:
        for exchanged, times in self.exchanges().items():
            assert times <= self.issued[exchanged], exchanged

    @invariant()
    def an_identity_never_changes_its_owner(self) -> None:
        identity: Any = SocialStorage.user
        with self.app.test_request_context(base_url=ORIGIN):
            now = {row.uid: row.user_id for row in database.session.scalars(select(identity))}
            organizations = {
                record.namespace: record.organization_id
                for record in database.session.scalars(select(integrations.IntegrationRecord))
            }
            for uid, user_id in now.items():
                user = database.session.get_one(User, user_id)
                assert user.organization_id == organizations[uid.partition(":")[0]]
        assert now.items() >= self.owners.items()
        self.owners = now

    @invariant()
    def a_session_is_in_its_persons_organization(self) -> None:
        with self.app.test_request_context(base_url=ORIGIN):
            for row in database.session.scalars(select(LoginSession).where(LoginSession.user_id.is_not(None))):
                user = database.session.get_one(User, row.user_id)
                assert row.organization_id == user.organization_id

    @invariant()
    def nobody_sees_another_organizations_pages(self) -> None:
        for browser in tuple(self.touched):
            seen = {slug: self.request(browser, "GET", f"/o/{slug}/account").status_code for slug in ("a", "b")}
            assert sorted(seen.values()) in ([200, 404], [303, 303])
            assert self.request(browser, "GET", "/o/a/settings/people").status_code in {303, 404}
        self.touched.clear()


def test_no_interleaving_of_logins_mixes_anything_up(tmp_path, monkeypatch):
    machine = type("Machine", (Interleavings,), {"prepared": prepare(tmp_path / "instance")})
    monkeypatch.setattr(client, "send", lambda *arguments, **options: machine.send(*arguments, **options))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=30, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
