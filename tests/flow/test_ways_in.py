"""The ways into an organization: who may log in, the login link, and one integration that is enforced."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from social_bitbucket_server.sandbox import Project
from social_bitbucket_server.sqlalchemy.organizations.ways_in import WaysIn
from tests.capabilities import capability
from tests.flask_app.models import models
from tests.flow.site import connect, log_in, on_every_database

LOGIN = "/o/acme/settings/login"


def begin_path(integration_page):
    return f"/o/acme/login/{integration_page.rpartition('/')[2]}/begin"


# Who may log in


@capability("who may log in")
def test_who_is_not_among_the_chosen_sees_why_and_gets_no_account(site, owner, acme, sandbox):
    assert owner.let_in(acme, ("project", "WEB"), ("project", ""), ("project", " NONE ")).status == 303
    refused = log_in(site.visitor(), acme, sandbox, user="kim")
    assert refused.status == 403
    assert "You may not log in here" in refused.words
    assert "Kim" not in owner.get("/o/acme/settings/people").words
    assert log_in(site.visitor(), acme, sandbox, user="jane").location == "/o/acme/account"
    assert "who can see WEB, or who can see NONE" in owner.get(acme).words


def test_one_person_who_may_not_does_not_make_the_integration_failing(site, owner, acme, sandbox):
    log_in(site.visitor(), acme, sandbox)
    owner.let_in(acme, ("group", "developers"))
    assert log_in(site.visitor(), acme, sandbox, user="kim").status == 403
    assert "Failing" not in owner.get(acme).words


def test_a_name_that_cannot_be_any_is_refused_where_it_was_typed(owner, acme):
    page = owner.let_in(acme, ("group", "developers"), ("project", "WEB/website"))
    assert page.status == 422
    assert "Nothing is saved yet. Condition 2 : A project is named by its key, such as WEB or WEB:write." in page.words
    (wrong,) = re.findall(r'<input[^>]*aria-invalid="true"[^>]*>', page.text)
    assert 'value="WEB/website"' in wrong
    assert 'value="developers"' in page.text
    assert "Everybody with an account on this server" in owner.get(f"{acme}/who").words


def test_too_many_conditions_are_refused_together(owner, acme):
    page = owner.let_in(acme, *(("group", f"group {number}") for number in range(6)))
    assert page.status == 422
    assert "There are 6 groups, projects and repositories" in page.words
    assert "aria-invalid" not in page.text


def test_conditions_are_added_and_removed_without_scripts_and_saved_last(owner, acme):
    def shown(**fields):
        page = owner.post(f"{acme}/who", **fields)
        assert page.status == 200
        return re.findall(r'<option value="(\w+)" selected>', page.text), re.findall(
            r'<input id="name-\d+"[^>]* value="([^"]*)"', page.text
        )

    rows = {"kind": ["project", "group"], "name": ["WEB", "developers"]}
    assert shown(add="1", **rows) == (["project", "group", "group"], ["WEB", "developers", ""])
    assert shown(remove="1", **rows) == (["group"], ["developers"])
    assert shown(remove="9", **rows) == (["project", "group"], ["WEB", "developers"])
    assert "Everybody with an account on this server" in owner.get(f"{acme}/who").words, "nothing was saved"
    assert owner.post(f"{acme}/who", save="1", **rows).status == 303
    saved = owner.get(f"{acme}/who").text
    assert 'value="WEB"' in saved
    assert 'value="developers"' in saved


def test_the_trial_says_what_holds_for_the_one_who_tries(owner, acme, sandbox):
    sandbox.projects.put(Project("SECRET", "Secret"))
    sandbox.faults.groups_closed = True
    owner.let_in(acme, ("group", "developers"), ("project", "WEB"), ("project", "SECRET"))
    begun = owner.post(f"{acme}/try", acme)
    result = owner.get(owner.get(sandbox.authorize(begun.location, user="jane")).location).words
    assert "Your server does not say who is a member of developers." in result
    assert "You can see WEB." in result
    assert "You cannot see SECRET." in result
    assert "You may log in" in result
    assert "Next: give your people the login link." in result
    page = owner.get(f"{acme}/who").words
    assert "Group developers The server does not say" in page
    assert "Project WEB You can see it" in page
    assert "Project SECRET You cannot see it" in page
    owner.let_in(acme, ("project", "SECRET"))
    begun = owner.post(f"{acme}/try", acme)
    result = owner.get(owner.get(sandbox.authorize(begun.location, user="jane")).location).words
    assert "You may not log in" in result
    assert "Next:" not in result


def test_the_trial_says_which_permission_it_is_though_the_name_is_long(owner, acme, sandbox):
    sandbox.projects.put(Project("WEB", "Website", ("website",), writers=("jane",)))
    owner.let_in(acme, ("project", "WEB:write"), ("repository", f"WEB/{'long-' * 10}name:write"))
    begun = owner.post(f"{acme}/try", acme)
    result = owner.get(owner.get(sandbox.authorize(begun.location, user="jane")).location).words
    assert "You have the permission WEB:write." in result
    assert re.search(r"You do not have the permission WEB/long-[a-z-]*…:write\.", result)
    page = owner.get(f"{acme}/who").words
    assert "Project WEB:write Granted" in page
    assert re.search("Repository WEB/long-[a-z-]*…:write Not granted", page)
    assert "who have the permission WEB:write" in owner.get(acme).words


# The login link


@capability("login link")
def test_the_login_link_comes_as_a_picture_of_its_own(owner):
    picture = owner.get(f"{LOGIN}/qr.svg")
    assert picture.headers["Content-Type"].startswith("image/svg+xml")
    assert "<svg" in picture.text
    assert "style=" not in picture.text


def test_the_login_link_says_what_is_missing_behind_it(owner, acme):
    owner.post(f"{acme}/disable")
    assert "Next: enable an integration ." in owner.get(LOGIN).words
    owner.post(f"{acme}/enable", f"{acme}/disable")
    assert "Next:" not in owner.get(LOGIN).words


@capability("login link")
def test_a_replaced_link_explains_itself_and_lets_nobody_in(site, owner, acme, sandbox):
    early = site.visitor()
    early.get("/o/acme/login")
    owner.post(f"{LOGIN}/link", LOGIN, action="replace", confirmed="y")
    old = early.get("/o/acme/login")
    assert "This login link was replaced" in old.words
    assert "Log in with Bitbucket" not in old.words
    assert (
        early.send(begin_path(acme), csrf_token=early.get("/o/acme/login/owner").csrf_token).location == "/o/acme/login"
    )

    link = owner.get(LOGIN).value_of("Login link").removeprefix(site.origin)
    newcomer = site.visitor()
    assert "Log in with Bitbucket" in newcomer.get(link).words
    assert log_in(newcomer, acme, sandbox).location == "/o/acme/account"
    newcomer.post("/o/acme/logout", "/o/acme/account")
    assert "Log in with Bitbucket" in newcomer.get("/o/acme/login").words

    owner.post(f"{LOGIN}/link", LOGIN, action="replace", confirmed="y")
    assert "This login link was replaced" in newcomer.get(link).words


def test_a_link_is_replaced_only_where_that_is_confirmed(site, owner, acme):
    answer = owner.post(f"{LOGIN}/link", LOGIN, action="replace")
    page = owner.get(answer.location)
    assert "It still counts." in page.words
    assert re.search(r'role="alert">.*?<p>[^<]*It still counts\.', page.text)  # no success
    assert "Log in with Bitbucket" in site.visitor().get("/o/acme/login").words


@capability("login link")
def test_a_closed_link_lets_nobody_in_but_the_owner_and_ends_no_session(site, owner, acme, sandbox):
    jane, kim = site.visitor(), site.visitor()
    log_in(jane, acme, sandbox)
    begun = kim.begin(acme)
    owner.post(f"{LOGIN}/link", LOGIN, action="close")
    assert "Acme closed this login link" in kim.get("/o/acme/login").words
    page = kim.get(sandbox.authorize(begun.location, user="kim"))
    assert page.status == 403
    assert "The login link is closed" in page.words
    assert "For your organization's admin" in page.words
    assert jane.get("/o/acme/account").status == 200
    assert site.visitor().log_owner_in("acme").status == 303
    owner.post(f"{LOGIN}/link", LOGIN, action="open")
    assert log_in(kim, acme, sandbox, user="kim").location == "/o/acme/account"


def test_a_login_that_comes_back_to_a_closed_link_is_among_the_attempts(site, owner, acme, sandbox):
    log_in(site.visitor(), acme, sandbox)
    kim = site.visitor()
    begun = kim.begin(acme)
    owner.post(f"{LOGIN}/link", LOGIN, action="close")
    kim.get(sandbox.authorize(begun.location, user="kim"))
    page = owner.get(acme)
    assert "The login link is closed" in page.words
    assert "Failing" not in page.words
    event = re.search(r'href="(/o/acme/settings/events/[0-9]+)"', page.text)
    assert "Open the login link again in the organization's settings." in owner.get(event[1]).words


def test_who_does_not_know_the_link_does_not_find_it_by_the_organizations_address(site, owner):
    owner.post(f"{LOGIN}/link", LOGIN, action="replace", confirmed="y")
    stranger = site.visitor()
    found = stranger.post("/", slug="acme")
    assert found.location == "/o/acme/login"
    assert "This login link was replaced" in stranger.get(found.location).words


# One integration enforced


@pytest.fixture
def other(owner, other_sandbox):
    return connect(owner, "acme", other_sandbox, name="Other")


def enforce(owner, acme):
    return owner.post(f"{LOGIN}/only", LOGIN, integration=acme.rpartition("/")[2])


@capability("enforced")
def test_enforcing_closes_the_other_ways_and_ends_their_sessions(site, owner, acme, other, sandbox, other_sandbox):
    jane, kim, late, second_owner = (site.visitor() for _ in range(4))
    log_in(jane, acme, sandbox)
    log_in(kim, other, other_sandbox, user="kim")
    second_owner.log_owner_in("acme")
    begun = late.begin(other)

    assert enforce(owner, acme).status == 303

    assert jane.get("/o/acme/account").status == 200
    assert owner.get(LOGIN).status == 200
    assert kim.get("/o/acme/account").status == 303
    assert second_owner.get(LOGIN).status == 200, "the owner's password is still a way in"
    page = late.get(other_sandbox.authorize(begun.location, user="jane"))
    assert page.status == 403
    assert "Log in through that integration." in page.words
    assert "Another integration is the only way in" in owner.get(other).words
    login_page = site.visitor().get("/o/acme/login").words
    assert "Log in with Bitbucket" in login_page
    assert "Log in with Other" not in login_page
    assert kim.post(begin_path(other), "/o/acme/login").location == "/o/acme/login"
    assert owner.post(f"{LOGIN}/only", LOGIN, integration="").status == 303
    assert kim.get("/o/acme/account").status == 303


def test_the_owner_gets_in_with_the_password_while_one_integration_is_enforced(site, owner, acme, sandbox):
    log_in(site.visitor(), acme, sandbox)
    enforce(owner, acme)
    assert "You still log in with your password." in owner.get(LOGIN).words
    visitor = site.visitor()
    assert visitor.log_owner_in("acme").status == 303
    assert visitor.post(f"{LOGIN}/only", LOGIN, integration="").status == 303
    assert "is the only way in" not in owner.get(LOGIN).words


def test_another_integration_can_be_enforced_in_place_of_the_first(site, owner, acme, other, sandbox, other_sandbox):
    log_in(site.visitor(), acme, sandbox)
    log_in(site.visitor(), other, other_sandbox)
    for integration in (acme, acme, other):
        assert enforce(owner, integration).status == 303
    assert "Other is the only way in since" in owner.get(LOGIN).words


@on_every_database
def test_of_two_integrations_made_the_only_way_in_at_once_one_is(
    site, owner, acme, other, sandbox, other_sandbox, monkeypatch
):
    log_in(site.visitor(), acme, sandbox)
    log_in(site.visitor(), other, other_sandbox)
    token = owner.get(LOGIN).csrf_token
    both_have_read, is_raced = threading.Barrier(2), threading.Event()
    enforced = WaysIn.enforced

    def read_together(ways_in, organization):
        found = enforced(ways_in, organization)
        if not is_raced.is_set():
            with suppress(threading.BrokenBarrierError):
                both_have_read.wait(timeout=1)
            is_raced.set()
        return found

    def enforce_now(path):
        return owner.send(f"{LOGIN}/only", csrf_token=token, integration=path.rpartition("/")[2]).status

    monkeypatch.setattr(WaysIn, "enforced", read_together)
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(enforce_now, (acme, other))) == [303, 303]
    assert len([at for (at,) in site.rows(models.integration.enforced_at) if at is not None]) == 1


@on_every_database
def test_deleting_the_only_way_in_says_so_before_and_opens_the_others(site, owner, acme, other, sandbox, other_sandbox):
    log_in(site.visitor(), acme, sandbox)
    for integration in (acme, other):
        assert "only way in" not in owner.get(f"{integration}/delete").words
    enforce(owner, acme)
    assert "It is the only way into Acme. All other ways are open again" in owner.get(f"{acme}/delete").words
    assert "only way in" not in owner.get(f"{other}/delete").words

    assert owner.post(f"{acme}/delete", name="Bitbucket").status == 303
    assert "all other ways are open again" in owner.get("/o/acme/settings/integrations").words
    assert log_in(site.visitor(), other, other_sandbox).location == "/o/acme/account"
    assert site.visitor().log_owner_in("acme").status == 303
    assert site.rows(models.event.event).count(("integration.not_enforced",)) == 1
    assert "All ways in were opened again" in owner.get("/o/acme/settings/events").words


def test_where_the_only_way_in_is_disabled_its_page_says_what_that_means(site, owner, acme, sandbox):
    log_in(site.visitor(), acme, sandbox)
    owner.post(f"{acme}/disable")
    assert "the only way into Acme" not in owner.get(acme).words
    owner.post(f"{acme}/enable", f"{acme}/disable")
    enforce(owner, acme)
    owner.post(f"{acme}/disable")
    assert "It is the only way into Acme. Only you can log in." in owner.get(acme).words
    assert "Bitbucket is the only way into Acme, and it is disabled." in site.visitor().get("/o/acme/login").words
    assert owner.post(f"{LOGIN}/only", LOGIN).status == 303, "none of those that are shown is chosen"
    assert "Nothing was chosen, and nothing has changed." in owner.get(LOGIN).words
    page = owner.get(LOGIN)
    assert "Bitbucket is the only way in since" in page.words
    assert "None: every integration is open" in page.words
    assert "Next: add an integration" not in page.words


def test_an_integration_that_never_worked_cannot_be_enforced(owner, acme):
    assert enforce(owner, acme).status == 303
    assert "is the only way in since" not in owner.get(LOGIN).words


def test_nobody_enforces_anything_in_another_organization(site, owner, acme):
    stranger = site.visitor()
    stranger.create_organization("globex")
    token = stranger.get("/o/globex/settings/login").csrf_token
    for path in (f"{LOGIN}/only", f"{LOGIN}/link", f"{acme}/who"):
        assert stranger.send(path, csrf_token=token, integration=acme.rpartition("/")[2]).status == 404
    own = "/o/globex/settings/login/only"
    assert stranger.send(own, csrf_token=token, integration=acme.rpartition("/")[2]).status == 404


# People who leave


@capability("people")
def test_the_owner_ends_the_sessions_of_a_person_who_can_log_in_again(site, owner, acme, sandbox):
    jane, kim = site.visitor(), site.visitor()
    log_in(jane, acme, sandbox)
    log_in(kim, acme, sandbox, user="kim")
    page = owner.get("/o/acme/settings/people").text
    janes = re.search(r"(/o/acme/settings/people/\d+/logout)(?:(?!<form).)*Jane Doe", page, re.S)[1]
    assert owner.post(janes, "/o/acme/settings/people").status == 303
    assert jane.get("/o/acme/account").status == 303
    assert kim.get("/o/acme/account").status == 200
    assert log_in(jane, acme, sandbox).location == "/o/acme/account"
