"""The people of an integration: they are listed, disabled and logged out, and their sessions end."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.test import override_settings
from social_django.models import UserSocialAuth

from social_bitbucket_server.django import people
from social_bitbucket_server.django.admin import people as pages
from social_bitbucket_server.django.models import Event
from tests.capabilities import capability
from tests.frameworks.django.conftest import PASSWORD, Visitor, happenings, newest_event
from tests.frameworks.django.test_admin import ADMIN, press, setup_page, staff_who_may, text_of


def page_of(record):
    return f"{ADMIN}{record.pk}/people/"


@pytest.fixture
def jane(acme, bitbucket_sandbox):
    """Jane's browser, in which she is logged in."""
    visitor = Visitor()
    visitor.log_in(acme, bitbucket_sandbox)
    return visitor


@pytest.fixture
def identity(jane):
    return UserSocialAuth.objects.get()


def act(staff, record, action, identity):
    return staff.post(f"{ADMIN}{record.pk}/{action}/", form_at=setup_page(record), identity=str(identity.pk))


@capability("people")
def test_everybody_who_logged_in_is_listed(staff, acme, globex, identity, bitbucket_sandbox, other_sandbox):
    Visitor().log_in(acme, bitbucket_sandbox, user="admin")
    Visitor().log_in(globex, other_sandbox, user="kim")
    page = text_of(staff.open(page_of(acme)))
    assert "2 Bitbucket accounts have logged in through this integration." in page
    assert page.index("<td>admin</td>") < page.index("<td>Jane Doe</td>")
    assert "kim" not in page
    assert page.count("Active") == 2


def test_before_anybody_has_logged_in_the_page_says_what_to_do(staff, acme):
    assert "Nobody has logged in through this integration yet." in text_of(staff.open(page_of(acme)))


def test_many_people_come_by_the_page(staff, acme, identity, bitbucket_sandbox, monkeypatch):
    monkeypatch.setattr(pages, "_ON_A_PAGE", 1)
    Visitor().log_in(acme, bitbucket_sandbox, user="admin")
    first, second = (text_of(staff.open(f"{page_of(acme)}?page={number}")) for number in (1, 2))
    assert ("<td>admin</td>" in first, "<td>admin</td>" in second) == (True, False)
    assert "Page 1 of 2" in first
    assert "Page 1 of 2" in text_of(staff.open(f"{page_of(acme)}?page=nonsense"))


@capability("people")
def test_a_disabled_person_is_logged_out_everywhere_and_cannot_log_in(staff, acme, jane, identity, bitbucket_sandbox):
    other = Visitor()
    other.log_in(acme, bitbucket_sandbox)
    assert act(staff, acme, "disable-person", identity).status_code == 303
    assert (jane.name, other.name) == ("nobody", "nobody")
    assert Visitor().log_in(acme, bitbucket_sandbox).status_code == 403
    page = text_of(staff.open(page_of(acme)))
    assert "ane is disabled, and logged out everywhere." in page
    disabled = Event.objects.get(what="user.disabled")
    assert (disabled.user_id, disabled.integration_id) == (str(identity.user_id), acme.pk)


def test_sessions_that_ended_do_not_come_back_when_the_person_is_enabled_again(
    staff, acme, jane, identity, bitbucket_sandbox
):
    act(staff, acme, "disable-person", identity)
    act(staff, acme, "enable-person", identity)
    assert jane.name == "nobody"
    assert happenings()[-2:] == ["user.disabled", "user.enabled"]
    jane.log_in(acme, bitbucket_sandbox)
    assert jane.name == "jane"


@capability("people")
def test_a_person_who_is_logged_out_can_log_in_again(staff, acme, jane, identity, bitbucket_sandbox):
    for _ in range(2):
        assert jane.name == "jane"
        act(staff, acme, "log-out-person", identity)
        assert jane.name == "nobody"
        assert newest_event().what == "session.revoked"
        jane.log_in(acme, bitbucket_sandbox)


def test_a_person_who_is_disabled_elsewhere_is_logged_out(acme, jane):
    get_user_model().objects.filter(username="jane").update(is_active=False)
    assert jane.name == "nobody"


def test_a_project_that_lets_inactive_people_in_keeps_their_sessions(acme, jane):
    get_user_model().objects.filter(username="jane").update(is_active=False)
    with override_settings(SOCIAL_AUTH_ACTIVE_USERS_FILTER={}):
        assert jane.name == "jane"


def test_a_person_who_was_deleted_is_nobody(acme, jane):
    get_user_model().objects.filter(username="jane").delete()
    assert jane.name == "nobody"


def test_others_stay_logged_in(staff, acme, jane, identity, bitbucket_sandbox):
    other = Visitor()
    other.log_in(acme, bitbucket_sandbox, user="admin")
    act(staff, acme, "disable-person", identity)
    assert (other.name, staff.name) == ("admin", "root")


@pytest.mark.parametrize("action", ["disable-person", "enable-person", "log-out-person"])
def test_a_person_of_another_integration_is_not_there(staff, globex, identity, action):
    assert act(staff, globex, action, identity).status_code == 404
    for wrong in ("", "x", "9" * 18, "9" * 5000, "\u0663"):
        answer = staff.post(f"{ADMIN}{globex.pk}/{action}/", form_at=setup_page(globex), identity=wrong)
        assert answer.status_code == 404
    assert get_user_model().objects.get(username="jane").is_active


@pytest.mark.parametrize("action", ["disable-person", "enable-person", "log-out-person"])
def test_only_who_may_change_users_acts_on_a_person(staff, acme, jane, identity, action):
    clerk = staff_who_may("change_integration", "view_integration")
    assert act(clerk, acme, action, identity).status_code == 403
    assert 'name="identity"' not in text_of(clerk.open(page_of(acme)))
    assert staff.open(f"{ADMIN}{acme.pk}/{action}/").status_code == 405
    assert jane.name == "jane"


def test_nobody_disables_themselves_or_a_superuser_above_them(staff, acme, jane, identity):
    clerk = staff_who_may("change_integration", "view_integration", "change_user")
    get_user_model().objects.filter(username="jane").update(is_superuser=True)
    assert act(clerk, acme, "disable-person", identity).status_code == 403
    UserSocialAuth.objects.update(user=get_user_model().objects.get(username="root"))
    assert act(staff, acme, "disable-person", identity).status_code == 403
    UserSocialAuth.objects.update(user=get_user_model().objects.get(username="jane"))
    assert act(staff, acme, "disable-person", identity).status_code == 303


def test_a_person_with_a_password_too_is_let_in_by_neither(staff, acme, jane, identity):
    user = get_user_model().objects.get(username="jane")
    people.disable(user)
    assert not Visitor().client.login(username="jane", password=PASSWORD)
    people.enable(user)
    assert jane.name == "nobody"


def told_that_the_account_is_inactive(record, identity):
    people.disable_whom_bitbucket_disabled(identity.uid, integration_id=record.pk)


def test_a_person_whose_account_bitbucket_disabled_is_enabled_by_an_administrator(
    staff, acme, jane, identity, bitbucket_sandbox
):
    told_that_the_account_is_inactive(acme, identity)
    assert jane.name == "nobody"
    assert Visitor().log_in(acme, bitbucket_sandbox).status_code == 403
    told_that_the_account_is_inactive(acme, identity)
    disabled = Event.objects.get(what="user.disabled")
    assert (disabled.user_id, disabled.integration_id) == (str(identity.user_id), acme.pk)
    act(staff, acme, "enable-person", identity)
    jane.log_in(acme, bitbucket_sandbox)
    assert jane.name == "jane"


@pytest.mark.parametrize("way", ["password", "identity"])
def test_a_server_disables_nobody_who_has_another_way_in(acme, jane, identity, way):
    user = identity.user
    if way == "password":
        user.set_password(PASSWORD)
        user.save()
    else:
        UserSocialAuth.objects.create(user=user, provider="github", uid="1")
    told_that_the_account_is_inactive(acme, identity)
    user.refresh_from_db()
    assert user.is_active
    assert "user.disabled" not in happenings()


def test_users_of_an_application_who_cannot_be_disabled_stay(acme, jane, identity, monkeypatch):
    fields = [field for field in get_user_model()._meta.concrete_fields if field.name != "is_active"]
    monkeypatch.setitem(vars(get_user_model()._meta), "concrete_fields", fields)
    told_that_the_account_is_inactive(acme, identity)
    assert jane.name == "jane"


def test_disabling_an_integration_says_in_numbers_what_it_means(staff, acme, jane, bitbucket_sandbox):
    assert f"{ADMIN}{acme.pk}/confirm-disabling/" in text_of(staff.open(setup_page(acme)))
    page = text_of(staff.open(f"{ADMIN}{acme.pk}/confirm-disabling/"))
    assert "1 Bitbucket account logs in through this integration. It is logged out" in page
    assert "For 1 person it is the only one." in page
    assert jane.name == "jane"
    assert re.search(rf'action="{ADMIN}{acme.pk}/disable/"', page)
    press(staff, acme, "disable")
    assert jane.name == "nobody"
    assert staff.open(f"{ADMIN}{acme.pk}/confirm-disabling/")["Location"] == setup_page(acme)
