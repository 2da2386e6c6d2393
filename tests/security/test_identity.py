"""Who somebody is.

Where a row lists many values, tests/unit/account/test_profile.py has them all. Here one of each kind goes through a
login."""

from __future__ import annotations

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError

from social_bitbucket_server.transport import DOCUMENT_LIMIT
from tests.flask_app import database
from tests.flask_app.models import User, models
from tests.scripted_server import Reply
from tests.security.rows import row
from tests.security.world import (
    ALICE,
    JSON,
    MALLORY,
    PROPERTIES,
    USERS,
    WHOAMI,
    everywhere,
    on_every_database,
    person,
    with_integrations_in_a_database,
)

ALICES_RECORD = f"{USERS}/alice"


def says(body: str, status: int = 200) -> Reply:
    """An answer in JSON, as it stands."""
    return Reply(body, status, [JSON])


def alice_with(field: str, value: str) -> Reply:
    """Alice's record, with a *value* that is written as it stands; ``...`` leaves the field out."""
    record = {name: json.dumps(known) for name, known in ALICE.items()}
    record[field] = value
    return says("{" + ",".join(f'"{name}":{text}' for name, text in record.items() if text != "...") + "}")


def named(*names: str) -> Reply:
    """The answer to "who am I", with these X-AUSERNAME headers as they stand."""
    return Reply('{"version":"8.7.0"}', headers=[JSON, *(("X-AUSERNAME", name) for name in names)])


def numbered(*ids: str) -> Reply:
    """The answer to "who am I" for alice, with these X-AUSERID headers."""
    return Reply('{"version":"8.7.0"}', headers=[JSON, ("X-AUSERNAME", "alice"), *(("X-AUSERID", id_) for id_ in ids)])


def refused(world, status: int, expected: str, problem: str = "") -> None:
    """Alice's login ends with *status*, leaves nothing behind, and the audit log says what was *expected*."""
    with world.nothing_new():
        assert world.stranger().log_in(world.a, "alice").status == status
    assert world.last_failure() == expected
    if problem:
        assert world.events("login.failure")[-1]["problem"] == problem


@row(1)
@everywhere
def test_equal_ids_of_two_servers_are_two_people(world):
    alice, mallory = world.browser(), world.browser()
    assert alice.log_in(world.a, "alice").status == 303
    assert mallory.log_in(world.b, "mallory").status == 303
    first, second = world.users()
    assert world.identities() == {f"{world.a.namespace}:42": first.id, f"{world.b.namespace}:42": second.id}


@row(1)
def test_each_sees_their_own_organization(world):
    alice, mallory = world.browser(), world.browser()
    alice.log_in(world.a, "alice")
    mallory.log_in(world.b, "mallory")
    assert "Organization A" in alice.get(world.a.account_path).text
    assert "Organization B" in mallory.get(world.b.account_path).text
    assert len(world.events("login.success")) == 2


@row(2)
@everywhere
def test_an_equal_email_address_merges_nobody(world):
    world.browser().log_in(world.a, "alice")
    world.fb.knows(person(7, "eve", emailAddress=ALICE["emailAddress"]))
    assert world.browser().log_in(world.b, "eve").status == 303
    first, second = world.users()
    assert world.identities() == {f"{world.a.namespace}:42": first.id, f"{world.b.namespace}:7": second.id}
    # It is kept to be shown, in the one column for it; nothing says that it was verified, and nothing asks for it.
    assert first.email == second.email == ALICE["emailAddress"]


@row(3)
@everywhere
def test_whoever_has_an_email_address_first_does_not_own_it(world):
    world.fb.knows(MALLORY | {"emailAddress": ALICE["emailAddress"]})
    assert world.browser().log_in(world.b, "mallory").status == 303
    assert world.browser().log_in(world.a, "alice").status == 303
    mallory, alice = world.users()
    assert world.identities() == {f"{world.b.namespace}:42": mallory.id, f"{world.a.namespace}:42": alice.id}


@row(4)
@everywhere
def test_an_equal_name_merges_nobody(world):
    world.browser().log_in(world.a, "alice")
    world.fb.knows(person(9, "alice", displayName="Alice CEO"))
    assert world.browser().log_in(world.b, "alice").status == 303
    alice, impostor = world.users()
    assert world.identities() == {f"{world.a.namespace}:42": alice.id, f"{world.b.namespace}:9": impostor.id}


@row(4)
def test_equal_names_are_two_people_and_the_page_says_where(world):
    world.browser().log_in(world.a, "alice")
    world.fb.knows(person(9, "alice", displayName="Alice CEO"))
    impostor = world.browser()
    assert impostor.log_in(world.b, "alice").status == 303
    first, second = world.users()
    assert (first.username, second.username) == ("alice", "alice")
    assert (first.organization_id, second.organization_id) == (world.a.organization_id, world.b.organization_id)
    page = impostor.get(world.b.account_path).text
    assert "You are logged in to Organization B as Alice CEO." in page
    assert f"alice at {world.fb.url}" in page


@row(5)
@everywhere
def test_one_server_in_two_organizations_makes_two_people(world):
    other = world.make_place("c", world.fa)
    assert world.browser().log_in(world.a, "alice").status == 303
    assert world.browser().log_in(other, "alice").status == 303
    first, second = world.users()
    assert world.a.namespace != other.namespace
    assert world.identities() == {f"{world.a.namespace}:42": first.id, f"{other.namespace}:42": second.id}


@row(5)
def test_each_session_sees_its_own_organization_alone(world):
    other = world.make_place("c", world.fa)
    at_a, at_c = world.browser(), world.browser()
    at_a.log_in(world.a, "alice")
    at_c.log_in(other, "alice")
    assert (at_a.get(world.a.account_path).status, at_a.get(other.account_path).status) == (200, 404)
    assert (at_c.get(other.account_path).status, at_c.get(world.a.account_path).status) == (200, 404)


@row(6)
@everywhere
def test_nothing_but_a_positive_integer_is_an_id(world):
    for value, failure in (("...", "missing_claim(id)"), ("NaN", "malformed_response"), ('"42"', "invalid_claim(id)")):
        world.fa.scripts[ALICES_RECORD] = alice_with("id", value)
        refused(world, 502, f"AuthResponseError/{failure}")
    world.fa.scripts[ALICES_RECORD] = alice_with("id", str(2**63 - 1))
    assert world.browser().log_in(world.a, "alice").status == 303
    assert list(world.identities()) == [f"{world.a.namespace}:{2**63 - 1}"]


@row(7)
@everywhere
def test_a_record_with_two_ids_is_refused(world):
    rest = json.dumps({name: value for name, value in ALICE.items() if name != "id"}).removeprefix("{")
    world.fa.scripts[ALICES_RECORD] = says('{"id":42,"id":43,' + rest)
    refused(world, 502, "AuthResponseError/malformed_response")


@row(8)
@everywhere
def test_a_new_person_who_is_inactive_is_refused(world):
    world.fa.knows(ALICE | {"active": False})
    refused(world, 403, "AuthPolicyError/authentication_disallowed", problem="account_inactive")
    assert not world.events("user.disabled")


@row(8)
@with_integrations_in_a_database
def test_a_known_person_who_became_inactive_is_disabled_and_logged_out(world):
    browsers = [world.browser(), world.browser()]
    for browser in browsers:
        browser.log_in(world.a, "alice")
    world.fa.knows(ALICE | {"active": False})
    refused(world, 403, "AuthPolicyError/authentication_disallowed", problem="account_inactive")
    (alice,) = world.users()
    assert [str(line["user_id"]) for line in world.events("user.disabled")] == [str(alice.id)]
    assert not any(browser.get(world.a.account_path).status == 200 for browser in browsers)
    # Bitbucket alone does not let somebody in again; an admin does.
    world.fa.knows(ALICE)
    with world.nothing_new():
        assert world.browser().log_in(world.a, "alice").status == 403
    assert world.events("login.failure")[-1]["problem"] == world.problem_of_disabled


@row(8)
@everywhere
def test_an_inactive_account_disables_nobody_of_another_server(world):
    alice = world.browser()
    alice.log_in(world.a, "alice")
    world.fb.knows(MALLORY | {"active": False})
    assert world.browser().log_in(world.b, "mallory").status == 403
    assert alice.get(world.a.account_path).status == 200


@row(8)
@everywhere
def test_an_empty_refusal_disables_nobody(world):
    """It does not say who is meant."""
    alice = world.browser()
    alice.log_in(world.a, "alice")
    world.fa.scripts[PROPERTIES] = Reply("", 401)
    refused(world, 403, "AuthPolicyError/authentication_disallowed", problem="account_not_admitted")
    assert alice.get(world.a.account_path).status == 200


@row(9)
@everywhere
def test_active_is_true_or_false_and_nothing_else(world):
    for value, code in (("...", "missing_claim"), ('"true"', "invalid_claim")):
        world.fa.scripts[ALICES_RECORD] = alice_with("active", value)
        refused(world, 502, f"AuthResponseError/{code}(active)")


@row(10)
@everywhere
def test_only_people_log_in(world):
    world.fa.scripts[ALICES_RECORD] = alice_with("type", '"SERVICE"')
    refused(world, 403, "AuthPolicyError/authentication_disallowed", problem="account_not_a_person")
    world.fa.scripts[ALICES_RECORD] = alice_with("type", "...")
    refused(world, 502, "AuthResponseError/missing_claim(type)")
    world.fa.scripts[ALICES_RECORD] = alice_with("type", '"NORMAL"')
    assert world.browser().log_in(world.a, "alice").status == 303


@row(11)
@everywhere
def test_the_record_is_that_of_the_authenticated_name(world):
    admin = person(1, "admin", slug="alice")
    world.fa.scripts[ALICES_RECORD] = says(json.dumps(admin))
    for found in ([admin], [ALICE, ALICE | {"id": 43}, admin]):
        world.fa.scripts[USERS] = says(json.dumps({"values": found, "isLastPage": True}))
        refused(world, 502, "AuthResponseError/invalid_claim(name)")
    world.fa.scripts[USERS] = says(json.dumps({"values": [admin, ALICE], "isLastPage": True}))
    assert world.browser().log_in(world.a, "alice").status == 303
    assert list(world.identities()) == [f"{world.a.namespace}:42"]


@row(12)
@everywhere
def test_an_answer_that_names_nobody_logs_nobody_in(world):
    world.fa.scripts[PROPERTIES] = named()
    world.fa.scripts[WHOAMI] = Reply("")
    refused(world, 502, "AuthResponseError/missing_claim(X-AUSERNAME)")
    assert not [path for path in world.fa.paths() if path.startswith(USERS)]


@row(12)
@everywhere
def test_whoami_helps_where_a_proxy_takes_the_header_away(world):
    world.fa.scripts[PROPERTIES] = named()
    world.fa.scripts[WHOAMI] = Reply("alice")
    assert world.browser().log_in(world.a, "alice").status == 303
    assert list(world.identities()) == [f"{world.a.namespace}:42"]


@row(13)
@everywhere
def test_two_names_are_none(world):
    world.fa.scripts[PROPERTIES] = named("alice", "admin")
    refused(world, 502, "AuthResponseError/invalid_claim(X-AUSERNAME)")
    assert not [path for path in world.fa.paths() if path.startswith(USERS)]


@row(119)
@everywhere
def test_the_number_in_the_header_is_that_of_the_profile(world):
    for ids in (["43"], ["42", "43"], [""], ["042"]):
        world.fa.scripts[PROPERTIES] = numbered(*ids)
        refused(world, 502, "AuthResponseError/invalid_claim(X-AUSERID)")
    world.fa.scripts[PROPERTIES] = numbered("42")
    assert world.browser().log_in(world.a, "alice").status == 303


@row(119)
@everywhere
def test_nobody_is_disabled_for_anothers_number(world):
    assert world.browser().log_in(world.a, "alice").status == 303
    world.fa.knows({**ALICE, "active": False})
    world.fa.scripts[PROPERTIES] = numbered("43")
    refused(world, 502, "AuthResponseError/invalid_claim(X-AUSERID)")
    world.fa.knows(ALICE)
    world.fa.scripts.clear()
    assert world.browser().log_in(world.a, "alice").status == 303


@row(14)
@everywhere
def test_a_name_never_becomes_another_path(world):
    for name in ("../../x", "a%0d%0ab"):
        world.fa.scripts[PROPERTIES] = named(name)
        refused(world, 502, "AuthResponseError/invalid_claim(X-AUSERNAME)")
    assert not [path for path in world.fa.paths() if path.startswith(USERS)]
    name = "m?x=é#f"
    world.fa.scripts[PROPERTIES] = named(quote(name))
    with world.nothing_new():
        assert world.stranger().log_in(world.a, "alice").status == 502
    asked = [request.target for request in world.fa.received if request.path.startswith(f"{USERS}/")]
    assert asked == [f"{USERS}/{quote(name, safe='')}?avatarSize=48"]


@row(14)
@everywhere
def test_a_name_that_is_no_slug_is_searched_for(world):
    world.fa.knows(person(44, "alice@corp", slug="alice_corp"))
    world.fa.knows(person(45, "alice@corp.example"))
    assert world.browser().log_in(world.a, "alice@corp").status == 303
    assert world.fa.count(f"{USERS}/alice%40corp") == world.fa.count(USERS) == 1
    assert list(world.identities()) == [f"{world.a.namespace}:44"]


MUTABLE = {"username", "email", "display_name"}


@row(15)
def test_no_other_field_reaches_the_person(world):
    world.browser().log_in(world.a, "alice")
    (before,) = world.users()
    injected = {"is_admin": True, "is_owner": True, "role": "owner", "org_id": world.b.organization_id}
    injected |= {"organization_id": world.b.organization_id, "session_epoch": 0, "password": "x", "password_hash": "x"}
    injected |= {"disabled_at": None, "created_at": "2000-01-01T00:00:00Z", "user_id": 1}
    world.fa.knows(ALICE | injected | {"id": 42, "displayName": "Alice B."})
    assert world.browser().log_in(world.a, "alice").status == 303
    (after,) = world.users()
    for column in User.__table__.columns:
        if column.key not in MUTABLE:
            assert getattr(after, column.key) == getattr(before, column.key), column.key
    assert after.display_name == "Alice B."


@row(15)
def test_the_fields_do_not_reach_a_new_person_either(world):
    world.fa.knows(
        ALICE | {"is_owner": True, "role": "owner", "organization_id": world.b.organization_id, "password": "x"}
    )
    assert world.browser().log_in(world.a, "alice").status == 303
    (alice,) = world.users()
    assert (alice.is_owner, alice.password_hash, alice.organization_id) == (False, None, world.a.organization_id)


@row(15)
@everywhere
def test_nobody_becomes_more_than_a_person_by_what_a_server_says(world):
    powers = ("is_staff", "is_superuser", "is_admin", "is_owner", "is_active_admin")
    world.fa.knows(ALICE | dict.fromkeys(powers, True) | {"password": "x", "groups": [1], "user_permissions": [1]})
    assert world.browser().log_in(world.a, "alice").status == 303
    (alice,) = world.users()
    assert [power for power in powers if getattr(alice, power, False)] == []
    assert not (getattr(alice, "has_usable_password", None) and alice.has_usable_password())


@row(16)
@everywhere
def test_injected_tokens_are_kept_nowhere(world):
    world.fa.knows(ALICE | {"access_token": "INJECTED", "partial_token": "INJECTED", "refresh_token": "INJECTED"})
    assert world.browser().log_in(world.a, "alice").status == 303
    assert "INJECTED" not in world.everything_stored()


@row(17)
def test_display_names_are_cleaned(world):
    for raw, shown in ((r'"a\u0000b"', "ab"), (r'"\u202eb\u202da"', "ba"), (r'"\u202e"', "alice")):
        world.fa.scripts[ALICES_RECORD] = alice_with("displayName", raw)
        assert world.browser().log_in(world.a, "alice").status == 303
        (alice,) = world.users()
        assert alice.display_name == shown


@row(17)
@everywhere
def test_what_is_no_display_name_is_refused(world):
    world.fa.scripts[ALICES_RECORD] = alice_with("displayName", r'"\ud800"')
    refused(world, 502, "AuthResponseError/malformed_response")
    world.fa.scripts[ALICES_RECORD] = alice_with("displayName", '["x"]')
    refused(world, 502, "AuthResponseError/invalid_claim(displayName)")


@row(17)
def test_a_display_name_is_kept_as_it_is_and_shown_escaped(world):
    name = "<script>alert(1)</script>"
    world.fa.knows(ALICE | {"displayName": name})
    browser = world.browser()
    browser.log_in(world.a, "alice")
    (alice,) = world.users()
    assert alice.display_name == name
    page = browser.get(world.a.account_path).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


@row(17)
def test_a_long_display_name_is_cut(world):
    """A name of 1 MB cannot arrive, because answers end at 64 KiB; so this is the longest one that does."""
    empty = len(json.dumps(ALICE | {"displayName": ""}))
    longest = ALICE | {"displayName": "x" * (DOCUMENT_LIMIT - empty)}
    assert len(json.dumps(longest)) == DOCUMENT_LIMIT
    world.fa.knows(longest)
    assert world.browser().log_in(world.a, "alice").status == 303
    (alice,) = world.users()
    assert alice.display_name == "x" * 255
    world.fa.knows(ALICE | {"displayName": "x" * 1_000_000})
    refused(world, 502, "AuthResponseError/malformed_response")


@row(18)
@on_every_database
def test_two_first_logins_at_once_make_one_person(world):
    browsers = [world.browser(), world.browser()]
    callbacks = []
    for browser in browsers:
        token, verifier = world.fa.authorize(browser.begin(world.a).location, "alice")
        callbacks.append(world.a.callback(oauth_token=token, oauth_verifier=verifier))
    barrier = threading.Barrier(2)

    def wait_for_the_other(*_: object) -> None:
        """Both have seen that there is no such identity, and neither has inserted anything."""
        barrier.wait(timeout=60)

    event.listen(models.storage.user, "init", wait_for_the_other)
    try:
        with ThreadPoolExecutor(2) as threads:
            pages = list(threads.map(lambda pair: pair[0].get(pair[1]), zip(browsers, callbacks, strict=True)))
    finally:
        event.remove(models.storage.user, "init", wait_for_the_other)
    assert [page.status for page in pages] == [303, 303]
    (alice,) = world.users()
    assert world.identities() == {f"{world.a.namespace}:42": alice.id}
    assert [browser.get(world.a.account_path).status for browser in browsers] == [200, 200]
    assert len(world.events("user.created")) == len(["owner of A", "owner of B", "alice"])


@row(18)
@everywhere
def test_who_looked_before_the_other_one_wrote_goes_on_as_the_same_person(world, monkeypatch):
    late, early = world.browser(), world.browser()
    begun = late.begin(world.a)
    assert early.log_in(world.a, "alice").status == 303
    finder, name = world.identity_finder
    find, looks = getattr(finder, name), []

    def find_nobody_at_first(*arguments, **options):
        looks.append(arguments)
        return None if len(looks) == 1 else find(*arguments, **options)

    monkeypatch.setattr(finder, name, find_nobody_at_first)
    assert late.finish(world.a, begun, "alice").status == 303
    assert len(looks) > 1
    (alice,) = world.users()
    assert world.identities() == {f"{world.a.namespace}:42": alice.id}
    assert [browser.get(world.a.account_path).status for browser in (late, early)] == [200, 200]


# Renaming and re-creating accounts in Bitbucket


def test_the_same_id_under_a_new_name_is_the_same_person_with_the_new_name(world):
    world.browser().log_in(world.a, "alice")
    world.fa.people.clear()
    world.fa.knows(person(42, "alice.smith"))
    assert world.browser().log_in(world.a, "alice.smith").status == 303
    (alice,) = world.users()
    assert (alice.username, alice.display_name) == ("alice.smith", "Alice.Smith")
    (line,) = world.events("user.renamed")
    assert line["user_id"] == alice.id
    assert "alice" not in json.dumps(line)
    world.browser().log_in(world.a, "alice.smith")
    assert len(world.events("user.renamed")) == 1


def test_a_new_name_that_somebody_else_has_gets_a_number(world):
    world.browser().log_in(world.a, "alice")
    world.fa.knows(person(43, "bob"))
    world.browser().log_in(world.a, "bob")
    world.fa.people.clear()
    world.fa.knows(person(42, "bob"))
    assert world.browser().log_in(world.a, "bob").status == 303
    assert [user.username for user in world.users()] == ["bob-2", "bob"]
    assert world.browser().log_in(world.a, "bob").status == 303
    assert len(world.events("user.renamed")) == 1, "the number is ours, not a new name"


def test_the_same_name_under_a_new_id_is_another_person(world):
    world.browser().log_in(world.a, "alice")
    world.fa.knows(ALICE | {"id": 77})
    assert world.browser().log_in(world.a, "alice").status == 303
    first, second = world.users()
    assert world.identities() == {f"{world.a.namespace}:42": first.id, f"{world.a.namespace}:77": second.id}
    assert (first.username, second.username) == ("alice", "alice-2")
    assert not world.events("user.renamed")


@row(1)
@everywhere
def test_identities_are_namespaces_and_numbers(world):
    world.browser().log_in(world.a, "alice")
    world.browser().log_in(world.b, "mallory")
    for uid in world.identities():
        assert re.fullmatch(r"[0-9a-f]{32}:[1-9][0-9]{0,18}", uid)


@row(18)
def test_the_database_itself_refuses_a_second_identity(world):
    world.browser().log_in(world.a, "alice")
    with world.context():
        known = database.session.query(models.storage.user).one()
        twin = models.storage.user(
            user=known.user, provider=known.provider, uid=known.uid, integration_id=known.integration_id, name="x"
        )
        with pytest.raises(IntegrityError), database.session.begin_nested():
            database.session.add(twin)
