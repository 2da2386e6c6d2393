"""Logins of several people in several browsers, in any order, while integrations are upgraded, rotated, moved, disabled
and deleted: what must never happen, and what must always work."""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import secrets
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from oauthlib.oauth1.rfc5849 import signature
from sqlalchemy import select
from urllib3 import HTTPHeaderDict

from social_bitbucket_server.account import Profile
from social_bitbucket_server.crypto import PrivateKey
from social_bitbucket_server.flask.organizations.current import store
from social_bitbucket_server.flask.organizations.navigation import callback_of
from social_bitbucket_server.integration import ServerURL
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.sqlalchemy.organizations import integrations
from social_bitbucket_server.transport import Answer
from tests.flask_app import create_app, database, people
from tests.flask_app.models import Organization, User, models
from tests.scripted_server import Received, Reply
from tests.security.world import ACCESS_TOKEN, ORIGIN, PASSWORD, PORT, REQUEST_TOKEN, Canaries, FakeBitbucket, person

RUNS = int(os.environ.get("FUZZ_EXAMPLES", "10"))
NAMES = ("ann", "ben")
SLUGS = {"a1": "a", "a2": "a", "b1": "b"}
BROWSERS = range(3)
CHANGING = ["a1", "b1"]
"""The integrations that are upgraded, rotated and moved."""
OAUTH2_TOKEN = "/rest/oauth2/latest/token"  # an address


@dataclass(eq=False)
class Tab:
    """A login that was begun in a browser's tab, through the application link with this *consumer_key*."""

    browser: int
    place: str
    token: str
    consumer_key: str = ""
    under_way: bool = True
    server: int = 0
    """Which of the servers that the integration had, one after the other."""


@dataclass
class Prepared:
    """Start of every run: the application, and its database with two organizations and their integrations."""

    app: Flask
    database: Path
    integration_ids: dict[str, str]
    links: dict[str, dict[str, str]]
    """The public key of each consumer key that a server knows in the beginning."""
    spare_keys: list[PrivateKey]
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
    ids, links = {}, {}
    with app.test_request_context(base_url=ORIGIN):
        for slug in sorted(set(SLUGS.values())):
            people.create_organization(slug=slug, name=f"Org {slug}", email=f"{slug}@corp.example", password=PASSWORD)
        for name, slug in SLUGS.items():
            organization = database.session.scalars(select(Organization).where(Organization.slug == slug)).one()
            record = store.integrations.make(organization, name, ServerURL.parse(f"https://{host(name)}:{PORT}"))
            pair = record.active_key_pair
            ids[name], links[name] = record.id, {pair.consumer_key: pair.public_key}
    spare_keys = [PrivateKey.generate() for _ in range(6)]
    return Prepared(app, instance / "application.sqlite", ids, links, spare_keys)


class Interleavings(RuleBasedStateMachine):
    """Organization A has two integrations, B has one, each with a server of its own; all servers have the same people,
    with the same ids."""

    tabs = Bundle("tabs")
    prepared: Prepared
    send: Any = None
    running: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.prepared.restore()
        self.app = self.prepared.app
        self.clients = [self.app.test_client() for _ in BROWSERS]
        canaries = Canaries()
        self.servers = {name: FakeBitbucket("", host(name), canaries) for name in SLUGS}
        self.issued: Counter[tuple[str, str]] = Counter()
        """How often a login was begun, by server and request token."""
        self.owners: dict[str, int] = {}
        """Whose each identity is."""
        self.enabled = dict.fromkeys(SLUGS, True)
        self.ways = {name: {"1"} for name in SLUGS}
        self.links = {place: dict(links) for place, links in self.prepared.links.items()}
        """The public key of each consumer key that each server knows."""
        self.begun_with: dict[tuple[str, str], str] = {}
        """The consumer key that each request token belongs to, by its server."""
        self.spare_keys = list(self.prepared.spare_keys)
        self.codes: dict[str, str] = {}
        """Who allowed a login by OAuth 2, by its code."""
        self.server_number = dict.fromkeys(SLUGS, 0)
        self.deleted: set[str] = set()
        self.touched: set[int] = set()
        for server in self.servers.values():
            for number, name in enumerate(NAMES, 1):
                server.knows(person(number, name))
        type(self).send, type(self).running = self.answer, self

    def teardown(self) -> None:
        self.touched = set(BROWSERS)
        self.nobody_sees_another_organizations_pages()
        self.prepared.close()

    def answer(self, method: str, url: str, headers: Any, *, body: str | None = None, **_: Any) -> Answer:
        """Return the answer of the server at *url*, without a network."""
        parts = urlsplit(url)
        place, server = next(item for item in self.servers.items() if item[1].host == parts.hostname)
        path = re.sub(r"^/server-[0-9]+", "", parts.path)
        target = path + (f"?{parts.query}" if parts.query else "")
        given = dict(headers)
        if given.get("Authorization", "").startswith("Bearer "):
            given["Authorization"] = f'OAuth oauth_token="{given["Authorization"].removeprefix("Bearer ")}"'
        received = Received(method, target, given, ("", 0), (body or "").encode())
        server.received.append(received)
        if path == OAUTH2_TOKEN:
            return self.grant(server, parse_qs(body or ""))
        refusal = self.refusal(place, url, received) if path in {REQUEST_TOKEN, ACCESS_TOKEN} else ""
        if refusal and not server.scripts:
            return Answer(401, HTTPHeaderDict(), f"oauth_problem={refusal}".encode())
        script = server.script_for(received)
        reply = script if isinstance(script, Reply) else script(received)
        text = reply.body if isinstance(reply.body, bytes) else reply.body.encode()
        if path == REQUEST_TOKEN:
            (token,) = parse_qs(text.decode())["oauth_token"]
            self.begun_with[place, token] = received.oauth["oauth_consumer_key"]
        return Answer(reply.status, HTTPHeaderDict(list(reply.headers)), text)

    def refusal(self, place: str, url: str, received: Received) -> str:
        """Why the server refuses a request for a token, if it does: it knows consumer keys, whose request tokens are
        whose, and a public key for each."""
        consumer_key, token = received.oauth["oauth_consumer_key"], received.oauth.get("oauth_token")
        if consumer_key not in self.links[place]:
            return "consumer_key_unknown"
        if token is not None and self.begun_with.get((place, token), consumer_key) != consumer_key:
            return "token_rejected"
        return "" if self.is_signed(self.links[place][consumer_key], url, received) else "signature_invalid"

    def is_signed(self, public_pem: str, url: str, received: Received) -> bool:
        """Whether a request for a token is signed with the key whose public one this is."""
        parameters = signature.collect_parameters(headers={"Authorization": received.headers["Authorization"]})
        text = signature.signature_base_string("POST", url, signature.normalize_parameters(parameters))
        public_key: Any = serialization.load_pem_public_key(public_pem.encode())
        signed = base64.b64decode(received.oauth["oauth_signature"])
        try:
            public_key.verify(signed, text.encode(), padding.PKCS1v15(), hashes.SHA1())
        except InvalidSignature:
            return False
        return True

    def grant(self, server: FakeBitbucket, form: dict[str, list[str]]) -> Answer:
        """A code is exchanged once."""
        token = secrets.token_hex(16)
        server._tokens[token] = self.codes.pop(form["code"][0])
        document = {"access_token": token, "token_type": "bearer", "expires_in": 3600}
        return Answer(200, HTTPHeaderDict({"Content-Type": "application/json"}), json.dumps(document).encode())

    def record(self, place: str) -> Any:
        return database.session.get_one(models.integration, self.prepared.integration_ids[place])

    # What people and owners do

    def request(self, browser: int, method: str, path: str, form: dict[str, str] | None = None) -> Any:
        self.touched.add(browser)
        visitor: FlaskClient = self.clients[browser]
        response = visitor.open(
            path, method=method, data=form, base_url=ORIGIN, environ_overrides={"REMOTE_ADDR": next(addresses)}
        )
        assert response.status_code != 500
        return response

    def post(self, browser: int, path: str, **fields: str) -> Any:
        """With the session's token, from a page that always has a form."""
        slug = path.split("/")[2]
        page = self.request(browser, "GET", f"/o/{slug}/login/owner").text
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
        assert token is not None
        return self.request(browser, "POST", path, {"csrf_token": token[1], **fields})

    def press_button(self, browser: int, place: str, oauth: str = "1") -> Any:
        path = f"/o/{SLUGS[place]}/login/{self.prepared.integration_ids[place]}/begin"
        return self.post(browser, path, oauth=oauth)

    def open_callback(self, browser: int, place: str, token: str, verifier: str) -> Any:
        path = f"/complete/bitbucket-server/{self.prepared.integration_ids[place]}/"
        return self.request(browser, "GET", f"{path}?oauth_token={token}&oauth_verifier={verifier}")

    @rule(target=tabs, browser=st.sampled_from(BROWSERS), place=st.sampled_from(list(SLUGS)))
    def begin(self, browser: int, place: str) -> Tab:
        response = self.press_button(browser, place)
        assert response.status_code == (303 if self.enabled[place] and "1" in self.ways[place] else 404)
        if response.status_code == 404:
            return Tab(browser, place, "never-issued", under_way=False)
        (token,) = parse_qs(urlsplit(response.location).query)["oauth_token"]
        self.issued[place, token] += 1
        return Tab(browser, place, token, self.begun_with[place, token], server=self.server_number[place])

    @rule(
        target=tabs,
        browser=st.sampled_from(BROWSERS),
        other=st.sampled_from(BROWSERS),
        place=st.sampled_from(["a1", "a2"]),
    )
    def begin_at_a_server_that_hands_out_a_token_under_way(self, browser: int, other: int, place: str) -> Tab:
        tab = self.begin(browser, place)
        if tab.under_way and self.enabled["b1"] and "1" in self.ways["b1"]:
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
        is_own = is_own and tab.server == self.server_number[place]
        if response.status_code == 303:
            assert is_own
        elif response.status_code == 503:
            assert is_own
            assert tab.consumer_key not in self.links[place], "its link is gone, and its token with it"
        else:
            assert response.status_code in {400, 403, 404}
        if not is_own or denied:
            assert self.exchanges() == exchanges, "a login that is refused asks nothing"
        if (browser, place) == (tab.browser, tab.place) and self.enabled[place]:
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
        if not self.enabled[place] or "1" not in self.ways[place]:
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

    @rule(browser=st.sampled_from(BROWSERS), place=st.sampled_from(CHANGING), name=st.sampled_from(NAMES))
    def log_in_by_oauth2(self, browser: int, place: str, name: str) -> None:
        """It works wherever there are client credentials, and ends OAuth 1 the first time."""
        begun = self.press_button(browser, place, "2")
        if not self.enabled[place] or "2" not in self.ways[place]:
            assert begun.status_code == 404
            return
        (state,) = parse_qs(urlsplit(begun.location).query)["state"]
        code = secrets.token_hex(16)
        self.codes[code] = name
        path = f"/complete/bitbucket-server-oauth2/{self.prepared.integration_ids[place]}/?code={code}&state={state}"
        is_disabled = self.is_disabled(place, name)
        assert self.request(browser, "GET", path).status_code == (403 if is_disabled else 303)
        assert self.request(browser, "GET", path).status_code == 400
        if not is_disabled:
            self.ways[place] = {"2"}

    @rule(place=st.sampled_from(CHANGING))
    def prepare_the_upgrade(self, place: str) -> None:
        with self.app.test_request_context(base_url=ORIGIN):
            store.upgrade.keep_credentials(self.record(place), f"client-of-{place}", "secret")
        self.ways[place].add("2")

    @rule(place=st.sampled_from(CHANGING))
    def go_back(self, place: str) -> None:
        with self.app.test_request_context(base_url=ORIGIN):
            record = self.record(place)
            if not store.upgrade.can_go_back(record):
                return
            pairs = filter(None, (record.active_key_pair, record.pending_key_pair))
            if record.is_for_oauth2 and not any(self.has(place, pair) for pair in pairs):
                with pytest.raises(BitbucketServerError):
                    store.upgrade.go_back(record, callback_of(record))
                return
            store.upgrade.go_back(record, callback_of(record))
        self.ways[place] = {"1"}

    @rule(place=st.sampled_from(CHANGING), with_new_link=st.booleans())
    def rotate(self, place: str, with_new_link: bool) -> None:
        """Unless Bitbucket has a key that waits already: whoever makes yet another one then has to paste it."""
        with self.app.test_request_context(base_url=ORIGIN):
            record = self.record(place)
            if self.spare_keys and self.has(place, record.active_key_pair):
                is_third = with_new_link and record.replaced_key_pair is not None
                assert store.key_rotation.begin(record, with_new_link=with_new_link) is not is_third

    @rule(place=st.sampled_from(CHANGING))
    def let_bitbucket_know_the_new_key(self, place: str) -> None:
        """In the old link or in a new one. From now on logins must go on, although nobody verifies it."""
        with self.app.test_request_context(base_url=ORIGIN):
            pending = self.record(place).pending_key_pair
            if pending is not None:
                self.links[place][pending.consumer_key] = pending.public_key

    @rule(place=st.sampled_from(CHANGING))
    def verify_the_new_key(self, place: str) -> None:
        with self.app.test_request_context(base_url=ORIGIN):
            record = self.record(place)
            if record.pending_key_pair is not None and self.has(place, record.pending_key_pair):
                assert store.key_rotation.verify(record, callback_of(record))

    @rule(place=st.sampled_from(CHANGING))
    def keep_the_old_key(self, place: str) -> None:
        """Give up the waiting key pair. Expect a refusal if Bitbucket no longer has the active one."""
        with self.app.test_request_context(base_url=ORIGIN):
            record = self.record(place)
            waits = record.pending_key_pair is not None
            if self.has(place, record.active_key_pair) or not waits:
                assert store.key_rotation.give_up(record, callback_of(record)) is waits
            else:
                with pytest.raises(BitbucketServerError):
                    store.key_rotation.give_up(record, callback_of(record))

    @rule(place=st.sampled_from(CHANGING), confirmed=st.booleans())
    def remove_the_old_link(self, place: str, confirmed: bool) -> None:
        """When it was replaced, or at once when Bitbucket has the new one: then, too, logins must go on."""
        with self.app.test_request_context(base_url=ORIGIN):
            record = self.record(place)
            if record.replaced_key_pair is not None:
                self.links[place].pop(record.replaced_key_pair.consumer_key, None)
                if confirmed:
                    store.key_rotation.note_removal(record)
            elif record.has_new_link and self.has(place, record.pending_key_pair):
                self.links[place].pop(record.active_key_pair.consumer_key, None)

    @rule(place=st.sampled_from(CHANGING), browser=st.sampled_from(BROWSERS), name=st.sampled_from(NAMES))
    def put_a_new_link_in_place_of_the_old_one(self, place: str, browser: int, name: str) -> None:
        """All at once, and verified by nothing but the login that follows."""
        self.rotate(place, with_new_link=True)
        self.let_bitbucket_know_the_new_key(place)
        self.remove_the_old_link(place, confirmed=False)
        self.log_in(browser, place, name, denied=False, reloads=0)

    def has(self, place: str, pair: Any) -> bool:
        """Whether the server knows the key pair's public key and consumer key."""
        return self.links[place].get(pair.consumer_key) == pair.public_key

    @rule(place=st.sampled_from(CHANGING), name=st.sampled_from(NAMES))
    def move(self, place: str, name: str) -> None:
        """The server has a new address, which somebody shows who has logged in before."""
        with self.app.test_request_context(base_url=ORIGIN):
            record, address = self.record(place), self.next_address(place)
            store.moves.begin(record, ServerURL.parse(address))
            profile = Profile(NAMES.index(name) + 1, name, name, name.title(), None, None, None)
            is_known = f"{record.namespace}:{profile.id}" in self.owners
            assert store.moves.finish(record, profile, address) is is_known
            assert (record.base_url == address) is is_known
        self.server_number[place] += is_known

    @rule(place=st.sampled_from(CHANGING))
    def put_another_server_in_its_place(self, place: str) -> None:
        with self.app.test_request_context(base_url=ORIGIN):
            record = self.record(place)
            old = f"{record.namespace}:"
            gone = {uid for uid in self.owners if uid.startswith(old)}
            assert store.moves.begin_anew(record, ServerURL.parse(self.next_address(place))) == len(gone)
            assert f"{record.namespace}:" != old, "a number means somebody else there"
        self.owners = {uid: owner for uid, owner in self.owners.items() if uid not in gone}
        self.server_number[place] += 1
        self.ways[place].discard("2")

    def next_address(self, place: str) -> str:
        return f"https://{host(place)}:{PORT}/server-{self.server_number[place] + 1}"

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
            record = self.record(place)
            store.integrations.set_enabled(record, enabled=enabled)
        self.enabled[place] = enabled

    @rule(place=st.sampled_from(["a2"]))
    def delete(self, place: str) -> None:
        if place in self.deleted:
            return
        with self.app.test_request_context(base_url=ORIGIN):
            record = self.record(place)
            namespace = record.namespace
            store.integrations.delete(record)
        self.deleted.add(place)
        self.enabled[place] = False
        self.owners = {uid: owner for uid, owner in self.owners.items() if not uid.startswith(f"{namespace}:")}

    @rule(number=st.integers(0, 5), disable=st.booleans())
    def disable_or_enable_somebody(self, number: int, disable: bool) -> None:
        with self.app.test_request_context(base_url=ORIGIN):
            everybody = database.session.scalars(select(User).where(~User.is_owner).order_by(User.id)).all()
            if everybody:
                user = everybody[number % len(everybody)]
                person = store.people.find(user.organization, str(user.id))
                if person is not None:
                    (store.people.disable if disable else store.people.enable)(user.organization, person)

    def is_disabled(self, place: str, name: str) -> bool:
        identity: Any = models.storage.user
        with self.app.test_request_context(base_url=ORIGIN):
            record = self.record(place)
            uid = f"{record.namespace}:{NAMES.index(name) + 1}"
            found = database.session.scalar(select(identity).where(identity.uid == uid))
            return found is not None and found.disabled_at is not None

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
        identity: Any = models.storage.user
        with self.app.test_request_context(base_url=ORIGIN):
            now = {row.uid: row.user_id for row in database.session.scalars(select(identity))}
            organizations = {
                record.namespace: record.organization_id
                for record in database.session.scalars(select(models.integration))
            }
            for uid, user_id in now.items():
                user = database.session.get_one(User, user_id)
                assert user.organization_id == organizations[uid.partition(":")[0]]
        assert now.items() >= self.owners.items()
        self.owners = now

    @invariant()
    def nobody_sees_another_organizations_pages(self) -> None:
        for browser in tuple(self.touched):
            seen = {slug: self.request(browser, "GET", f"/o/{slug}/account").status_code for slug in ("a", "b")}
            assert sorted(seen.values()) in ([200, 404], [303, 303])
            assert self.request(browser, "GET", "/o/a/settings/people").status_code in {303, 404}
        self.touched.clear()


def test_no_interleaving_of_logins_and_changes_mixes_anything_up(tmp_path, transport, monkeypatch):
    machine = type("Machine", (Interleavings,), {"prepared": prepare(tmp_path / "instance")})
    monkeypatch.setattr(transport, "send", lambda *arguments, **options: machine.send(*arguments, **options))
    monkeypatch.setattr(integrations, "make_private_key", lambda: machine.running.spare_keys.pop())
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=RUNS, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
