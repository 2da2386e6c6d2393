"""What is sealed, sealed anew; what is over, forgotten; and people, asked for between two logins."""

from datetime import timedelta

import pytest
import trustme
from sqlalchemy import delete, update

from social_bitbucket_server.account import ROLES_KEY, Recheck, Standing
from social_bitbucket_server.crypto import KeyRing
from social_bitbucket_server.login import LIFETIME
from social_bitbucket_server.organizations import KeyState, SealedKeys
from social_bitbucket_server.problems import BitbucketServerError, Code
from social_bitbucket_server.sqlalchemy.organizations import clock
from social_bitbucket_server.transport import ClientCertificate
from tests.client_certificates import issue

DAY = timedelta(days=1)


@pytest.fixture
def new_ring():
    return KeyRing.generate().replace("1:", "2:")


@pytest.fixture
def sealed(app, record):
    """The integration, with a private key, a client secret and the key of a client certificate."""
    app.store.upgrade.keep_credentials(record, "id", "secret")
    app.store.integrations.change_client_certificate(record, ClientCertificate(*issue(trustme.CA())))
    return record


def test_all_that_is_sealed_is_sealed_with_the_newest_key(app, sealed, new_ring):
    revision = sealed.login_revision
    assert app.new_store(ring=f"{new_ring},{app.ring}").resealing.reseal_keys() == (3, 0)
    app.session.expire_all()
    store = app.new_store(ring=new_ring)
    assert store.resealing.opens_keys()
    assert store.integrations.for_oauth2_login(sealed.id).client_secret == "secret"
    assert store.integrations.for_login(sealed.id).server.client_key
    assert sealed.login_revision == revision
    assert not app.store.resealing.opens_keys()


def test_what_cannot_be_opened_stays_as_it_is(app, sealed, new_ring):
    before = sealed.active_key_pair.sealed_private_key
    assert app.new_store(ring=new_ring).resealing.reseal_keys() == (0, 3)
    app.session.expire_all()
    assert sealed.active_key_pair.sealed_private_key == before


def test_key_pairs_that_were_erased_and_no_certificate_are_passed_over(app, acme, record, new_ring):
    app.store.key_rotation.begin(record)
    app.store.key_rotation.promote_after_a_login(app.store.integrations.signing_with(record, record.pending_key_pair))
    assert app.new_store(ring=f"{new_ring},{app.ring}").resealing.reseal_keys() == (1, 0)


def test_a_private_key_that_changed_meanwhile_is_not_overwritten(app, record, monkeypatch):
    reseal = SealedKeys.reseal_private_key

    def reseal_late(keys, pair):
        resealed = reseal(keys, pair)
        app.session.execute(update(app.models.key_pair).values(sealed_private_key="another key"))
        return resealed

    monkeypatch.setattr(SealedKeys, "reseal_private_key", reseal_late)
    app.store.resealing.reseal_keys()
    app.session.expire_all()
    assert record.active_key_pair.sealed_private_key == "another key"


def test_a_row_that_is_deleted_meanwhile_is_passed_over(app, sealed, monkeypatch):
    reseal = SealedKeys.reseal_private_key

    def reseal_and_delete(keys, pair):
        app.session.execute(delete(app.models.client_credentials))
        return reseal(keys, pair)

    monkeypatch.setattr(SealedKeys, "reseal_private_key", reseal_and_delete)
    assert app.store.resealing.reseal_keys() == (2, 0)


def test_the_ring_is_tried_with_the_oldest_and_the_newest(app, acme, record, new_ring, standing_clock):
    assert app.store.resealing.opens_keys()
    standing_clock.advance(days=1)
    app.store = app.new_store(ring=new_ring)
    app.integration(acme, "Newer")
    assert not app.store.resealing.opens_keys()
    assert app.new_store(ring=f"{new_ring},{app.ring}").resealing.opens_keys()


def test_a_ring_opens_everything_if_there_is_nothing(app):
    assert app.store.resealing.opens_keys()


@pytest.fixture
def tokens(app, record):
    """Three people, of whom two have a token that is kept."""
    identities = [app.log_in(record, number=n, username=f"user{n}") for n in range(3)]
    for identity in identities[:2]:
        app.store.logins.keep_token_and_roles(identity, {"sealed_access_token": "old", "integration": record.id})
    app.session.commit()
    return identities


def test_tokens_that_are_kept_are_sealed_anew(app, tokens):
    seen = []

    def reseal(identity):
        seen.append(identity.id)
        if identity is tokens[0]:
            raise BitbucketServerError(Code.TOKEN_UNOPENABLE)
        identity.extra_data = {**identity.extra_data, "sealed_access_token": "new"}

    assert app.store.resealing.reseal_tokens(reseal) == (1, 1)
    app.session.expire_all()
    assert seen == [tokens[0].id, tokens[1].id]
    assert [each.extra_data.get("sealed_access_token") for each in tokens] == ["old", "new", None]


def test_tokens_are_forgotten_and_roles_are_not(app, tokens):
    for identity in tokens[1:]:
        identity.set_extra_data({ROLES_KEY: ["editor"]})
    assert app.store.resealing.forget_tokens() == 2
    app.session.expire_all()
    assert [each.extra_data for each in tokens] == [{}, {ROLES_KEY: ["editor"]}, {ROLES_KEY: ["editor"]}]
    assert app.store.resealing.forget_tokens() == 0


def test_pruning_forgets_logins_and_keys_that_no_login_needs(app, record, standing_clock):
    rotation = app.store.key_rotation
    rotation.begin(record, with_new_link=True)
    rotation.promote_after_a_login(app.store.integrations.signing_with(record, record.pending_key_pair))
    app.models.storage.nonce.use("server", 0, "salt")
    old = record.replaced_key_pair
    assert app.store.pruning.forget() in {0, 1}
    assert old.sealed_private_key
    standing_clock.advance(seconds=LIFETIME + 1)
    app.store.pruning.forget()
    app.session.expire_all()
    assert (old.state, old.sealed_private_key) == (KeyState.REPLACED, None)
    assert record.active_key_pair.sealed_private_key
    rotation.note_removal(record)
    assert old.state is KeyState.RETIRED


def due(app, within=DAY, organization=None):
    return app.store.rechecks.due(within, organization)


def test_people_who_logged_in_lately_are_asked_for(app, acme, record, standing_clock):
    earlier = app.log_in(record)
    standing_clock.advance(days=1)
    assert due(app) == []
    jane = app.log_in(record, number=43)
    foreign = app.log_in(app.integration(app.organization("globex")))
    app.log_in(record, number=44).rechecked_at = clock.now()
    app.session.commit()
    assert due(app)[:2] == [jane.id, foreign.id]
    assert len(due(app)) == 3
    assert foreign.id not in due(app, organization=acme)
    assert earlier.id in due(app, within=2 * DAY)


def log_out(app, acme, identity):
    (person,) = app.store.people.of(acme)
    app.store.people.log_out(acme, person)


def disable_person(app, acme, identity):
    identity.disabled_at = clock.now()


def disable_integration(app, acme, identity):
    identity.integration.disabled_at = clock.now()


def close_organization(app, acme, identity):
    app.store.may_log_in = lambda _organization: False


@pytest.mark.parametrize("end", [log_out, disable_person, disable_integration, close_organization])
def test_nobody_is_asked_for_who_has_no_session(app, acme, record, standing_clock, end):
    identity = app.log_in(record)
    standing_clock.advance(seconds=1)
    assert due(app) == [identity.id]
    end(app, acme, identity)
    app.session.commit()
    assert due(app) == []


def test_somebody_who_logged_in_again_is_asked_for(app, acme, record, standing_clock):
    identity = app.log_in(record)
    log_out(app, acme, identity)
    standing_clock.advance(seconds=1)
    app.log_in(record)
    assert due(app) == [identity.id]


def recheck(app, ids, *answers):
    remaining = list(answers)
    return list(app.store.rechecks.recheck(ids, lambda _identity: remaining.pop(0)))


def test_a_refused_person_is_logged_out(app, acme, record):
    identity = app.log_in(record)
    identity_id, revision = identity.id, identity.session_revision
    app.recorded.take()
    (found,) = recheck(app, [identity_id], Recheck(Standing.REFUSED, "person_not_allowed"))
    assert (found.user_id, found.integration_id, found.asked) == (identity.user_id, record.id, True)
    assert app.store.identities.of_session(identity_id, revision) is None
    assert identity.rechecked_at == clock.now()
    assert app.recorded.codes == ["session.revoked", "recheck.refused"]
    assert app.recorded.details_of("recheck.refused")["problem"] == "person_not_allowed"


@pytest.mark.parametrize(
    ("standing", "codes"),
    [(Standing.ADMITTED, []), (Standing.UNPROVEN, []), (Standing.UNANSWERED, ["recheck.unanswered"])],
)
def test_other_people_stay(app, record, standing, codes):
    identity = app.log_in(record)
    identity_id, revision = identity.id, identity.session_revision
    app.recorded.take()
    recheck(app, [identity_id], Recheck(standing, "a_problem"))
    assert app.store.identities.of_session(identity_id, revision) is identity
    assert app.recorded.codes == codes


def test_a_server_that_does_not_answer_is_asked_once(app, acme, record):
    other = app.integration(acme, "Other")
    people = [app.log_in(record), app.log_in(record, number=43), app.log_in(other, number=44)]
    silent = Recheck(Standing.UNANSWERED, Code.CONNECTION_FAILED.value)
    found = recheck(app, [each.id for each in people], silent, Recheck(Standing.ADMITTED))
    assert [each.asked for each in found] == [True, False, True]
    assert found[1].recheck == silent


def test_a_problem_with_one_persons_record_keeps_nobody_else_from_being_asked_for(app, record):
    people = [app.log_in(record), app.log_in(record, number=43)]
    odd = Recheck(Standing.UNANSWERED, Code.PROFILE_INVALID.value)
    found = recheck(app, [each.id for each in people], odd, Recheck(Standing.ADMITTED))
    assert [each.asked for each in found] == [True, True]


def test_people_who_are_gone_are_passed_over(app, record):
    identity = app.log_in(record)
    identity_id = identity.id
    app.session.delete(identity)
    app.session.commit()
    assert recheck(app, [identity_id]) == []


@pytest.mark.parametrize("standing", [Standing.REFUSED, Standing.UNANSWERED, Standing.ADMITTED])
@pytest.mark.parametrize("gone", ["identity", "user", "integration", "organization"])
def test_what_is_deleted_while_the_server_is_asked_stops_nothing(app, record, standing, gone):
    people = [app.log_in(record), app.log_in(record, number=43)]
    ids = [each.id for each in people]
    answers = iter([Recheck(standing, Code.PROFILE_INVALID.value), Recheck(Standing.ADMITTED)])

    def ask(identity):
        tables = {"user": app.User, "organization": app.Organization}
        table = tables.get(gone) or getattr(app.models, gone)
        keys = {"identity": identity.id, "user": identity.user_id, "integration": record.id, "organization": 1}
        app.session.commit()
        with app.engine.begin() as other:
            other.execute(delete(table).where(table.id == keys[gone]))
        return next(answers)

    found = list(app.store.rechecks.recheck(ids, ask))
    assert found[0].recheck.standing is standing
    assert len(found) == (2 if gone in {"identity", "user"} else 1)
