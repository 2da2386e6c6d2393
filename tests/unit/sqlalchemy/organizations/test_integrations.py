"""Integrations: made, changed, deleted, and found for a login."""

from datetime import timedelta

import pytest
import trustme
from sqlalchemy import update
from sqlalchemy.orm import Session

from social_bitbucket_server.crypto import KeyRing
from social_bitbucket_server.integration import Admission, BaseURLRules, ConnectTo, Roles, ServerURL
from social_bitbucket_server.login import LIFETIME
from social_bitbucket_server.organizations import KeyState, OAuth, Outbound, SetupLinkCondition
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.sqlalchemy.organizations import (
    NameTakenError,
    clock,
    integrations,
    link_number,
    new_server_url,
    server_url,
    trying,
)
from social_bitbucket_server.transport import ClientCertificate
from tests.client_certificates import issue
from tests.statements import statements

ELSEWHERE = ServerURL.parse("https://elsewhere.example/bitbucket")


def changed(app, record, **values):
    values = {"name": record.name, "server_url": server_url(record), **values}
    app.store.integrations.change(record, **values)


def promote(app, record):
    """Put the key pair that waits in use, as after a login that was signed with it."""
    integration = app.store.integrations.signing_with(record, record.pending_key_pair)
    app.store.key_rotation.promote_after_a_login(integration)


def test_a_new_integration_has_a_key_pair_that_logins_are_signed_with(app, acme):
    record = app.integration(acme)
    (pair,), (link,) = record.key_pairs, record.application_links
    assert (pair.state, pair.consumer_key, link_number(record, pair)) == (KeyState.ACTIVE, link.consumer_key, 1)
    assert pair.sealed_private_key.startswith("v1.1.")
    assert app.recorded.codes == ["key.created", "integration.created"]
    assert app.recorded.details_of("integration.created")["organization_id"] == acme.id
    assert (record.ways, record.is_for_oauth2) == ((OAuth.ONE,), False)


def test_an_integration_for_oauth_2_waits_for_its_client_credentials(app, acme):
    record = app.integration(acme, oauth=OAuth.TWO)
    assert record.ways == ()
    assert record.key_pairs == record.application_links == []
    assert record.key_pair_to_set_up is None
    assert app.store.integrations.for_oauth2_login(record.id) is None
    with pytest.raises(BitbucketServerError) as caught:
        app.store.integrations.ready_for(record, OAuth.TWO)
    assert caught.value.code == "setting_missing"
    app.store.upgrade.keep_credentials(record, "id", "secret")
    assert record.ways == (OAuth.TWO,)
    assert app.store.integrations.ready_for(record, OAuth.TWO).client_id == "id"
    assert app.store.integrations.for_login(record.id) is None


def test_no_two_integrations_of_an_organization_have_one_name(app, acme, record):
    other = app.integration(acme, "Other")
    with pytest.raises(NameTakenError):
        app.integration(acme, "Other")
    with pytest.raises(NameTakenError):
        changed(app, other, name=record.name, server_url=ELSEWHERE)
    app.session.rollback()
    assert (other.name, other.base_url) == ("Other", "https://other.acme.example")
    assert len(app.store.integrations.of(acme)) == 2
    app.integration(app.organization("globex"), "Other")


def test_a_name_that_is_taken_while_the_key_is_made_is_refused(app, acme, spare_keys, monkeypatch):
    def meanwhile():
        monkeypatch.setattr(integrations, "make_private_key", spare_keys.take)
        app.integration(acme)
        return spare_keys.take()

    monkeypatch.setattr(integrations, "make_private_key", meanwhile)
    with pytest.raises(NameTakenError):
        app.integration(acme)
    app.session.rollback()
    assert len(app.store.integrations.of(acme)) == 1


def test_no_integration_gets_the_number_of_a_deleted_one(app, acme):
    numbers = []
    for _ in range(3):
        record = app.integration(acme)
        numbers.append(record.number)
        app.store.integrations.delete(record)
    assert numbers == [1, 2, 3]
    assert app.integration(app.organization("globex")).number == 1


def test_a_change_is_kept(app, record):
    authority = trustme.CA().cert_pem.bytes().decode()
    connect_to = ConnectTo.parse("10.0.0.7:7990", BaseURLRules())
    changed(app, record, name="New", ca_certificates=authority, connect_to=connect_to)
    app.session.expire_all()
    assert (record.name, record.ca_certificates, record.connect_to) == ("New", authority, "10.0.0.7:7990")
    assert app.recorded.codes == ["integration.updated"]
    changed(app, record)
    assert (record.ca_certificates, record.connect_to) == ("", "")


def test_another_base_url_lets_everybody_begin_anew(app, record):
    identity = app.log_in(record)
    app.store.upgrade.keep_credentials(record, "id", "secret")
    token = app.store.setup_links.make(record)
    before, revision = record.namespace, identity.session_revision
    identity_id = identity.id
    changed(app, record, server_url=ELSEWHERE)
    app.session.expire_all()
    assert record.namespace != before
    assert (record.base_url, record.last_login_at, record.client_credentials) == (str(ELSEWHERE), None, None)
    assert app.store.identities.of_session(identity_id, revision) is None
    assert app.store.setup_links.ended(token) is SetupLinkCondition.ANOTHER_SERVER
    assert app.count(app.User) == 1


def test_a_disabled_integration_lets_nobody_in_and_ends_sessions(app, acme, record):
    identity = app.log_in(record)
    revision = identity.session_revision
    app.recorded.take()
    for _ in range(2):
        app.store.integrations.set_enabled(record, enabled=False)
    assert app.store.integrations.for_login(record.id) is None
    assert app.store.integrations.of(acme) == [record]
    assert app.store.integrations.find(acme, record.id) is record
    assert app.store.integrations.find_enabled(record.id) is None
    for _ in range(2):
        app.store.integrations.set_enabled(record, enabled=True)
    assert app.store.integrations.for_login(record.id) is not None
    assert app.store.identities.of_session(identity.id, revision) is None
    assert app.recorded.codes == ["integration.disabled", "integration.enabled"]


def test_a_deleted_integration_takes_everything_along_but_its_people(app, acme, record):
    app.store.upgrade.keep_credentials(record, "id", "secret")
    token = app.store.setup_links.make(record)
    app.store.ways_in.enforce(record)
    app.log_in(record)
    app.recorded.take()
    app.store.integrations.delete(record)
    models = app.models
    for table in (
        models.integration,
        models.key_pair,
        models.application_link,
        models.client_credentials,
        models.setup_link,
        models.identity,
    ):
        assert app.count(table) == 0, table
    assert app.count(app.User) == 1
    assert app.store.setup_links.ended(token) is SetupLinkCondition.DELETED
    assert app.store.ways_in.of(acme).enforced is None
    assert app.recorded.codes == ["integration.not_enforced", "setup_link.revoked", "integration.deleted"]


def test_the_ids_of_other_organizations_and_no_ids_find_nothing(app, acme, record):
    kept = app.store.integrations
    foreign = app.integration(app.organization("globex"))
    assert kept.find(acme, foreign.id) is None
    assert kept.organization_of(foreign.id) != acme.id
    for unknown in ("", "unknown", "0" * 24, record.id.upper(), record.id + "\n"):
        assert kept.find(acme, unknown) is None
        assert kept.find_enabled(unknown) is None
        assert kept.organization_of(unknown) is None
        assert kept.for_login(unknown) is None
        assert kept.for_oauth2_login(unknown) is None


def test_a_login_gets_the_integration_as_the_library_wants_it(app, acme, record):
    app.store.integrations.change_admission(
        record,
        Admission(groups=("staff",)),
        Roles.read({"editor": {"projects": ["WEB"]}, "root": {"groups": ["staff"]}}),
    )
    integration = app.store.integrations.for_login(record.id)
    assert str(integration.server.url) == record.base_url
    assert integration.private_key.public.pem == record.active_key_pair.public_key
    assert integration.consumer_key == record.active_key_pair.consumer_key
    assert integration.namespace == record.namespace
    assert integration.revision == record.login_revision
    assert integration.admission.groups == ("staff",)
    assert integration.roles == Roles.read({"editor": {"projects": ["WEB"]}}), "root is not offered"
    assert integration.successor is None
    app.store.upgrade.keep_credentials(record, "id", "secret")
    by_oauth2 = app.store.integrations.for_oauth2_login(record.id)
    assert (by_oauth2.client_id, by_oauth2.client_secret) == ("id", "secret")
    assert (by_oauth2.namespace, by_oauth2.roles) == (record.namespace, integration.roles)


def test_one_login_asks_for_roles_and_admission(app, record):
    groups = ("a", "b", "c")
    app.store.integrations.change_admission(record, Admission(groups), Roles.read({"editor": {"groups": ["d", "e"]}}))
    with pytest.raises(BitbucketServerError, match="There are 6 groups, projects and repositories"):
        app.store.integrations.change_admission(record, Admission((*groups, "f")), record.roles)
    assert record.admission.groups == groups
    assert app.recorded.details_of("integration.updated").items() >= {"conditions": 3, "roles": 1}.items()


def test_an_organization_that_may_not_log_in_is_closed(make_app):
    closed = set()
    app = make_app(may_log_in=lambda organization: organization.slug not in closed)
    record = app.integration(app.organization())
    app.store.upgrade.keep_credentials(record, "id", "secret")
    assert app.store.integrations.for_login(record.id) is not None
    closed.add("acme")
    kept = app.store.integrations
    for find in (kept.for_login, kept.for_oauth2_login, kept.find_enabled):
        assert find(record.id) is None


def test_a_login_may_try_the_key_that_waits(app, record):
    app.store.key_rotation.begin(record)
    integration = app.store.integrations.for_login(record.id)
    assert integration.successor.private_key.public.pem == record.pending_key_pair.public_key
    assert integration.successor.consumer_key == integration.consumer_key


def test_logins_under_way_are_finished_with_the_link_that_was_replaced(app, record, standing_clock):
    old = record.active_key_pair.consumer_key
    app.store.key_rotation.begin(record, with_new_link=True)
    promote(app, record)
    assert app.store.integrations.for_login(record.id).predecessor.consumer_key == old
    standing_clock.advance(seconds=LIFETIME + 1)
    assert app.store.integrations.for_login(record.id).predecessor is None


def test_logins_under_way_by_oauth_1_are_finished_after_oauth_2_took_over(app, record, standing_clock):
    app.store.upgrade.keep_credentials(record, "id", "secret")
    app.store.upgrade.end_oauth1(record)
    app.session.commit()
    assert record.ways == (OAuth.TWO,)
    standing_clock.advance(seconds=LIFETIME - 1)
    assert app.store.integrations.for_login(record.id) is not None
    standing_clock.advance(seconds=2)
    assert app.store.integrations.for_login(record.id) is None
    assert app.store.integrations.for_oauth2_login(record.id) is not None


def test_a_key_that_cannot_be_opened_stops_the_login_and_is_told(app, record):
    app.store = app.new_store(ring=KeyRing.generate())
    with pytest.raises(BitbucketServerError) as caught:
        app.store.integrations.for_login(record.id)
    assert caught.value.code == "sealed_key_unopenable"
    assert app.recorded.told == [("key.decrypt_failed", "failure", {"integration_id": record.id, "code": None})]


def test_the_login_goes_on_without_a_key_that_waits_and_cannot_be_opened(app, record):
    app.store.key_rotation.begin(record)
    record.pending_key_pair.sealed_private_key = record.active_key_pair.sealed_private_key
    app.session.commit()
    app.recorded.take()
    assert app.store.integrations.for_login(record.id).successor is None
    assert app.recorded.details_of("key.decrypt_failed")["code"] == "pending_key"


def test_a_key_does_not_open_in_another_integrations_row(app, acme, record):
    other = app.integration(acme, "Other")
    record.active_key_pair.sealed_private_key = other.active_key_pair.sealed_private_key
    app.session.commit()
    with pytest.raises(BitbucketServerError, match=r".+"):
        app.store.integrations.for_login(record.id)


def test_a_client_certificate_rests_sealed(app, record):
    shown = ClientCertificate(*issue(trustme.CA()))
    kept = app.store.integrations
    assert kept.kept_client_key(record) == ""
    kept.change_client_certificate(record, shown)
    assert "PRIVATE" not in record.sealed_client_key
    assert kept.kept_client_key(record) == shown.key
    assert kept.for_login(record.id).server.client_key == shown.key
    revision = record.revision
    kept.change_client_certificate(record, shown)
    assert record.revision == revision
    kept.change_client_certificate(record, None)
    assert (record.client_certificate, record.sealed_client_key) == ("", "")
    assert app.recorded.codes == ["integration.updated"] * 2


def test_the_last_login_is_kept_to_the_minute(app, record, standing_clock):
    note = app.store.integrations.note_login
    note(record)
    first = record.last_login_at
    standing_clock.advance(seconds=60)
    note(record)
    assert record.last_login_at == first
    standing_clock.advance(seconds=1)
    note(record)
    assert record.last_login_at == clock.now()


def test_the_version_that_a_test_found_is_kept(app, record):
    app.store.integrations.note_version(record.id, "9.4.0")
    app.store.integrations.note_version("0" * 24, "9.4.0")
    app.session.expire_all()
    assert record.server_version == "9.4.0"


def test_a_lookup_lets_the_connection_go_but_not_within_a_login(app, record):
    app.store.integrations.for_login(record.id)
    assert not app.session().in_transaction()
    with app.models.storage.all_or_nothing():
        app.store.integrations.for_login(record.id)
        assert app.session().in_transaction()
    assert app.session().in_transaction(), "the caller commits"


def test_a_lookup_reads_what_another_request_changed(app, record):
    assert record.disabled_at is None
    app.session.commit()
    with Session(app.engine) as other:
        other.execute(update(app.models.integration).values(disabled_at=clock.now()))
        other.commit()
    assert app.store.integrations.for_login(record.id) is None


def test_servers_are_reached_as_the_operator_lets_their_organization(make_app):
    app = make_app(outbound=Outbound(timeout=3, proxies={"*": {"https": "http://proxy.example:3128"}}))
    acme = app.organization()
    server = app.store.integrations.for_login(app.integration(acme).id).server
    assert (server.timeout, server.proxies) == (3, {"https": "http://proxy.example:3128"})
    assert app.store.integrations.way_out(acme).timeout == 3


def test_a_base_url_that_the_operator_does_not_allow_is_asked_nothing(app, record):
    record.base_url = "http://bitbucket.acme.example"
    app.session.commit()
    with pytest.raises(BitbucketServerError) as caught:
        app.store.integrations.for_login(record.id)
    assert caught.value.code == "invalid_base_url"
    assert str(server_url(record)) == "http://bitbucket.acme.example"


def test_a_new_address_is_asked_where_it_is_tried_alone(app, record):
    app.store.moves.begin(record, ELSEWHERE)
    assert str(new_server_url(record)) == str(ELSEWHERE)
    find = app.store.integrations.for_login
    with trying(str(ELSEWHERE)):
        assert str(find(record.id).server.url) == str(ELSEWHERE)
        with trying("https://third.example"):
            assert str(find(record.id).server.url) == record.base_url
    assert str(find(record.id).server.url) == record.base_url
    app.store.moves.give_up(record)
    assert new_server_url(record) is None
    with trying(str(ELSEWHERE)):
        assert str(find(record.id).server.url) == record.base_url


def test_a_lookup_is_one_statement(app, record):
    integration_id = record.id
    app.session.commit()
    with statements(app.engine) as sent:
        app.store.integrations.for_login(integration_id)
    assert len([each for each in sent if each.startswith("SELECT")]) == 1


def test_a_new_record_knows_when_it_was_made(app, record, standing_clock):
    standing_clock.advance(days=1)
    assert clock.now() - record.created_at == timedelta(days=1)


def test_sqlite_locks_with_an_integration(app, record):
    """Nobody can have logged in between the look at what was locked and the change."""
    driver = app.session.connection().connection.driver_connection
    assert not driver.in_transaction
    app.store.integrations.lock(record)
    assert driver.in_transaction
    app.session.rollback()
