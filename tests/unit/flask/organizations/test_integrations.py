"""Integrations: what is random, what is unique, and how private keys rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trustme
from flask import Flask
from sqlalchemy import delete, update

from social_bitbucket_server.crypto import KeyRing, PrivateKey
from social_bitbucket_server.flask.organizations.current import store
from social_bitbucket_server.flask.organizations.navigation import application_path
from social_bitbucket_server.integration import Integration, ServerURL
from social_bitbucket_server.organizations import KeyState, SealedKeys
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.sqlalchemy.organizations import integrations, key_rotation, server_url
from social_bitbucket_server.transport import ClientCertificate
from tests.client_certificates import issue
from tests.flask_app import database, people
from tests.flask_app.instance_files import UnsafeSettingError
from tests.flask_app.models import models
from tests.unit.flask.organizations.conftest import AppMaker
from tests.visitor import Visitor

BASE_URL = "https://bitbucket.acme.example/bitbucket"
CALLBACK = "https://app.example/complete"


@pytest.fixture
def integration_id(owner: Visitor) -> str:
    return owner.add_integration("acme", BASE_URL).rpartition("/")[2]


def record(integration_id: str) -> Any:
    return database.session.get_one(models.integration, integration_id)


def test_the_login_gets_the_integration_as_the_library_wants_it(app: Flask, integration_id: str) -> None:
    with app.app_context():
        integration = store.integrations.for_login(integration_id)
        assert integration is not None
        assert str(integration.server.url) == BASE_URL
        assert integration.private_key.public.pem == record(integration_id).active_key_pair.public_key
        assert integration.namespace == record(integration_id).namespace


def test_a_login_that_is_written_gets_the_integration_as_it_is_now(app: Flask, integration_id: str) -> None:
    with app.app_context():
        just_read, _ = store.integrations.find_with_ways_in(integration_id)
        with models.storage.all_or_nothing():
            change = update(models.integration).values(base_url="https://new.acme.example")
            database.session.execute(change, execution_options={"synchronize_session": False})
            integration = store.integrations.for_login(integration_id, just_read)
            assert str(integration.server.url) == "https://new.acme.example"


def test_an_unknown_integration_is_nothing(app: Flask) -> None:
    with app.app_context():
        assert store.integrations.for_login("unknown") is None


def test_the_private_key_rests_sealed(app: Flask, integration_id: str) -> None:
    with app.app_context():
        sealed = record(integration_id).active_key_pair.sealed_private_key
    assert sealed is not None
    assert sealed.startswith("v1.1.")
    assert "PRIVATE" not in sealed


def test_a_key_of_another_integration_does_not_open(app: Flask, owner: Visitor, integration_id: str) -> None:
    other_id = owner.add_integration("acme", BASE_URL, "Other").rpartition("/")[2]
    with app.app_context():
        record(integration_id).active_key_pair.sealed_private_key = record(other_id).active_key_pair.sealed_private_key
        database.session.commit()
        with pytest.raises(BitbucketServerError) as caught:
            store.integrations.for_login(integration_id)
    assert caught.value.code == "sealed_key_unopenable"


def test_another_ring_opens_no_key_and_changes_none(make_app: AppMaker, integration_id: str) -> None:
    restarted = make_app(KEY_RING=KeyRing.generate())
    with restarted.app_context():
        before = record(integration_id).active_key_pair.sealed_private_key
        with pytest.raises(BitbucketServerError) as caught:
            store.integrations.for_login(integration_id)
        database.session.expire_all()
        assert record(integration_id).active_key_pair.sealed_private_key == before
    assert caught.value.code == "sealed_key_unopenable"


def test_the_key_of_a_client_certificate_rests_sealed_for_its_integration(
    app: Flask, make_app: AppMaker, owner: Visitor, integration_id: str
) -> None:
    other_id = owner.add_integration("acme", BASE_URL, "Other").rpartition("/")[2]
    shown = ClientCertificate(*issue(trustme.CA()))
    with app.test_request_context():
        store.integrations.change_client_certificate(record(integration_id), shown)
        assert "PRIVATE" not in record(integration_id).sealed_client_key
        assert store.integrations.for_login(integration_id).server.client_key == shown.key
        before = record(integration_id).revision
        store.integrations.change_client_certificate(record(integration_id), shown)
        assert record(integration_id).revision == before
        record(other_id).client_certificate = shown.certificate
        record(other_id).sealed_client_key = record(integration_id).sealed_client_key
        database.session.commit()
        with pytest.raises(BitbucketServerError) as caught:
            store.integrations.for_login(other_id)
    assert caught.value.code == "sealed_key_unopenable"


def test_the_key_of_a_client_certificate_is_resealed_and_ends_no_login(
    app: Flask, make_app: AppMaker, integration_id: str
) -> None:
    shown = ClientCertificate(*issue(trustme.CA()))
    with app.test_request_context():
        store.integrations.change_client_certificate(record(integration_id), shown)
        revision = record(integration_id).revision
        old = app.config["SOCIAL_AUTH_BITBUCKET_SERVER_KEY_RING"]
    new = KeyRing.generate().replace("1:", "2:")
    with make_app(KEY_RING=f"{new},{old}").test_request_context():
        assert store.resealing.reseal_keys() == (2, 0)
    with make_app(KEY_RING=new).test_request_context():
        assert store.resealing.opens_keys()
        assert record(integration_id).revision == revision
        assert store.integrations.for_login(integration_id).server.client_key == shown.key
        for pair in record(integration_id).key_pairs:
            database.session.delete(pair)
        database.session.commit()
    with make_app(KEY_RING=old).test_request_context():
        assert not store.resealing.opens_keys()
        assert store.integrations.kept_client_key(record(integration_id)) == ""


def test_a_private_key_that_changed_meanwhile_is_not_overwritten_by_resealing(
    app: Flask, integration_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reseal = SealedKeys.reseal_private_key

    def reseal_late(keys: SealedKeys, pair: Any) -> str:
        sealed = reseal(keys, pair)
        database.session.execute(update(models.key_pair).values(sealed_private_key="another key"))
        return sealed

    monkeypatch.setattr(SealedKeys, "reseal_private_key", reseal_late)
    with app.test_request_context():
        store.resealing.reseal_keys()
        assert record(integration_id).active_key_pair.sealed_private_key == "another key"


def test_a_lost_ring_is_not_replaced(make_app: AppMaker, integration_id: str, tmp_path: Path) -> None:
    (tmp_path / "instance" / "key_ring").unlink()
    with pytest.raises(UnsafeSettingError, match="key ring is missing"):
        make_app()
    assert not (tmp_path / "instance" / "key_ring").exists()


def test_the_ring_survives_a_restart(make_app: AppMaker, integration_id: str) -> None:
    with make_app().app_context():
        assert store.integrations.for_login(integration_id) is not None


def test_a_private_key_is_parsed_once(app: Flask, integration_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with app.app_context():
        store.integrations.for_login(integration_id)
        monkeypatch.setattr(PrivateKey, "read", None)
        assert store.integrations.for_login(integration_id) is not None


def test_nobody_waits_for_the_database_while_a_key_is_made(
    app: Flask, owner: Visitor, private_key: PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing = []

    def make_private_key() -> PrivateKey:
        driver: Any = database.session.connection().connection.dbapi_connection
        writing.append(driver.in_transaction)
        return private_key

    monkeypatch.setattr(integrations, "make_private_key", make_private_key)
    owner.add_integration("acme", BASE_URL)
    assert writing == [False]


def test_nobody_waits_for_a_connection_to_the_database_while_bitbucket_is_asked(
    app: Flask, integration_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_use = []

    class Asked:
        def __init__(self, _integration: Integration, _budget: object) -> None:
            pass

        def request_token(self, _callback: str) -> None:
            in_use.append(app.extensions["engine"].pool.checkedout())

    monkeypatch.setattr(key_rotation, "Client", Asked)
    with app.test_request_context():
        store.key_rotation.begin(record(integration_id))
        assert store.key_rotation.give_up(record(integration_id), CALLBACK)
        store.key_rotation.begin(record(integration_id))
    with app.test_request_context():
        assert store.key_rotation.verify(record(integration_id), CALLBACK)
        store.upgrade.keep_credentials(record(integration_id), "id", "secret")
        store.upgrade.end_oauth1(record(integration_id))
        database.session.commit()
    with app.test_request_context():
        store.upgrade.go_back(record(integration_id), CALLBACK)
        assert not record(integration_id).is_for_oauth2
    assert in_use == [0, 0, 0]


def test_an_integration_that_is_deleted_while_it_is_changed_is_not_found(
    owner: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = owner.add_integration("acme", BASE_URL)
    lock = integrations.Integrations.lock

    def delete_and_lock(store: integrations.Integrations, record: Any) -> None:
        database.session.execute(delete(type(record)))
        lock(store, record)

    monkeypatch.setattr(integrations.Integrations, "lock", delete_and_lock)
    assert owner.post(f"{page}/setup-link").status == 404


def test_two_integrations_share_nothing(app: Flask, owner: Visitor) -> None:
    owner.add_integration("acme", BASE_URL)
    owner.add_integration("acme", BASE_URL, "Other")
    with app.test_request_context():
        one, other = database.session.query(models.integration)
        for name in ("id", "namespace", "number"):
            assert getattr(one, name) != getattr(other, name), name
        assert one.active_key_pair.consumer_key != other.active_key_pair.consumer_key
        assert one.active_key_pair.public_key != other.active_key_pair.public_key
        assert application_path(one) != application_path(other)


def test_the_first_integration_has_the_organizations_own_address(app: Flask, integration_id: str) -> None:
    with app.test_request_context():
        assert application_path(record(integration_id)) == "/o/acme/"


def test_an_application_url_is_never_given_again(app: Flask, owner: Visitor) -> None:
    first = owner.add_integration("acme", BASE_URL)
    owner.post(f"{first}/delete", name="Bitbucket")
    second = owner.add_integration("acme", BASE_URL).rpartition("/")[2]
    with app.test_request_context():
        assert application_path(record(second)) == "/o/acme/i/2/"


def test_every_application_url_shows_the_organization(owner: Visitor, visitor: Visitor) -> None:
    owner.add_integration("acme", BASE_URL)
    owner.add_integration("acme", BASE_URL, "Other")
    assert visitor.get("/o/acme/").text == visitor.get("/o/acme/i/2/").text
    assert visitor.get("/o/acme/i/3/").status == 404


def key_pairs(app: Flask) -> dict[str, tuple[KeyState, bool]]:
    """Return state, and whether there is a private key, by public key."""
    with app.app_context():
        pairs = database.session.query(models.key_pair).order_by(models.key_pair.created_at)
        return {pair.public_key: (pair.state, pair.sealed_private_key is not None) for pair in pairs}


def test_a_new_key_pair_waits_beside_the_old_one(app: Flask, owner: Visitor, integration_id: str) -> None:
    path = f"/o/acme/settings/integrations/{integration_id}"
    owner.post(f"{path}/key-pair", f"{path}/key-pair")
    assert list(key_pairs(app).values()) == [(KeyState.ACTIVE, True), (KeyState.PENDING, True)]


def test_yet_another_key_pair_takes_the_place_of_the_one_that_waits(
    app: Flask, owner: Visitor, integration_id: str
) -> None:
    path = f"/o/acme/settings/integrations/{integration_id}"
    owner.post(f"{path}/key-pair", f"{path}/key-pair")
    owner.post(f"{path}/key-pair", f"{path}/key-pair")
    assert list(key_pairs(app).values()) == [
        (KeyState.ACTIVE, True),
        (KeyState.RETIRED, False),
        (KeyState.PENDING, True),
    ]


def test_nothing_happens_where_no_key_pair_waits(app: Flask, owner: Visitor, integration_id: str) -> None:
    before = key_pairs(app)
    path = f"/o/acme/settings/integrations/{integration_id}"
    assert owner.post(f"{path}/key-pair/verify", f"{path}/key-pair").status == 303
    assert key_pairs(app) == before


def test_a_key_that_was_opened_before_opens_in_no_other_row(app: Flask, owner: Visitor, integration_id: str) -> None:
    other_id = owner.add_integration("acme", BASE_URL, "Other").rpartition("/")[2]
    with app.app_context():
        store.integrations.for_login(other_id)
        record(integration_id).active_key_pair.sealed_private_key = record(other_id).active_key_pair.sealed_private_key
        database.session.commit()
        with pytest.raises(BitbucketServerError) as caught:
            store.integrations.for_login(integration_id)
    assert caught.value.code == "sealed_key_unopenable"


def test_a_server_that_is_allowed_no_more_is_not_asked(make_app: AppMaker) -> None:
    app = make_app(OUTBOUND_MODE="test")
    with app.app_context():
        owner = people.create_organization(slug="acme", name="Acme", email="o@acme.example", password="x" * 10)
        made = store.integrations.make(owner.organization, "Sandbox", ServerURL.parse("http://127.0.0.1:7990"))
        integration_id = made.id
    with make_app(OUTBOUND_MODE="public").app_context(), pytest.raises(BitbucketServerError) as caught:
        store.integrations.for_login(integration_id)
    assert caught.value.code == "invalid_base_url"


def test_a_move_to_an_address_that_is_allowed_no_more_can_be_given_up(
    app: Flask, owner: Visitor, integration_id: str
) -> None:
    with app.app_context():
        record(
            integration_id
        ).moving_to = "http://bitbucket.acme.example"  # it was, and its operator thought better of it
        database.session.commit()
    path = f"/o/acme/settings/integrations/{integration_id}"
    page = owner.get(path)
    assert page.status == 200
    assert owner.send(f"{path}/move/give-up", csrf_token=page.csrf_token).status == 303
    assert "Is it the same server?" not in owner.get(path).words


def test_another_base_url_is_another_server(app: Flask, integration_id: str) -> None:
    with app.app_context():
        changed = record(integration_id)
        before = changed.namespace, changed.login_revision
        store.integrations.change(changed, name=changed.name, server_url=ServerURL.parse("https://right.example"))
        assert changed.base_url == "https://right.example"
        assert changed.namespace != before[0]
        assert changed.login_revision != before[1]


def test_a_server_that_is_known_to_have_moved_keeps_its_namespace(app: Flask, integration_id: str) -> None:
    with app.app_context():
        moved = record(integration_id)
        before = moved.namespace
        store.moves.take_over(moved, ServerURL.parse("https://new.example"))
        assert (moved.base_url, moved.namespace) == ("https://new.example", before)


def test_what_concerns_no_login_ends_none_that_is_under_way(app: Flask, integration_id: str) -> None:
    with app.app_context():
        changed = record(integration_id)
        before = changed.login_revision
        store.integrations.note_login(changed)
        store.key_rotation.begin(changed)
        store.integrations.change(changed, name=changed.name, server_url=server_url(changed))
        assert changed.login_revision == before
        for enabled in (False, True):
            store.integrations.set_enabled(changed, enabled=enabled)
        assert changed.login_revision != before
