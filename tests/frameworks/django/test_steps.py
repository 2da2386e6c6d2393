"""The steps on the way to the login link, in the administration."""

import re

import pytest

from social_bitbucket_server.django import integrations, upgrade
from social_bitbucket_server.django.models import Integration
from social_bitbucket_server.organizations import OAuth
from social_bitbucket_server.problems import PROBLEMS, Code
from tests.capabilities import capability
from tests.frameworks.django.conftest import link, paste_public_key
from tests.frameworks.django.test_admin import ADMIN, press, text_of

NAMES = ["Server", "Bitbucket", "Test", "Share the link"]


@pytest.fixture
def draft(bitbucket_sandbox):
    """An integration that Bitbucket does not know yet."""
    record = Integration(name="Acme", slug="acme", base_url=bitbucket_sandbox.url)
    record.full_clean()
    integrations.create(record)
    return record


def steps(page):
    """Return the names of the finished steps, and the current one; ``None`` if the page shows no steps."""
    shown = re.findall(
        r'<li class="(\w*)"( aria-current="step")?><span class="mark"[^>]*>.</span> (.*?)</li>', page.text
    )
    if not shown:
        return None
    names = [re.sub(r"<.*?>|,\s+done", "", html).strip() for _, _, html in shown]
    assert names == NAMES
    (current,) = [name for name, (_, is_current, _) in zip(names, shown, strict=True) if is_current]
    return [name for name, (kind, _, _) in zip(names, shown, strict=True) if kind == "done"], current


def setup(staff, record):
    return staff.open(f"{ADMIN}{record.pk}/setup/")


def primary(page):
    """Return the labels of the buttons that are the next step."""
    main = page.text.partition('class="bitbucket-server"')[2]
    return re.findall(r'<button class="button default"[^>]*>(.*?)</button>', main)


@capability("condition")
def test_each_step_is_ticked_when_it_is_done(staff, draft, visitor, bitbucket_sandbox, spare_keys):
    assert steps(staff.open(f"{ADMIN}add/")) == ([], "Server")
    page = setup(staff, draft)
    assert steps(page) == (["Server"], "Bitbucket")
    assert primary(page) == ["I entered it: test the connection"]

    page = press(staff, draft, "check-up")
    assert steps(page) == (["Server"], "Bitbucket")
    assert "does not have the application link yet" in page.text
    assert "The last test failed" not in text_of(setup(staff, draft))

    link(draft, bitbucket_sandbox)
    paste_public_key(bitbucket_sandbox, draft, spare_keys.take().public.pem)
    assert steps(press(staff, draft, "check-up")) == (["Server", "Bitbucket"], "Test")
    page = setup(staff, draft)
    assert f"The last test failed.</strong> {PROBLEMS[Code.PUBLIC_KEY_DIFFERS].title}" in page.text
    assert primary(page) == ["Test the connection"]

    paste_public_key(bitbucket_sandbox, draft, draft.active_key_pair.public_pem)
    page = press(staff, draft, "check-up")
    assert steps(page) == (NAMES[:3], "Share the link")
    assert primary(page) == ["Try a login"]
    assert primary(setup(staff, draft)) == ["Try a login"]

    visitor.log_in(draft, bitbucket_sandbox)
    assert steps(setup(staff, draft)) is None


def test_a_server_that_was_not_reached_ticks_nothing_in_bitbucket(staff, draft):
    Integration.objects.update(base_url="http://127.0.0.1:1")
    press(staff, draft, "check-up")
    page = setup(staff, draft)
    assert steps(page) == (["Server"], "Bitbucket")
    assert f"The last test failed.</strong> {PROBLEMS[Code.PORT_CLOSED].title}" in page.text


def test_a_new_server_begins_the_way_anew(staff, acme, other_sandbox):
    press(staff, acme, "check-up")
    acme.base_url = other_sandbox.url
    integrations.change(acme)
    assert steps(setup(staff, acme)) == (["Server"], "Bitbucket")


def test_with_oauth_2_the_client_credentials_are_what_bitbucket_gives(both, staff, bitbucket_sandbox):
    record = Integration(name="Acme", slug="acme", base_url=bitbucket_sandbox.url)
    record.full_clean()
    integrations.create(record, oauth=OAuth.TWO)
    page = setup(staff, record)
    assert steps(page) == (["Server"], "Bitbucket")
    upgrade.keep_credentials(record, "client", "secret")
    page = setup(staff, record)
    assert steps(page) == (["Server", "Bitbucket"], "Test")
    assert primary(page) == ["Test the connection"]


def test_a_test_by_oauth_2_of_a_draft_for_oauth_1_says_nothing_about_its_application_link(both, staff, draft):
    upgrade.keep_credentials(draft, "client", "secret")
    Integration.objects.update(base_url="http://127.0.0.1:1")
    page = staff.post(f"{ADMIN}{draft.pk}/check-up/", form_at=f"{ADMIN}{draft.pk}/setup/", oauth="2")
    assert "A stage failed." in page.text
    assert "does not have the application link yet" not in page.text
    assert primary(page) == ["Test again"]


def test_a_disabled_integration_is_on_no_way(staff, draft):
    integrations.enable(draft, enabled=False)
    page = setup(staff, draft)
    assert steps(page) is None
    assert primary(page) == ["Enable"]


def test_disabling_and_deleting_stand_at_the_end(staff, draft):
    page = text_of(setup(staff, draft))
    assert page.index("The last logins") < page.index("Disable or delete") < page.rindex("Delete")


def test_a_page_without_a_tab_of_its_own_marks_the_one_that_it_belongs_to(staff, draft):
    def current(page):
        main = page.text.partition('class="bitbucket-server"')[2]
        return re.findall(r'<a href="[^"]+" aria-current="(page|true)">(.*?)</a>', main)

    assert current(setup(staff, draft)) == [("page", "Set-up and keys")]
    assert current(press(staff, draft, "check-up")) == [("true", "Set-up and keys")]
    assert current(staff.open(f"{ADMIN}{draft.pk}/people/")) == [("page", "People")]
    assert current(press(staff, draft, "make-setup-link")) == [("true", "Set-up link")]
