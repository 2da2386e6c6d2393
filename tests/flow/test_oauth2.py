"""OAuth 2: an integration for it, the upgrade of one that people log in through, and back."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import select

from social_bitbucket_server.login import LIFETIME
from social_bitbucket_server.sandbox import Sandbox
from social_bitbucket_server.sandbox.state.external_applications import ExternalApplication
from social_bitbucket_server.sqlalchemy.organizations import clock
from tests.capabilities import capability
from tests.flask_app import database
from tests.flask_app.models import User, models
from tests.flow.site import Site, log_in, on_every_database
from tests.visitor import Page, Visitor

BEGIN_BY_OAUTH2 = {"oauth": "2"}


def link_oauth2(owner: Visitor, path: str, sandbox: Sandbox) -> ExternalApplication:
    """Make the link from the worksheet of the integration at *path*."""
    page = owner.get(f"{path}/oauth2")
    return sandbox.link_external_application(redirect_url=page.value_of("Redirect URL"), name=page.value_of("Name"))


def enter(owner: Visitor, path: str, client_id: str, client_secret: str) -> Page:
    return owner.post(f"{path}/oauth2", client_id=client_id, client_secret=client_secret)


def prepare_upgrade(owner: Visitor, path: str, sandbox: Sandbox) -> ExternalApplication:
    """Link the sandbox by OAuth 2, too, and enter its credentials."""
    link = link_oauth2(owner, path, sandbox)
    assert enter(owner, path, link.client_id, link.client_secret).status == 303
    return link


def people_of(site: Site) -> list[tuple[object, ...]]:
    return site.rows(models.storage.user.uid, models.storage.user.user_id)


def ways(site: Site) -> list[str]:
    with site.app.app_context():
        return [
            " and ".join(record.ways)
            for record in database.session.scalars(select(models.integration).order_by(models.integration.number))
        ]


def events(site: Site, name: str) -> int:
    return site.rows(models.event.event).count((name,))


@pytest.fixture
def upgrading(owner: Visitor, acme: str, upgraded_sandbox: Sandbox) -> str:
    """Acme's integration while both ways work."""
    prepare_upgrade(owner, acme, upgraded_sandbox)
    return acme


@pytest.fixture
def upgraded_sandbox(sandbox: Sandbox) -> Sandbox:
    """Return the same Bitbucket after its own upgrade, with the same people and links, and now with OAuth 2."""
    sandbox.faults.version = "8.19.0"
    return sandbox


# An integration for OAuth 2 from the beginning


@pytest.fixture
def new(site: Site, other_sandbox: Sandbox) -> tuple[Visitor, str]:
    """An owner, and the page of an integration that was added for OAuth 2."""
    owner = site.visitor()
    owner.create_organization("globex")
    page = owner.post(
        "/o/globex/settings/integrations/add",
        name="Bitbucket",
        base_url=other_sandbox.url,
        oauth_version="2",
    )
    assert page.status == 303
    assert page.location.endswith("/bitbucket")
    return owner, page.location.removesuffix("/bitbucket")


@capability("oauth 2")
@on_every_database
def test_people_log_in_through_an_integration_that_was_added_for_oauth_2(
    site: Site, other_sandbox: Sandbox, new: tuple[Visitor, str]
) -> None:
    owner, path = new
    link = prepare_upgrade(owner, path, other_sandbox)
    jane = site.visitor()
    assert log_in(jane, path, other_sandbox).status == 303
    assert "Jane Doe" in jane.get("/o/globex/account").words
    assert "1 person of Globex logs in through it." in owner.get(path).words
    assert link.client_id in owner.get(path).words
    assert ways(site) == ["2"]


def test_pages_announce_the_scope_that_is_asked_for(
    site: Site, other_sandbox: Sandbox, new: tuple[Visitor, str]
) -> None:
    owner, path = new
    prepare_upgrade(owner, path, other_sandbox)
    assert (
        "permission to view public projects and repositories." in owner.get("/o/globex/settings/integrations/add").words
    )
    owner.post(f"{path}/test", path)
    for words, scope in (
        ("view public projects and repositories", "PUBLIC_REPOS"),
        ("view projects and repositories", "REPO_READ"),
    ):
        assert f"Demo App would like to {words} ." in owner.get(f"{path}/share").words
        page = site.visitor().get("/o/globex/login").words
        assert f"Bitbucket will ask you Demo App would like to {words} . Bitbucket may use other words." in page
        begun = site.visitor().begin(path)
        assert parse_qs(urlsplit(begun.location).query)["scope"] == [scope]
        owner.let_in(path, ("project", "WEB"))


def test_a_scope_that_is_none_leaves_the_login_page_as_it_is(
    site: Site, other_sandbox: Sandbox, new: tuple[Visitor, str]
) -> None:
    owner, path = new
    prepare_upgrade(owner, path, other_sandbox)
    site.app.config["SOCIAL_AUTH_BITBUCKET_SERVER_OAUTH2_SCOPE"] = "REPO_READ"
    assert "Demo App would like to access your account" in site.visitor().get("/o/globex/login").words


def test_during_the_upgrade_the_login_page_names_both_questions(site: Site, upgrading: str) -> None:
    words = site.visitor().get("/o/acme/login").words
    assert "to have read and write access to your account , or to view public projects and repositories ." in words


def test_it_has_the_worksheet_of_an_external_application_and_no_key_pair(new: tuple[Visitor, str]) -> None:
    owner, path = new
    words = owner.worksheet(path).words
    for part in ("External application", "Incoming", "Name", "Redirect URL", "Repositories: Read", "Client secret"):
        assert part in words
    text = owner.get(f"{path}/worksheet.txt").text
    assert "Redirect URL = " in text
    assert "Public Key" not in owner.get(path).words
    assert owner.post(f"{path}/key-pair", f"{path}/edit").status == 404
    assert owner.get(f"{path}/link.sh").status == 404


def test_before_its_credentials_are_there_nobody_can_log_in_and_its_page_says_what_is_next(
    site: Site, new: tuple[Visitor, str]
) -> None:
    owner, path = new
    assert "Log in with Bitbucket" not in site.visitor().get("/o/globex/login").words
    begin = f"/o/globex/login/{path.rpartition('/')[2]}/begin"
    assert site.visitor().post(begin, "/o/globex/login/owner").status == 404
    assert "It waits for its client ID and client secret." in owner.get(path).words
    assert owner.post(f"{path}/test", path).status == 404


def test_a_set_up_link_shows_the_worksheet_of_oauth_2_and_where_its_credentials_go(
    site: Site, other_sandbox: Sandbox, new: tuple[Visitor, str]
) -> None:
    owner, path = new
    address = owner.post(f"{path}/setup-link", path).value_of("Set-up link").removeprefix(site.origin)
    page = site.visitor().get(address)
    assert page.value_of("Redirect URL").endswith(f"/complete/bitbucket-server-oauth2/{path.rpartition('/')[2]}/")
    assert "So you need not send it by e-mail or chat." in page.words
    assert "link.sh" not in page.words
    assert site.visitor().get(f"{address}/link.sh").status == 404
    assert site.visitor().post(f"{address}/test", "/o/globex/login/owner").status == 404
    prepare_upgrade(owner, path, other_sandbox)
    assert "Bitbucket knows the client ID" in site.visitor().post(f"{address}/test", address).words


@pytest.mark.parametrize(
    ("client_id", "client_secret", "says"),
    [
        ("", "secret", "Copy the Client ID from Bitbucket."),
        ("id", "", "Copy the Client secret from Bitbucket."),
        ("two words", "secret", "Copy it once more"),
        ("id", "s" * 256, "Copy it once more"),
    ],
)
def test_what_is_no_credential_is_explained_and_nothing_is_kept(
    site: Site, new: tuple[Visitor, str], client_id: str, client_secret: str, says: str
) -> None:
    owner, path = new
    page = enter(owner, path, client_id, client_secret)
    assert page.status == 422
    assert says in page.words
    assert not client_secret or f'value="{client_secret}"' not in page.text
    assert site.rows(models.client_credentials.id) == []


def test_the_client_secret_rests_sealed_and_is_never_shown(
    site: Site, other_sandbox: Sandbox, new: tuple[Visitor, str]
) -> None:
    owner, path = new
    link = prepare_upgrade(owner, path, other_sandbox)
    ((sealed,),) = site.rows(models.client_credentials.sealed_client_secret)
    assert str(sealed).startswith("v1.")
    assert link.client_secret not in str(sealed)
    for page in (path, f"{path}/oauth2", f"{path}/edit", f"{path}/worksheet.txt"):
        assert link.client_secret not in owner.get(page).text


def test_a_client_secret_opens_in_no_other_row(site: Site, other_sandbox: Sandbox, new: tuple[Visitor, str]) -> None:
    owner, path = new
    prepare_upgrade(owner, path, other_sandbox)
    with site.app.app_context():
        credentials = database.session.scalars(select(models.client_credentials)).one()
        credentials.id = "0" * 24
        database.session.commit()
    assert site.visitor().begin(path).status == 503


def test_only_the_owner_of_the_organization_sees_and_changes_oauth_2(
    site: Site, upgrading: str, sandbox: Sandbox
) -> None:
    stranger, jane = site.visitor(), site.visitor()
    stranger.create_organization("globex")
    log_in(jane, upgrading, sandbox)
    for visitor in (stranger, jane):
        token = visitor.get("/o/globex/account" if visitor is stranger else "/o/acme/account").csrf_token
        assert visitor.get(f"{upgrading}/oauth2").status == 404
        sent = {"csrf_token": token, "client_id": "x", "client_secret": "y"}
        assert visitor.send(f"{upgrading}/oauth2", **sent).status == 404
        assert visitor.send(f"{upgrading}/oauth2/go-back", **sent).status == 404
    assert ways(site) == ["1 and 2"]


# The upgrade


@capability("upgrade")
@on_every_database
def test_everybody_is_the_same_person_before_during_and_after_the_upgrade(
    site: Site, sandbox: Sandbox, owner: Visitor, acme: str, upgraded_sandbox: Sandbox
) -> None:
    names = ("jane", "jo@example")
    for name in names:
        assert log_in(site.visitor(), acme, sandbox, name).status == 303
    before = people_of(site)
    assert len(before) == 2

    prepare_upgrade(owner, acme, upgraded_sandbox)
    assert log_in(site.visitor(), acme, sandbox, "jane").status == 303
    assert ways(site) == ["1 and 2"]
    assert log_in(site.visitor(), acme, sandbox, "jo@example", **BEGIN_BY_OAUTH2).status == 303
    assert ways(site) == ["2"]
    for name in names:
        assert log_in(site.visitor(), acme, sandbox, name).status == 303
    assert people_of(site) == before
    assert site.rows(models.storage.user.provider) == [("bitbucket-server-oauth2",)] * 2

    assert owner.post(f"{acme}/oauth2/go-back", f"{acme}/oauth2").status == 303
    assert ways(site) == ["1"]
    for name in names:
        assert log_in(site.visitor(), acme, sandbox, name).status == 303
    assert people_of(site) == before
    assert (events(site, "upgrade.prepared"), events(site, "upgrade.finished")) == (1, 1)
    assert events(site, "upgrade.abandoned") == 1


def test_both_ways_are_side_by_side_until_the_first_login_by_oauth_2(
    site: Site, sandbox: Sandbox, owner: Visitor, upgrading: str
) -> None:
    words = site.visitor().get("/o/acme/login").words
    assert words.index("Log in with Bitbucket 127.0.0.1") < words.index("Log in with Bitbucket, the new way")
    assert "OAuth 2 waits for its first login" in owner.get(upgrading).words
    log_in(site.visitor(), upgrading, sandbox, **BEGIN_BY_OAUTH2)
    assert "the new way" not in site.visitor().get("/o/acme/login").words
    assert "OAuth 2" in owner.get(upgrading).words
    assert site.visitor().begin(upgrading, oauth="1").status == 404


def test_one_who_logs_in_first_by_oauth_2_is_the_same_by_oauth_1(
    site: Site, sandbox: Sandbox, owner: Visitor, upgrading: str
) -> None:
    log_in(site.visitor(), upgrading, sandbox, "natasha", **BEGIN_BY_OAUTH2)
    before = people_of(site)
    owner.post(f"{upgrading}/oauth2/go-back", f"{upgrading}/oauth2")
    log_in(site.visitor(), upgrading, sandbox, "natasha")
    assert people_of(site) == before
    assert len(before) == 1


def test_sessions_go_on_through_the_upgrade_and_back(
    site: Site, sandbox: Sandbox, owner: Visitor, upgrading: str
) -> None:
    jane = site.visitor()
    log_in(jane, upgrading, sandbox)
    log_in(site.visitor(), upgrading, sandbox, "kim", **BEGIN_BY_OAUTH2)
    assert jane.get("/o/acme/account").status == 200
    owner.post(f"{upgrading}/oauth2/go-back", f"{upgrading}/oauth2")
    assert jane.get("/o/acme/account").status == 200


def test_a_login_by_oauth_1_that_was_under_way_is_finished_after_the_switch(
    site: Site, sandbox: Sandbox, upgrading: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_time, too_late = site.visitor(), site.visitor()
    addresses = [sandbox.authorize(visitor.begin(upgrading).location) for visitor in (in_time, too_late)]
    log_in(site.visitor(), upgrading, sandbox, "kim", **BEGIN_BY_OAUTH2)
    assert in_time.get(addresses[0]).status == 303
    later = clock.now() + timedelta(seconds=LIFETIME + 1)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert too_late.get(addresses[1]).status == 404
    assert ways(site) == ["2"]


def test_wrong_credentials_leave_everybody_logging_in_by_oauth_1(
    site: Site, sandbox: Sandbox, owner: Visitor, acme: str, upgraded_sandbox: Sandbox
) -> None:
    link = link_oauth2(owner, acme, upgraded_sandbox)
    enter(owner, acme, link.client_id, "wrong")
    tested = owner.post(f"{acme}/test", f"{acme}/oauth2", oauth="2")
    assert "failed" in tested.words
    assert log_in(site.visitor(), acme, sandbox, **BEGIN_BY_OAUTH2).status == 503
    assert ways(site) == ["1 and 2"]
    assert log_in(site.visitor(), acme, sandbox).status == 303


def test_the_check_up_by_oauth_2_goes_up_to_the_credentials_and_does_not_touch_the_state(
    site: Site, sandbox: Sandbox, owner: Visitor, upgrading: str
) -> None:
    log_in(site.visitor(), upgrading, sandbox)
    tested = owner.post(f"{upgrading}/test", f"{upgrading}/oauth2", oauth="2")
    assert "Bitbucket knows the client ID and accepts the client secret" in tested.words
    assert "Bitbucket 8.19.0" in tested.words
    assert "Trial login : next" in tested.words, "nobody has logged in by OAuth 2"
    assert events(site, "upgrade.tested") == 1
    assert "Working" in owner.get(upgrading).words


def test_a_trial_by_oauth_2_logs_nobody_in_and_does_not_end_oauth_1(
    site: Site, sandbox: Sandbox, owner: Visitor, upgrading: str
) -> None:
    begun = owner.post(f"{upgrading}/try", f"{upgrading}/oauth2", oauth="2")
    result = owner.get(owner.get(sandbox.authorize(begun.location, user="jane")).location)
    assert "Bitbucket says that you are Jane Doe." in result.words
    assert people_of(site) == []
    assert ways(site) == ["1 and 2"]


def test_new_credentials_take_the_place_of_the_old_ones_also_for_logins_under_way(
    site: Site, sandbox: Sandbox, owner: Visitor, upgrading: str
) -> None:
    log_in(site.visitor(), upgrading, sandbox, **BEGIN_BY_OAUTH2)
    link = sandbox.link_external_application(
        redirect_url=owner.get(f"{upgrading}/oauth2").value_of("Redirect URL"), name="Another"
    )
    assert enter(owner, upgrading, link.client_id, link.client_secret).status == 303
    assert log_in(site.visitor(), upgrading, sandbox).status == 303
    assert len(site.rows(models.client_credentials.id)) == 1


def test_before_bitbucket_has_oauth_2_the_page_says_so(owner: Visitor, sandbox: Sandbox, acme: str) -> None:
    owner.post(f"{acme}/test", acme)
    assert "This is Bitbucket 7.6. OAuth 2 came with Bitbucket 7.20" in owner.get(f"{acme}/oauth2").words
    assert "Recommended" not in owner.get(acme).words
    sandbox.faults.version = "8.19.0"
    owner.post(f"{acme}/test", acme)
    assert "Recommended" in owner.get(acme).words


def test_the_page_says_how_many_people_keep_their_accounts(
    site: Site, sandbox: Sandbox, owner: Visitor, acme: str
) -> None:
    for name in ("jane", "kim"):
        log_in(site.visitor(), acme, sandbox, name)
    assert "Nobody loses their account (2 people so far)" in owner.get(f"{acme}/oauth2").words


# The way back


@capability("upgrade")
def test_calling_the_upgrade_off_erases_the_client_secret(site: Site, owner: Visitor, upgrading: str) -> None:
    assert owner.post(f"{upgrading}/oauth2/go-back", f"{upgrading}/oauth2").status == 303
    assert site.rows(models.client_credentials.id) == []
    assert ways(site) == ["1"]
    assert owner.post(f"{upgrading}/oauth2/go-back", f"{upgrading}/oauth2").location == f"{upgrading}/oauth2"


def test_there_is_no_way_back_where_bitbucket_does_not_accept_oauth_1_any_more(
    site: Site, sandbox: Sandbox, owner: Visitor, upgrading: str
) -> None:
    log_in(site.visitor(), upgrading, sandbox, **BEGIN_BY_OAUTH2)
    for link in list(sandbox.links.all()):
        sandbox.links.remove(link.id)
    page = owner.post(f"{upgrading}/oauth2/go-back", f"{upgrading}/oauth2")
    assert page.status == 422
    assert "Bitbucket does not accept OAuth 1." in page.words
    assert "Nothing has changed" in page.words
    assert ways(site) == ["2"]
    assert (events(site, "upgrade.not_abandoned"), events(site, "upgrade.abandoned")) == (1, 0)
    shown = owner.get("/o/acme/settings/events").words
    assert "Bitbucket did not accept OAuth 1 any more, so people go on with OAuth 2" in shown
    assert "Bitbucket does not know the consumer key" in shown
    assert log_in(site.visitor(), upgrading, sandbox).status == 303


@pytest.mark.parametrize("link", ["same", "new"])
def test_the_way_back_is_open_where_bitbucket_has_the_key_pair_that_waits(
    site: Site, sandbox: Sandbox, owner: Visitor, upgrading: str, link: str
) -> None:
    (old,) = (known for known in sandbox.links.all() if known.consumer is not None)
    owner.post(f"{upgrading}/key-pair", f"{upgrading}/key-pair", link=link)
    log_in(site.visitor(), upgrading, sandbox, **BEGIN_BY_OAUTH2)
    with site.app.app_context():
        pair = database.session.scalars(select(models.key_pair).where(models.key_pair.stored_state == "pending")).one()
    sandbox.links.remove(old.id)
    sandbox.link(consumer_key=pair.consumer_key, public_key=pair.public_key)
    assert owner.post(f"{upgrading}/oauth2/go-back", f"{upgrading}/oauth2").status == 303
    assert ways(site) == ["1"]
    assert ("active", pair.public_key) in site.rows(models.key_pair.stored_state, models.key_pair.public_key)
    assert events(site, "key.promoted") == 1
    asked = len(sandbox.requests)
    assert log_in(site.visitor(), upgrading, sandbox).status == 303
    begun = [record for record in list(sandbox.requests)[asked:] if record.path.endswith("/request-token")]
    assert len(begun) == 1, "the new key pair is in use"


def test_a_key_pair_that_waits_is_kept_where_bitbucket_has_neither(
    site: Site, sandbox: Sandbox, owner: Visitor, upgrading: str
) -> None:
    owner.post(f"{upgrading}/key-pair", f"{upgrading}/key-pair", link="new")
    log_in(site.visitor(), upgrading, sandbox, **BEGIN_BY_OAUTH2)
    for known in list(sandbox.links.all()):
        sandbox.links.remove(known.id)
    assert owner.post(f"{upgrading}/oauth2/go-back", f"{upgrading}/oauth2").status == 422
    assert site.rows(models.key_pair.stored_state) == [("active",), ("pending",)]


def test_a_login_by_oauth_2_that_was_under_way_is_refused_after_going_back(
    site: Site, sandbox: Sandbox, owner: Visitor, upgrading: str
) -> None:
    jane = site.visitor()
    begun = jane.begin(upgrading, **BEGIN_BY_OAUTH2)
    owner.post(f"{upgrading}/oauth2/go-back", f"{upgrading}/oauth2")
    assert jane.get(sandbox.authorize(begun.location)).status == 404
    assert ways(site) == ["1"]
    assert site.rows(User.username) == [("owner",)]
    assert jane.get("/o/acme/account").status == 303


# What both have in common


def test_a_disabled_integration_refuses_both_ways(site: Site, sandbox: Sandbox, owner: Visitor, upgrading: str) -> None:
    jane = site.visitor()
    begun = jane.begin(upgrading, **BEGIN_BY_OAUTH2)
    answer = sandbox.authorize(begun.location)
    owner.post(f"{upgrading}/disable")
    assert jane.get(answer).status == 404
    assert site.visitor().get("/o/acme/login").words.count("Log in with Bitbucket") == 0


def test_declining_by_oauth_2_comes_back_to_the_login_page(site: Site, sandbox: Sandbox, upgrading: str) -> None:
    jane = site.visitor()
    begun = jane.begin(upgrading, **BEGIN_BY_OAUTH2)
    answer = jane.get(sandbox.authorize(begun.location, allow=False))
    assert answer.location == "/o/acme/login?e=declined"
    assert ways(site) == ["1 and 2"]


def test_a_person_connects_an_account_by_oauth_2(
    site: Site, sandbox: Sandbox, acme: str, owner: Visitor, other_sandbox: Sandbox
) -> None:
    page = owner.post(
        "/o/acme/settings/integrations/add",
        name="Second",
        base_url=other_sandbox.url,
        oauth_version="2",
    )
    second = page.location.removesuffix("/bitbucket")
    prepare_upgrade(owner, second, other_sandbox)
    jane = site.visitor()
    log_in(jane, acme, sandbox)
    connecting = jane.post(f"/o/acme/account/connect/{second.rpartition('/')[2]}", "/o/acme/account/connect")
    assert jane.get(other_sandbox.authorize(connecting.location, user="jane")).status == 303
    assert "Your account at Second is connected" in jane.get("/o/acme/account").words
    assert len({user_id for _uid, user_id in people_of(site)}) == 1
    assert ways(site) == ["1", "2"]


@capability("resealing")
def test_the_ring_is_changed_for_client_secrets_too(site: Site, upgrading: str, sandbox: Sandbox) -> None:
    before = site.rows(models.client_credentials.sealed_client_secret)
    result = site.app.test_cli_runner().invoke(args=["bitbucket-server", "reseal"])
    assert result.exit_code == 0, result.output
    assert "2" in result.output
    assert site.rows(models.client_credentials.sealed_client_secret) == before, (
        "the ring's newest key sealed it already"
    )
