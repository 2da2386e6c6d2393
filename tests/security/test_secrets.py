"""Keys, tokens and verifiers stay where they belong, and a lost or changed key fails closed."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import logging
import pickle
import re
import socket
import stat
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import pytest
import social_core
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from oauthlib.oauth1.rfc5849 import signature
from sqlalchemy import select

import social_bitbucket_server
from social_bitbucket_server.account import StoredToken, profile
from social_bitbucket_server.backends import BitbucketServerOAuth1
from social_bitbucket_server.crypto import (
    DEFAULT_BITS,
    KeyRing,
    PrivateKey,
    PublicKey,
    Secret,
    new_consumer_key,
    opaque,
)
from social_bitbucket_server.login import backend as login_backend
from social_bitbucket_server.login import profile_fields
from social_bitbucket_server.login.pending import PendingLogins
from social_bitbucket_server.oauth import Client, person, signing
from social_bitbucket_server.oauth import oauth1 as client_module
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.transport import Transport
from tests import flask_app
from tests.flask_app import database
from tests.flask_app.instance_files import UnsafeSettingError
from tests.flask_app.models import models
from tests.scripted_server import Received, Reply
from tests.security.rows import row
from tests.security.world import (
    ACCESS_TOKEN,
    REQUEST_TOKEN,
    Browser,
    Page,
    Place,
    Uncollected,
    World,
    everywhere,
    with_integrations_in_a_database,
)
from tests.transports import forget_servers

UNOPENABLE = "AuthConfigurationError/invalid_setting(encryption_key)"


def leaks(world: World, text: str) -> list[str]:
    return [canary for canary in world.canaries.values if canary in text]


def new_key(world: World) -> str:
    """Another key for the ring."""
    key = KeyRing.generate().partition(":")[2]
    world.canaries.values.add(key)
    return key


# Nothing is stored, logged or shown


@row(81)
@everywhere
def test_nothing_of_a_login_is_stored_but_who_it_was(world):
    for place, name in ((world.a, "alice"), (world.b, "mallory")):
        assert world.browser().log_in(place, name).status == 303
    assert world.browser().begin(world.a).status == 303  # and never comes back
    assert leaks(world, world.everything_stored()) == []
    assert world.transactions() == 1


@row(81)
def test_the_database_and_its_files_hold_nothing_else(world):
    assert world.browser().log_in(world.a, "alice").status == 303
    assert world.browser().begin(world.a).status == 303
    identity: Any = models.storage.user
    with world.context():
        assert {field for (data,) in database.session.execute(select(identity.extra_data)) for field in data} <= {
            "auth_time"
        }
        tables = database.Base.metadata.tables
        assert not {"social_auth_codes", "social_auth_associations"} & set(tables)
        assert database.session.execute(select(tables["social_auth_partials"])).all() == []
    file = world.app.extensions["engine"].url.database
    parts = [path for path in (Path(f"{file}{end}") for end in ("", "-wal", "-shm")) if path.exists()]
    assert len(parts) > 1
    for path in parts:
        assert leaks(world, path.read_bytes().decode("latin-1")) == [], path.name


@row(81)
@everywhere
def test_a_login_that_is_over_leaves_no_transaction(world):
    world.browser().log_in(world.b, "mallory")
    assert world.transactions() == 0


class Everything(logging.Handler):
    """Every line that is logged, with its arguments and its traceback."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{self.format(record)} {record.args!r}")


@row(82)
@everywhere
def test_no_log_at_any_level_holds_a_secret(world):
    root, everything = logging.getLogger(), Everything()
    kept, level = root.handlers[:], root.level

    def log_in_twice() -> None:
        assert world.browser().log_in(world.a, "alice").status == 303
        world.fb.scripts[ACCESS_TOKEN] = Reply("oauth_problem=token_rejected", 401)
        assert world.browser().log_in(world.b, "mallory").status == 502
        world.attempt(world.b)

    root.addHandler(everything)
    root.setLevel(logging.DEBUG)
    try:
        log_in_twice()
        logging.basicConfig(force=True, level=logging.DEBUG, handlers=[everything])
        log_in_twice()
    finally:
        root.handlers[:] = kept
        root.setLevel(level)
    logged = "\n".join(everything.lines)
    assert "request-token" in logged
    assert leaks(world, logged) == []
    assert "oauth_signature" not in logged
    assert "Authorization" not in logged


FORGETTING = opaque(print).__code__
"""It lets go of its arguments before an error leaves it."""
HIDING = {Transport.send.__code__, FORGETTING}
BEFORE_THE_LOGIN = {
    str(Path(social_bitbucket_server.__file__).parent / "django" / "middleware.py"),
    str(Path(social_bitbucket_server.__file__).parent / "login" / "host_check.py"),
    str(Path(flask_app.__file__).parent / "security_headers.py"),
}
"""They look at every request there is, as Django and Flask themselves do and show it."""
WATCHED = tuple(str(Path(package.__file__).parent) for package in (flask_app, social_bitbucket_server, social_core))


def _is_hidden(frame: FrameType | None) -> bool:
    """Whether errors leave *frame* without a trace of it."""
    while frame is not None:
        frame = frame.f_back
        if frame is not None and frame.f_code in HIDING:
            return True
    return False


class Watching:
    """Reads the local variables of every function on the way, line by line, as a traceback would show them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._before = sys.gettrace()
        self.leaks: set[str] = set()
        self.functions: set[str] = set()

    def __enter__(self) -> Watching:
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        code = frame.f_code
        is_watched = code.co_filename.startswith(WATCHED) and code.co_filename not in BEFORE_THE_LOGIN
        if not is_watched or code is FORGETTING or _is_hidden(frame):
            return None
        self.functions.add(frame.f_code.co_qualname)
        self._look(frame)
        return self._line

    def _line(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        self._look(frame)
        return self._line

    def _look(self, frame: FrameType) -> None:
        for name, value in list(frame.f_locals.items()):
            try:
                shown = repr(value)
            except Exception:  # noqa: BLE001  # what is not made yet shows nothing
                continue
            if any(canary in shown for canary in self._world.canaries.values):
                self.leaks.add(
                    f"{name} in {frame.f_code.co_qualname} ({Path(frame.f_code.co_filename).name}:{frame.f_lineno})"
                )


@row(83)
@everywhere
def test_no_local_variable_on_the_way_shows_a_secret(world):
    browser = world.stranger(Uncollected)
    with Watching(world) as watching:
        done = browser.log_in(world.b, "mallory")
    assert done.status == 303
    assert sorted(watching.leaks) == []
    assert {"BitbucketServerOAuth1.auth_url", "Client.access_token", "fetch_profile"} <= watching.functions


def error_of(request: Callable[[], Page], log: pytest.LogCaptureFixture) -> BaseException | None:
    """Return the error that *request* ends with: left to the server of the application, or logged by its framework.
    Return ``None`` if it became a page, and the log says in words where it was."""
    log.clear()
    try:
        request()
    except RuntimeError as error:
        return error
    errors = [record.exc_info[1] for record in log.records if record.exc_info and record.exc_info[1]]
    assert len(errors) <= 1
    return errors[0] if errors else None


def way_of(error: BaseException, world: World) -> TracebackType | None:
    """The way that *error* came, from the application's server on or, where its framework shows every request to an
    error tracker, from this package and social-core on."""
    way = error.__traceback__
    while way and not world.hides_requests and not way.tb_frame.f_code.co_filename.startswith(WATCHED):
        way = way.tb_next
    return way


AT_BEGIN = (
    (Client, "request_token"),
    (Client, "authorize_url"),
    (Client, "_send"),
    (PrivateKey, "sign_sha1"),
    (signing, "_base_string"),
    (socket, "create_connection"),
    (http.client.HTTPConnection, "putheader"),
    (http.client.HTTPConnection, "getresponse"),
    (client_module, "read_form"),
    (client_module, "_token"),
    (PendingLogins, "begin"),
    (KeyRing, "open"),
)
AT_CALLBACK = (
    (PendingLogins, "finish"),
    (BitbucketServerOAuth1, "read_callback"),
    (BitbucketServerOAuth1, "exchange"),
    (Client, "access_token"),
    (client_module, "_access_token"),
    (client_module, "_seconds"),
    (signing, "_base_string"),
    (http.client.HTTPConnection, "getresponse"),
    (login_backend, "fetch_profile"),
    (profile, "_profile"),
    (person, "read_json"),
    (profile_fields, "response_of"),
    (BitbucketServerOAuth1, "get_user_details"),
    (BitbucketServerOAuth1, "get_user_id"),
    (BitbucketServerOAuth1, "run_pipeline"),
)


@row(83)
@pytest.mark.parametrize(
    ("application", "at_begin", "at_callback"),
    [
        ("organizations", AT_BEGIN[-1:], AT_CALLBACK[-1:]),
        ("django", AT_BEGIN[-1:], AT_CALLBACK[-1:]),
        ("flask", AT_BEGIN[-1:], AT_CALLBACK[-1:]),
        ("plain", AT_BEGIN, AT_CALLBACK),
    ],
    indirect=["application"],
    ids=["organizations", "django", "flask", "plain"],
)
def test_no_traceback_with_local_variables_shows_a_secret(world, at_begin, at_callback, monkeypatch, caplog):
    """Whatever fails, wherever it fails: what an error tracker would get to see.

    Each function of the library fails in one application. The others differ in what is around it.
    """

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("forced")

    def traceback_of(stage: str, owner: Any, name: str) -> str:
        forget_servers()
        world.forget_opened_keys()
        browser = world.stranger(Uncollected)
        token = browser.get(world.b.login_path).csrf_field
        begun = browser.post(world.b.begin_path, token) if stage == "callback" else None
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, fail)
            if begun is None:
                error = error_of(lambda: browser.post(world.b.begin_path, token), caplog)
            else:
                error = error_of(lambda: browser.finish(world.b, begun, "mallory"), caplog)
        if error is None:
            return caplog.text
        error = error.with_traceback(way_of(error, world))
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())

    own_at_begin = ((world.strategy, "redirect"), world.opens_keys)
    own_at_callback = ((world.strategy, "authenticate"),)
    for stage, places in (("begin", at_begin + own_at_begin), ("callback", at_callback + own_at_callback)):
        for owner, name in places:
            shown = traceback_of(stage, owner, name)
            assert "forced" in shown
            assert leaks(world, shown) == [], (stage, name, shown)


@row(84)
@everywhere
def test_nothing_that_holds_a_secret_shows_it(world):
    integration, backend = world.find(world.b), world.backend(world.b)
    client = Client(integration)
    secret = world.canaries.new("ACCESS")
    token = client_module.AccessToken(Secret(secret), Secret(secret), 1, 1)
    ring = KeyRing.parse(world.ring)
    holders = (
        integration,
        integration.private_key,
        client,
        client._sender,
        client._sender._route,
        client.as_person(token),
        backend,
        signing.authorization("GET", world.fb.url, "consumer", integration.private_key, token=token.value),
        ring,
        token,
        token.value,
        StoredToken.granted(token, integration),
        *world.holders(world.b),
    )

    def picture(show: Any, holder: Any) -> str:
        try:
            return f"{show(holder)!r}"
        except (TypeError, AttributeError, pickle.PicklingError):
            return ""

    for holder in holders:
        for show in (repr, str, vars, pickle.dumps, json.dumps, "{}".format):
            if isinstance(holder, str) and show is not repr and show is not pickle.dumps:
                continue  # it is the text itself; only what prints it by accident must not
            shown = picture(show, holder)
            assert leaks(world, shown) == [], (type(holder).__name__, show)
            assert "PRIVATE KEY" not in shown
    for holder in (integration, integration.private_key, client, ring, token, token.value):
        with pytest.raises(TypeError):
            pickle.dumps(holder)


# The key ring


def opens_nothing(world: World) -> bool:
    """Whether no login begins at B, because of its private key and without a word to Bitbucket."""
    asked = len(world.fb.received)
    page = world.attempt(world.b)
    is_written_down = bool(world.events("key.decrypt_failed")) or not world.writes_down_unopenable_keys
    return (
        (page.status, world.last_failure()) == (503, UNOPENABLE)
        and "the operator of this application" in page.text
        and len(world.fb.received) == asked
        and is_written_down
    )


@row(85)
@everywhere
def test_another_ring_opens_nothing_and_changes_nothing(world):
    before = world.sealed_keys()
    world.use_ring(f"1:{new_key(world)}")
    if world.checks_keys_at_start:
        assert world.events("key.decrypt_failed")
    assert opens_nothing(world)
    assert world.sealed_keys() == before
    assert world.browser().get(world.b.login_path).status == 200


@row(85)
def test_after_a_lost_ring_the_owner_makes_a_new_key_pair(world):
    world.use_ring(f"2:{new_key(world)}")
    owner = world.browser()
    assert owner.log_owner_in(world.b).status == 303
    rotate(owner, world.b)
    assert world.attempt(world.b).status == 503
    assert verify(owner, world.b).status == 303
    assert world.browser().log_in(world.b, "mallory").status == 303
    assert world.attempt(world.a).status == 503
    assert not world.opens_all_keys()
    owner = world.browser()
    owner.log_owner_in(world.a)
    rotate(owner, world.a)
    verify(owner, world.a)
    assert world.opens_all_keys()


@row(85)
def test_a_ring_that_is_gone_is_not_made_anew(world):
    file = Path(world.config["INSTANCE_PATH"]) / "key_ring"
    text = file.read_text()
    file.unlink()
    with pytest.raises(UnsafeSettingError, match="key ring is missing"):
        world.restart()
    assert not file.exists()
    world.restart(KEY_RING=text)
    assert world.attempt(world.b).status == 303


@row(86)
@everywhere
def test_a_ring_is_rotated_without_losing_a_key(world):
    old, new = world.ring, new_key(world)

    def begins() -> bool:
        return world.attempt(world.b).status == 303 and world.attempt(world.a).status == 303

    def private_keys() -> list[str]:
        return [world.find(place).private_key.public.fingerprint for place in (world.a, world.b)]

    assert begins()
    before = private_keys()
    world.use_ring(f"2:{new},{old}")
    assert begins()
    assert world.rewrap()
    sealed = world.sealed_keys()
    assert all(record.startswith("v1.2.") for record in sealed.values())
    assert world.rewrap()
    assert world.sealed_keys() == sealed
    assert begins()
    world.use_ring(f"2:{new}")
    assert begins()
    assert private_keys() == before
    world.use_ring(old)
    assert opens_nothing(world)
    assert not world.rewrap()
    assert world.sealed_keys() == sealed


@row(86)
@everywhere
def test_an_interrupted_rewrap_is_taken_up_again(world, monkeypatch):
    world.use_ring(f"2:{new_key(world)},{world.ring}")
    reseal, calls = KeyRing.reseal, iter((True, False))

    def once(ring: KeyRing, record: str, **whose: str) -> str:
        if next(calls):
            return reseal(ring, record, **whose)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(KeyRing, "reseal", once)
        with contextlib.suppress(KeyboardInterrupt):
            assert not world.rewrap()
    assert sorted(record[:5] for record in world.sealed_keys().values()) == ["v1.1.", "v1.2."]
    assert world.rewrap()
    assert {record[:5] for record in world.sealed_keys().values()} == {"v1.2."}
    assert world.attempt(world.a).status == world.attempt(world.b).status == 303


@row(86)
def test_a_rewrap_prints_numbers_alone(world):
    printed = world.command("bitbucket-server", "reseal").output
    assert printed == "2 private keys are sealed with the newest key of the ring.\n"


def flipped(text: str) -> str:
    """Base64 of the same bytes but for one bit."""
    data = bytearray(base64.b64decode(text))
    data[0] ^= 1
    return base64.b64encode(data).decode()


@row(87)
@everywhere
def test_one_changed_bit_makes_a_record_worthless(world):
    record = world.sealed_keys()[world.b.integration_id]
    version, key, nonce, sealed = record.split(".")
    for changed in (
        ("v0", key, nonce, sealed),
        (version, "3", nonce, sealed),
        (version, "0", nonce, sealed),
        (version, key, flipped(nonce), sealed),
        (version, key, nonce, flipped(sealed)),
        (version, key, nonce),
    ):
        world.seal_differently(world.b, ".".join(changed))
        assert opens_nothing(world), changed[:2]
        if world.writes_down_unopenable_keys:
            assert world.events("key.decrypt_failed")[-1]["integration_id"] == world.b.integration_id
    assert world.fb.received == []
    world.seal_differently(world.b, record)
    assert world.attempt(world.b).status == 303


@row(87)
@everywhere
def test_the_record_of_another_integration_opens_in_no_other_place(world):
    assert world.attempt(world.a).status == 303  # so that the key is known already
    world.seal_differently(world.b, world.sealed_keys()[world.a.integration_id])
    assert opens_nothing(world)


@row(121)
@pytest.mark.parametrize("application", ["organizations", "django"], indirect=True)
def test_a_private_key_opens_in_no_other_state_of_its_row(world):
    world.rotate(world.b)
    world.change_states_by_hand(world.b, active="retired", pending="active")
    assert opens_nothing(world)
    world.change_states_by_hand(world.b, active="pending", retired="active")
    assert world.attempt(world.b).status == 303
    assert world.verify(world.b) == ""
    assert world.attempt(world.b).status == 303


# Key pairs


def pem_of(key: Any, password: bytes | None = None) -> str:
    encryption: Any = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password)
    pem: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    return pem.decode()


@row(88)
@pytest.mark.as_shipped
def test_new_keys_are_strong():
    key = PrivateKey.generate()
    assert key.bits == DEFAULT_BITS == 3072
    numbers: Any = serialization.load_pem_public_key(key.public.pem.encode())
    assert numbers.public_numbers().e == 65537
    for bits in (512, 1024, 2047):
        with pytest.raises(BitbucketServerError):
            PrivateKey.generate(bits)


@cache
def keys_that_are_refused(good: PrivateKey) -> list[str]:
    """Each as PEM. *good* is the key that some are made of."""
    read: Any = serialization.load_pem_private_key(good.pem().encode(), None)
    return [
        pem_of(rsa.generate_private_key(65537, 1024)),
        pem_of(rsa.generate_private_key(65537, 1536)),
        pem_of(rsa.generate_private_key(3, 2048)),
        pem_of(ec.generate_private_key(ec.SECP256R1())),
        pem_of(ed25519.Ed25519PrivateKey.generate()),
        pem_of(read, b"passphrase"),
        good.public.pem,
        good.pem()[:800],
    ]


@row(88)
def test_weak_and_other_keys_are_refused_and_not_repeated(private_key):
    for given in keys_that_are_refused(private_key):
        fields = {"url": "https://bb.test", "consumer_key": "key", "private_key": given}
        with pytest.raises(BitbucketServerError) as caught:
            social_bitbucket_server.integration.from_settings.integration_from_fields("id", fields)
        error = caught.value.as_social_error(None, "begin")
        assert (type(error).__name__, error.code, error.parameter) == (
            "AuthConfigurationError",
            "invalid_setting",
            "private_key",
        )
        shown = f"{error} {error.context} {caught.value!r}"
        assert not [line for line in given.splitlines() if line in shown]


@row(88)
@everywhere
def test_nothing_is_signed_with_a_key_that_is_refused(world, private_key):
    """However it came into the application's own keeping. One is too short, one cannot be read."""
    ring = KeyRing.parse(world.ring)
    for given in keys_that_are_refused(private_key)[::7]:
        world.canaries.values |= set(re.findall(r"^[A-Za-z0-9+/]{64}$", given, re.MULTILINE))
        world.seal_differently(world.b, ring.seal(given.encode(), **world.sealed_for(world.b)))
        page = world.attempt(world.b)
        assert (page.status, world.last_failure()) == (503, "AuthConfigurationError/invalid_setting(private_key)")
    assert world.fb.received == []


def every_page(world: World, browser: Browser) -> Iterator[tuple[str, str]]:
    """The endpoint and the text of everything that can be opened, at both organizations."""
    places = [
        {
            "slug": place.slug,
            "integration": place.integration_id,
            "number": 1,
            "link": 1,
            "filename": "style.css",
            "user_id": world.users()[0].id,
            "event_id": 1,
            "token": world.set_up_link(place),
        }
        for place in (world.a, world.b)
    ]
    for rule in world.app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()):
            continue
        for values in places:
            if not rule.arguments <= values.keys():
                pytest.fail(f"{rule} needs {rule.arguments - values.keys()}")
            with world.context():
                path = world.app.url_for(rule.endpoint, **{name: values[name] for name in rule.arguments})
            yield rule.endpoint, browser.get(path).text


@row(89)
def test_no_page_shows_a_private_key_and_public_ones_are_for_the_owner(world):
    member, owner = world.browser(), world.browser()
    member.log_in(world.b, "mallory")
    owner.log_owner_in(world.b)
    rotate(owner, world.b)
    seen: dict[str, set[str]] = {}
    for who, browser in (("owner", owner), ("member", member), ("anonymous", world.browser())):
        for endpoint, text in every_page(world, browser):
            assert "PRIVATE KEY" not in text, (who, endpoint)
            if "BEGIN PUBLIC KEY" in text:
                seen.setdefault(who, set()).add(endpoint)
    for_bitbucket_admins = {"bitbucket.setup.page", "bitbucket.setup.script"}
    for_owners = {
        "bitbucket.key_pair.page",
        "bitbucket.onboarding.bitbucket",
        "bitbucket.integrations.plain_worksheet",
        "bitbucket.setup_link.script_for_admin",
    }
    assert seen == {
        "owner": for_owners | for_bitbucket_admins,
        "member": for_bitbucket_admins,
        "anonymous": for_bitbucket_admins,
    }


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@row(90)
def test_only_its_owner_reads_the_database(world):
    file = Path(world.app.extensions["engine"].url.database)
    world.browser().log_in(world.b, "mallory")
    for path in (file, Path(f"{file}-wal"), Path(f"{file}-shm"), Path(world.config["INSTANCE_PATH"])):
        assert mode(path) & 0o077 == 0, path
    for path in Path(world.config["INSTANCE_PATH"]).iterdir():
        assert mode(path) == 0o600, path
    world.stop()
    for changed in (file, Path(f"{file}-wal")):
        changed.touch(0o600)
        changed.chmod(0o644)
        with pytest.raises(UnsafeSettingError, match=f"chmod 600 {re.escape(str(changed))}$"):
            flask_app.create_app(world.config)
        changed.chmod(0o600)
    world.restart()
    assert world.attempt(world.b).status == 303


@row(91)
def test_consumer_keys_are_long_plain_and_unique():
    keys = [new_consumer_key() for _ in range(10_000)]
    assert len(set(keys)) == len(keys)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{32,64}", key) for key in keys)
    # 40 hexadecimal digits are 160 bits, all of them random: each digit is any of the sixteen.
    assert {len(key) for key in keys} == {40}
    assert all(len({key[position] for key in keys}) == 16 for position in range(40))


@row(91)
@with_integrations_in_a_database
@pytest.mark.parametrize("column", ["consumer_key", "public_key", "namespace"])
def test_two_integrations_never_share_what_tells_them_apart(world, column):
    assert world.refuses_twins(column)


# Rotation


class ApplicationLink:
    """Bitbucket's side: checks signatures with the public key that was pasted last."""

    def __init__(self, world: World, place: Place, public_key: str) -> None:
        self.public_key = public_key
        self._server, self._honest = place.server, place.server.honest[REQUEST_TOKEN]
        place.server.scripts[REQUEST_TOKEN] = self._answer

    def _answer(self, received: Received) -> Reply:
        parameters = signature.collect_parameters(headers={"Authorization": received.headers["Authorization"]})
        base_string = signature.signature_base_string(
            "POST", self._server.url + received.path, signature.normalize_parameters(parameters)
        )
        public_key: Any = serialization.load_pem_public_key(self.public_key.encode())
        signed = base64.b64decode(received.oauth["oauth_signature"])
        try:
            public_key.verify(signed, base_string.encode(), padding.PKCS1v15(), hashes.SHA1())
        except InvalidSignature:
            return Reply("oauth_problem=signature_invalid", 401)
        return self._honest(received)


def rotate(owner: Browser, place: Place) -> None:
    path = place.settings_path
    assert owner.post(f"{path}/key-pair", token_from=f"{path}/edit").status == 303


def verify(owner: Browser, place: Place) -> Any:
    return owner.post(f"{place.settings_path}/key-pair/verify", token_from=place.settings_path)


def states(world: World) -> list[tuple[str, bool]]:
    """Of organization B's key pairs, and whether they have a private key."""
    return [(state, has_private_key) for state, _, has_private_key in world.key_states(world.b)]


def public_keys(world: World) -> list[str]:
    """Of organization B's key pairs, oldest first."""
    return [public_key for _, public_key, _ in world.key_states(world.b)]


def promoted(world: World) -> list[Any]:
    """The integration of each new key pair in use that was written down, with the one that was retired for it."""
    events = ("key.promoted", "key.retired")
    return [(event, line["integration_id"]) for event in events for line in world.events(event)]


@row(92)
@with_integrations_in_a_database
def test_a_new_key_pair_replaces_the_old_one_when_bitbucket_accepts_it(world):
    link = ApplicationLink(world, world.b, *public_keys(world))
    world.rotate(world.b)
    old, new = public_keys(world)
    assert states(world) == [("active", True), ("pending", True)]
    assert world.browser().log_in(world.b, "mallory").status == 303

    assert world.verify(world.b) == "signature_invalid"
    assert states(world) == [("active", True), ("pending", True)]
    assert promoted(world) == []
    assert world.browser().log_in(world.b, "mallory").status == 303

    link.public_key = new
    assert not world.verify(world.b)
    assert states(world) == [("retired", False), ("active", True)]
    whose = world.b.integration_id
    assert promoted(world) == [("key.promoted", whose), ("key.retired", whose)]
    assert world.browser().log_in(world.b, "mallory").status == 303
    link.public_key = old
    assert world.attempt(world.b).status == 503
    assert states(world) == [("retired", False), ("active", True)]


@row(92)
@with_integrations_in_a_database
def test_a_login_finds_out_that_bitbucket_has_the_new_key(world):
    link = ApplicationLink(world, world.b, *public_keys(world))
    world.rotate(world.b)
    link.public_key = public_keys(world)[1]
    assert world.browser().log_in(world.b, "mallory").status == 303
    assert states(world) == [("retired", False), ("active", True)]
    whose = world.b.integration_id
    assert promoted(world) == [("key.promoted", whose), ("key.retired", whose)]


@row(92)
def test_the_owners_page_shows_the_new_public_key_and_says_why_it_is_not_in_use(world):
    owner = world.browser()
    owner.log_owner_in(world.b)
    link = ApplicationLink(world, world.b, *public_keys(world))
    rotate(owner, world.b)
    new = public_keys(world)[1]
    assert PublicKey.read(new).fingerprint in owner.get(f"{world.b.settings_path}/key-pair").text
    page = verify(owner, world.b)
    assert page.status == 422
    assert "Bitbucket does not have the new public key yet." in page.text
    assert states(world) == [("active", True), ("pending", True)]
    link.public_key = new
    assert verify(owner, world.b).status == 303
    assert verify(owner, world.b).status == 303
    assert states(world) == [("retired", False), ("active", True)]


@row(92)
def test_a_server_that_cannot_be_asked_promotes_nothing(world):
    owner = world.browser()
    owner.log_owner_in(world.b)
    rotate(owner, world.b)
    for reply in (Reply("", 500), Reply("", 302, [("Location", "https://deny.test:8443/")]), Reply("<html>")):
        world.fb.scripts[REQUEST_TOKEN] = reply
        page = verify(owner, world.b)
        assert page.status == 422
        assert "Nothing has changed" in page.text
        assert states(world) == [("active", True), ("pending", True)]
    world.fb.scripts.clear()
    pages = []
    for addresses in (world.addresses["deny.test"], []):
        forget_servers()
        world.addresses["bb-b.test"] = addresses
        pages.append(verify(owner, world.b).without_reference)
    assert pages[0] == pages[1]
    assert world.events("outbound.blocked")[-1]["host"] == "bb-b.test"
    assert states(world) == [("active", True), ("pending", True)]


@row(92)
def test_two_who_verify_at_once_promote_once(world, monkeypatch):
    owner = world.browser()
    owner.log_owner_in(world.b)
    rotate(owner, world.b)
    first = world.fb.honest[REQUEST_TOKEN]

    def meanwhile(received: Received) -> Reply:
        """Somebody else is faster while this request waits for its answer."""
        world.fb.scripts.clear()
        assert verify(second, world.b).status == 303
        return first(received)

    second = world.browser()
    second.log_owner_in(world.b)
    world.fb.scripts[REQUEST_TOKEN] = meanwhile
    assert verify(owner, world.b).status == 303
    assert states(world) == [("retired", False), ("active", True)]
    assert len(world.events("key.promoted")) == 1


@row(92)
def test_only_the_owner_rotates(world):
    member, owner, stranger = world.browser(), world.browser(), world.browser()
    member.log_in(world.b, "mallory")
    owner.log_owner_in(world.b)
    stranger.log_owner_in(world.a)
    token = {"csrf_token": stranger.get(world.a.settings_path).csrf_token}
    for path in (f"{world.b.settings_path}/key-pair", f"{world.b.settings_path}/key-pair/verify"):
        assert stranger.post(path, token).status == 404
        assert member.post(path, {"csrf_token": member.get(world.b.account_path).csrf_token}).status == 404
    assert owner.get(f"{world.b.settings_path}/key-pair/verify").status == 405
    assert states(world) == [("active", True)]
