"""A server that moved: a trial login at the new address proves that it is the same."""

import pytest
from social_django.models import UserSocialAuth

from social_bitbucket_server.django import events, integrations, moves, upgrade
from social_bitbucket_server.django.models import Event, Integration
from social_bitbucket_server.organizations import OAuth, State
from tests.capabilities import capability
from tests.frameworks.django.conftest import Visitor, happenings, link, login_page, newest_event
from tests.frameworks.django.test_admin import change, press, setup_page, text_of
from tests.frameworks.django.test_oauth2 import prepare


def stored():
    return Integration.objects.get()


@pytest.fixture
def inside(acme, bitbucket_sandbox):
    """Jane, who logged in at the old address."""
    visitor = Visitor()
    visitor.log_in(acme, bitbucket_sandbox)
    return visitor


@pytest.fixture
def moving(staff, acme, inside, other_sandbox):
    """Acme's integration, whose new address waits. The same links are there."""
    link(acme, other_sandbox)
    answer = change(staff, acme, base_url=other_sandbox.url, same_server="on")
    assert (answer.status_code, answer["Location"]) == (303, setup_page(acme))
    return acme


def try_move(staff, record, sandbox, user="jane", **options):
    """The whole way; returns the page that shows the result."""
    begun = press(staff, record, "try-move")
    assert begun.status_code == 303, text_of(begun)
    assert begun["Location"].startswith(sandbox.url)
    return text_of(staff.open(staff.open(sandbox.authorize(begun["Location"], user=user, **options))["Location"]))


def is_unmoved(record, sandbox):
    return (stored().base_url, stored().namespace) == (sandbox.url, record.namespace)


def test_until_the_proof_people_log_in_at_the_old_address_and_the_page_says_so(
    staff, moving, inside, bitbucket_sandbox, other_sandbox
):
    page = text_of(staff.open(setup_page(moving)))
    assert "The server moves" in page
    assert other_sandbox.url in page
    assert is_unmoved(moving, bitbucket_sandbox)
    visitor = Visitor()
    visitor.log_in(moving, bitbucket_sandbox)
    assert (inside.name, visitor.name) == ("jane", "jane")


@capability("server that moved")
def test_a_trial_by_a_known_person_takes_the_new_address_and_everybody_keeps_their_account(
    staff, moving, inside, bitbucket_sandbox, other_sandbox
):
    before = list(UserSocialAuth.objects.values_list("uid", "user_id"))
    assert "It is the same server." in try_move(staff, moving, other_sandbox)
    assert (stored().base_url, stored().moving_to) == (other_sandbox.url, "")
    assert stored().namespace == moving.namespace
    assert inside.name == "jane"
    assert staff.name == "root"
    visitor = Visitor()
    visitor.log_in(stored(), other_sandbox)
    assert visitor.name == "jane"
    assert list(UserSocialAuth.objects.values_list("uid", "user_id")) == before
    assert "integration.moved" in happenings()


def test_a_person_whom_nobody_knows_here_proves_nothing(staff, moving, bitbucket_sandbox, other_sandbox):
    page = try_move(staff, moving, other_sandbox, user="admin")
    assert "This does not show that it is the same server." in page
    assert is_unmoved(moving, bitbucket_sandbox)
    assert stored().moving_to == other_sandbox.url
    assert newest_event().what == "integration.moved"


def test_the_number_alone_proves_nothing(staff, moving, bitbucket_sandbox, other_sandbox):
    identity = UserSocialAuth.objects.get()
    identity.extra_data["username"] = "somebody-else"
    identity.save()
    assert "This does not show that it is the same server." in try_move(staff, moving, other_sandbox)
    assert is_unmoved(moving, bitbucket_sandbox)


def test_a_trial_at_the_old_address_proves_nothing(staff, moving, bitbucket_sandbox):
    begun = press(staff, moving, "try")
    assert begun["Location"].startswith(bitbucket_sandbox.url)
    staff.open(bitbucket_sandbox.authorize(begun["Location"]))
    assert is_unmoved(moving, bitbucket_sandbox)
    assert stored().moving_to


def test_an_address_that_changed_during_the_trial_is_not_taken(staff, moving, bitbucket_sandbox, other_sandbox):
    callback = other_sandbox.authorize(press(staff, moving, "try-move")["Location"])
    moves.begin(stored(), "https://another.example.com")
    page = staff.open(callback)
    assert page.status_code == 400
    assert newest_event().problem == "integration_changed"
    assert is_unmoved(moving, bitbucket_sandbox)


def test_an_address_that_was_given_up_during_the_trial_is_not_taken(staff, moving, bitbucket_sandbox, other_sandbox):
    callback = other_sandbox.authorize(press(staff, moving, "try-move")["Location"])
    assert press(staff, moving, "give-up-move").status_code == 303
    staff.open(staff.open(callback)["Location"])
    assert is_unmoved(moving, bitbucket_sandbox)
    assert events.condition_of(stored()).state is State.WORKING


def test_a_trial_that_fails_at_the_new_address_says_why_and_the_integration_works(
    staff, moving, bitbucket_sandbox, other_sandbox
):
    begun = press(staff, moving, "try-move")
    callback = other_sandbox.authorize(begun["Location"])
    other_sandbox.faults.server_error = True
    page = text_of(staff.open(staff.open(callback)["Location"]))
    assert "The Bitbucket Server reported an error of its own." in page
    assert f"Reference {newest_event().reference}" in page
    assert (newest_event().what, newest_event().problem) == ("integration.moved", "server_error")
    assert events.condition_of(stored()).state is State.WORKING
    again = press(staff, moving, "try-move")
    assert "The Bitbucket Server reported an error of its own." in text_of(staff.open(again["Location"]))
    assert f"Reference {newest_event().reference}" in text_of(staff.open(again["Location"]))
    assert events.condition_of(stored()).state is State.WORKING


def test_the_new_address_can_be_given_up(staff, moving, bitbucket_sandbox):
    press(staff, moving, "give-up-move")
    assert is_unmoved(moving, bitbucket_sandbox)
    assert newest_event().what == "integration.move_given_up"
    assert "The server moves" not in text_of(staff.open(setup_page(moving)))
    press(staff, moving, "try-move")
    assert "No new base URL waits for a trial login." in text_of(staff.open(setup_page(moving)))


def test_a_disabled_integration_is_not_tried_at_its_new_address(staff, moving, other_sandbox):
    integrations.enable(moving, enabled=False)
    assert press(staff, moving, "try-move")["Location"] == setup_page(moving)
    assert not other_sandbox.requests.to("/request-token")


def test_another_server_ends_the_wait_for_a_new_address(moving):
    record = stored()
    record.base_url = "https://another.example.com"
    integrations.change(record)
    assert stored().moving_to == ""


def test_other_changes_go_on_while_a_new_address_waits(staff, moving, other_sandbox):
    assert change(staff, stored(), name="Acme Ltd").status_code == 302
    assert (stored().name, stored().moving_to) == ("Acme Ltd", other_sandbox.url)


def test_another_new_address_takes_the_place_of_the_first(staff, moving):
    change(staff, stored(), base_url="https://another.example.com", same_server="on")
    assert stored().moving_to == "https://another.example.com"
    assert Event.objects.filter(what="integration.move_begun").count() == 2


def test_a_login_never_goes_to_the_new_address(moving, visitor, bitbucket_sandbox):
    begun = visitor.post(login_page(moving), at_new_address="1")
    assert begun["Location"].startswith(bitbucket_sandbox.url)


def test_a_move_is_proved_by_oauth_2_too(both, staff, acme, inside, bitbucket_sandbox, other_sandbox):
    prepare(staff, acme, bitbucket_sandbox)
    Visitor().log_in(acme, bitbucket_sandbox, oauth="2")
    change(staff, stored(), base_url=other_sandbox.url, same_server="on")
    made = other_sandbox.link_external_application(redirect_url=integrations.callback(acme, OAuth.TWO))
    upgrade.keep_credentials(stored(), made.client_id, made.client_secret)
    assert "It is the same server." in try_move(staff, acme, other_sandbox)
    assert stored().base_url == other_sandbox.url
