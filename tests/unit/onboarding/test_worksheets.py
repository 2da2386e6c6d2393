"""The worksheet: every field of Bitbucket's pages, in their order and words."""

import json
from dataclasses import asdict

import pytest

from social_bitbucket_server.integration import ServerURL
from social_bitbucket_server.onboarding import (
    Action,
    Dialog,
    advice_for,
    dialog_of,
    is_oauth2_better,
    oauth2_advice_for,
    oauth2_worksheet,
    render_text,
    worksheet,
)
from social_bitbucket_server.onboarding.worksheets import TWO_FACTOR_STEP

ALL_DIALOGS = pytest.mark.parametrize("dialog", Dialog)


@pytest.fixture
def make(private_key):
    def make(dialog=Dialog.FROM_10_1, **changes):
        return worksheet(
            **{
                "server_url": ServerURL.parse("https://bitbucket.example.com/bitbucket"),
                "application_url": "https://app.example.com/o/acme/",
                "application_name": "Acme Packages",
                "consumer_key": "acme-packages",
                "public_key": private_key.public,
                "dialog": dialog,
            }
            | changes
        )

    return make


def entries(steps):
    return [entry for step in steps for entry in step.entries]


def entry(steps, label):
    (found,) = (entry for entry in entries(steps) if entry.label == label)
    return found


def actions(step):
    return [(entry.action, entry.label, entry.value) for entry in step.entries]


@ALL_DIALOGS
def test_it_begins_with_the_page_of_application_links(make, dialog):
    page = "https://bitbucket.example.com/bitbucket/plugins/servlet/applinks/listApplicationLinks"

    assert actions(make(dialog)[0]) == [(Action.OPEN, "Application Links", page)]


def test_up_to_7_19_the_address_is_entered_on_the_page(make):
    assert actions(make(Dialog.UP_TO_7_19)[1]) == [
        (Action.TYPE, "Application URL", "https://app.example.com/o/acme/"),
        (Action.PRESS, "Create new link", ""),
    ]


def test_from_7_20_on_the_address_is_entered_in_a_dialog_after_the_type(make):
    assert actions(make(Dialog.FROM_7_20)[1]) == [
        (Action.PRESS, "Create link", ""),
        (Action.CHOOSE, "Application type", "Atlassian product"),
        (Action.TYPE, "Application URL", "https://app.example.com/o/acme/"),
        (Action.PRESS, "Continue", ""),
    ]


def test_from_10_1_on_the_type_has_its_exact_words_and_the_wrong_ones_are_named(make):
    step = make(Dialog.FROM_10_1)[1]
    assert actions(step) == [
        (Action.PRESS, "Create link", ""),
        (Action.CHOOSE, "Application type", "Atlassian product via OAuth 1.0"),
        (Action.TYPE, "Application URL", "https://app.example.com/o/acme/"),
        (Action.PRESS, "Continue", ""),
    ]
    hint = step.entries[1].hint
    assert hint.startswith("Atlassian product via OAuth 1.0 is for other applications, too.")
    assert "Atlassian product via OAuth 2.0 and External application would be OAuth 2." in hint


def test_the_newer_name_of_the_type_is_mentioned(make):
    assert "Atlassian product via OAuth 1.0" in entry(make(Dialog.FROM_7_20), "Application type").hint


@ALL_DIALOGS
def test_with_one_server_the_address_is_the_applications_and_not_an_organizations(make, dialog):
    assert entry(make(dialog), "Application URL").hint.startswith("It belongs to your organization alone: ")
    alone = make(dialog, for_organization=False)
    assert entry(alone, "Application URL").hint.startswith("It is for this application alone: ")
    assert "organization" not in render_text(alone)


@ALL_DIALOGS
def test_the_harmless_warning_is_announced_in_its_own_words(make, dialog):
    step = make(dialog)[2]

    assert '"No response was received from the URL you entered" is harmless' in step.note
    assert actions(step) == [(Action.TICK, "Use this URL", ""), (Action.PRESS, "Continue", "")]


@ALL_DIALOGS
def test_of_the_link_itself_only_name_and_type_are_filled_in(make, dialog):
    assert actions(make(dialog)[3]) == [
        (Action.TYPE, "Application Name", "Acme Packages"),
        (Action.CHOOSE, "Application Type", "Generic Application"),
        (Action.LEAVE_EMPTY, "Service Provider Name", ""),
        (Action.LEAVE_EMPTY, "Consumer key", ""),
        (Action.LEAVE_EMPTY, "Shared secret", ""),
        (Action.LEAVE_EMPTY, "Request Token URL", ""),
        (Action.LEAVE_EMPTY, "Access token URL", ""),
        (Action.LEAVE_EMPTY, "Authorize URL", ""),
        (Action.LEAVE_OFF, "Create incoming link", ""),
        (Action.PRESS, "Continue", ""),
    ]


@ALL_DIALOGS
def test_incoming_authentication_is_opened_by_the_pencil(make, dialog):
    assert actions(make(dialog)[4]) == [(Action.PRESS, "Edit", ""), (Action.PRESS, "Incoming Authentication", "")]


@ALL_DIALOGS
def test_incoming_authentication_is_filled_in_from_top_to_bottom(make, dialog, private_key):
    assert actions(make(dialog)[5]) == [
        (Action.TYPE, "Consumer Key", "acme-packages"),
        (Action.TYPE, "Consumer Name", "Acme Packages"),
        (Action.LEAVE_EMPTY, "Description", ""),
        (Action.TYPE, "Public Key", private_key.public.pem),
        (Action.LEAVE_EMPTY, "Consumer Callback URL", ""),
        (Action.LEAVE_OFF, "Allow 2-Legged OAuth", ""),
        (Action.LEAVE_EMPTY, "Execute as", ""),
        (Action.LEAVE_OFF, "Allow user impersonation through 2-Legged OAuth", ""),
        (Action.PRESS, "Save", ""),
    ]


def test_it_says_why_the_callback_url_stays_empty(make):
    assert "appends a slash" in entry(make(), "Consumer Callback URL").hint


@ALL_DIALOGS
def test_it_ends_with_the_switch_of_the_two_factor_plugin(make, dialog):
    last = make(dialog)[-1]

    assert last is TWO_FACTOR_STEP
    assert "U2F & TOTP" in last.title
    assert actions(last) == [(Action.TICK, "Enable OAuth whitelist", "")]


def test_the_consumer_may_have_a_name_of_its_own(make):
    steps = make(consumer_name="Packages of Acme")

    assert entry(steps, "Consumer Name").value == "Packages of Acme"
    assert entry(steps, "Application Name").value == "Acme Packages"


@ALL_DIALOGS
def test_only_what_is_opened_typed_or_chosen_has_a_value(make, dialog):
    for found in entries(make(dialog)):
        assert bool(found.value) == (found.action in {Action.OPEN, Action.TYPE, Action.CHOOSE})


@ALL_DIALOGS
def test_it_can_be_written_as_json(make, dialog, private_key):
    steps = json.loads(json.dumps([asdict(step) for step in make(dialog)]))

    assert steps[5]["entries"][3] == {
        "label": "Public Key",
        "value": private_key.public.pem,
        "action": "type",
        "hint": "From the BEGIN line to the END line, with nothing before it.",
        "choices": [],
    }


@ALL_DIALOGS
def test_the_text_has_every_title_label_and_value(make, dialog):
    text = render_text(make(dialog))

    for number, step in enumerate(make(dialog), start=1):
        assert f"{number}. {step.title}\n" in text
        for found in step.entries:
            assert f"{found.action.capitalize()}: {found.label}" in text
            assert found.value in text


def test_the_text_has_the_hints_and_notes(make):
    words = " ".join(render_text(make()).split())

    assert TWO_FACTOR_STEP.note in words
    assert entry(make(), "Consumer Callback URL").hint in words


def test_the_public_key_stands_at_the_margin_so_that_it_can_be_copied(make, private_key):
    assert f"\n\n{private_key.public.pem}\n" in render_text(make())


def test_a_hint_begins_on_a_line_of_its_own(make):
    text = render_text(make())

    assert " = Acme Packages\n     You may choose another name.\n" in text


@pytest.mark.parametrize(
    ("version", "dialog"),
    [
        ("3.11.6", Dialog.UP_TO_7_19),
        ("7.19.5", Dialog.UP_TO_7_19),
        ("7.20.0", Dialog.FROM_7_20),
        ("8.19.0", Dialog.FROM_7_20),
        ("9.4.17", Dialog.FROM_7_20),
        ("10.0.1", Dialog.FROM_7_20),
        ("10.1.0", Dialog.FROM_10_1),
        ("10.2", Dialog.FROM_10_1),
        ("11.0.0", Dialog.FROM_10_1),
        ("", Dialog.FROM_10_1),
        ("7", Dialog.FROM_10_1),
        ("9" * 4000, Dialog.FROM_10_1),
        ("7.99999", Dialog.FROM_10_1),
        ("<b>7.6.0</b>", Dialog.FROM_10_1),
    ],
)
def test_the_dialog_follows_the_version(version, dialog):
    assert dialog_of(version) is dialog


@pytest.mark.parametrize("version", ["", "7.21.0", "x", "7"])
def test_up_to_seven_there_is_nothing_to_advise(version):
    assert advice_for(version) == ""


@pytest.mark.parametrize("version", ["8.0.0", "9.4.1-rc1", "10.0.1", "10.2.0"])
def test_from_eight_on_oauth_1_is_still_taken_and_oauth_2_is_the_better_way(version):
    assert "It still takes OAuth 1" in advice_for(version)
    assert "OAuth 2 is the better way" in advice_for(version)


# OAuth 2


@pytest.fixture
def oauth2_steps():
    return oauth2_worksheet(
        server_url=ServerURL.parse("https://bitbucket.example.com/bitbucket"),
        redirect_url="https://app.example.com/complete/bitbucket-server-oauth2/acme/",
        application_name="Acme Packages",
    )


def test_the_link_for_oauth_2_is_an_incoming_external_application(oauth2_steps):
    assert actions(oauth2_steps[1]) == [
        (Action.PRESS, "Create link", ""),
        (Action.CHOOSE, "Application type", "External application"),
        (Action.CHOOSE, "Direction", "Incoming"),
        (Action.PRESS, "Continue", ""),
    ]


@pytest.mark.parametrize(
    ("dialog", "choices"),
    [
        (Dialog.FROM_7_20, ("Atlassian product", "External application")),
        (
            Dialog.FROM_10_1,
            ("Atlassian product via OAuth 1.0", "Atlassian product via OAuth 2.0", "External application"),
        ),
    ],
)
def test_all_choices_of_the_dialog_are_known(make, dialog, choices):
    assert entry(make(dialog), "Application type").choices == choices
    steps = oauth2_worksheet(
        server_url=ServerURL.parse("https://bitbucket.example.com"),
        redirect_url="https://app.example.com/complete/",
        application_name="Acme Packages",
        dialog=dialog,
    )
    assert entry(steps, "Application type").choices == choices


def test_the_form_for_oauth_2_is_in_bitbuckets_order_and_words(oauth2_steps):
    assert actions(oauth2_steps[2]) == [
        (Action.TYPE, "Name", "Acme Packages"),
        (Action.TYPE, "Redirect URL", "https://app.example.com/complete/bitbucket-server-oauth2/acme/"),
        (Action.TICK, "Application permissions", "Repositories: Read"),
        (Action.PRESS, "Save", ""),
    ]


def test_the_last_step_of_oauth_2_is_to_copy_both_credentials(oauth2_steps):
    assert actions(oauth2_steps[3]) == [(Action.COPY, "Client ID", ""), (Action.COPY, "Client secret", "")]
    assert "Copy: Client secret" in render_text(oauth2_steps)


@pytest.mark.parametrize(
    ("version", "is_better", "says"),
    [
        ("7.6.0", False, "OAuth 2 came with Bitbucket 7.20"),
        ("7.21.0", False, "among the first with OAuth 2"),
        ("8.19.0", True, ""),
        ("", False, ""),
    ],
)
def test_the_advice_for_oauth_2_is_that_of_the_version(version, is_better, says):
    assert is_oauth2_better(version) is is_better
    assert says in oauth2_advice_for(version)
    assert bool(says) == bool(oauth2_advice_for(version))
