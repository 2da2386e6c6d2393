"""Set-up links: a Bitbucket admin without an account sets one integration up; and the script for those with one."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone

from social_bitbucket_server.django import configuration_text, integrations, key_rotation, setup_links
from social_bitbucket_server.django.models import ClientCredentials, Event, Integration, SetupLink
from social_bitbucket_server.organizations import OAuth, SetupLinkLife
from tests.capabilities import capability
from tests.frameworks.django.conftest import happenings, login_page, paste_public_key
from tests.frameworks.django.test_admin import ADMIN, staff_who_may, text_of
from tests.security.rows import row

OVER = "This set-up link does not open any more"


def page_of(record):
    return f"{ADMIN}{record.pk}/setup-link/"


def press(staff, record, action, **fields):
    return staff.post(f"{ADMIN}{record.pk}/{action}/", form_at=page_of(record), **fields)


def make(staff, record, **fields):
    """Make a set-up link as staff does. Returns its path."""
    answer = press(staff, record, "make-setup-link", **fields)
    return re.search(r'id="setup-link" value="http://127.0.0.1:8000([^"]+)"', answer.content.decode())[1]


def correct(visitor, path, base_url, ca_certificates=""):
    return visitor.post(f"{path}server/", form_at=path, base_url=base_url, ca_certificates=ca_certificates)


def why(visitor, path):
    answer = visitor.open(path)
    assert answer.status_code == 410
    return re.search(r"<h1>.*</h1> <p>(.*?) ?</p>", text_of(answer))[1]


@pytest.fixture
def draft(bitbucket_sandbox):
    """An integration that its Bitbucket does not know yet."""
    record = Integration(name="Acme", slug="acme", base_url=bitbucket_sandbox.url)
    record.full_clean()
    integrations.create(record)
    return record


@capability("set-up link")
def test_a_bitbucket_admin_without_an_account_sets_an_integration_up(staff, visitor, draft, bitbucket_sandbox):
    path = make(staff, draft)
    page = visitor.open(path)
    assert "Let Acme log in with Bitbucket" in text_of(page)
    value = dict(re.findall(r'<input id="([a-z-]+)" value="([^"]*)" readonly', text_of(page)))
    public_key = re.search(r'<textarea id="public-key"[^>]*>([^<]+)<', page.content.decode())[1]
    failed = visitor.post(f"{path}test/", form_at=path)
    assert "A stage failed." in text_of(failed)
    bitbucket_sandbox.link(
        consumer_key=value["consumer-key"], public_key=public_key, application_url=value["application-url"]
    )
    passed = visitor.post(f"{path}test/", form_at=path)
    assert "The connection works, and your part is done." in text_of(passed)
    assert integrations.login_link(draft) not in text_of(passed)
    draft.refresh_from_db()
    assert draft.server_version
    visitor.log_in(draft, bitbucket_sandbox)
    assert "The set-up is done: people log in." in why(visitor, path)
    opened = ["setup_link.created", "setup_link.opened", "integration.tested", "integration.tested"]
    assert happenings()[2:6] == opened


@row(124)
def test_the_token_is_stored_as_its_digest_alone(staff, draft):
    token = make(staff, draft).split("/")[-2]
    assert len(token) == 43
    stored = repr(list(SetupLink.objects.values())) + repr(list(Event.objects.values()))
    assert token not in stored
    assert token not in text_of(staff.open(page_of(draft)))
    assert token not in text_of(staff.open(f"{ADMIN}{draft.pk}/history/"))


def test_the_token_is_not_in_the_log_of_refused_requests(staff, visitor, draft, caplog):
    path = make(staff, draft)
    caplog.set_level("DEBUG")
    correct(visitor, path, "ftp://bitbucket.example.com")
    visitor.open(f"{path}test/")
    integrations.enable(draft, enabled=False)
    visitor.open(path)
    integrations.delete(draft)
    visitor.open(path)
    logged = " ".join(record.getMessage() for record in caplog.records)
    for status in ("Unprocessable Entity", "Method Not Allowed", "Not Found", "Gone"):
        assert f"{status}" in logged
    assert path.split("/")[-2] not in logged


def test_the_page_of_a_link_is_kept_from_caches_search_engines_and_other_sites(staff, visitor, draft):
    path = make(staff, draft)
    setup_links.revoke(draft)
    for answer in (visitor.open(path), visitor.open(make(staff, draft))):
        assert answer["X-Robots-Tag"] == "noindex, nofollow"
        assert answer["Referrer-Policy"] == "same-origin"
        assert "no-store" in answer["Cache-Control"]
        assert answer["X-Frame-Options"] == "DENY"


@row(124)
@pytest.mark.parametrize("life", SetupLinkLife)
def test_a_link_lives_as_long_as_was_chosen(staff, visitor, draft, life):
    path = make(staff, draft, life=life.value)
    link = SetupLink.objects.get()
    assert link.expires_at - link.created_at == life.length
    SetupLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert why(visitor, path).startswith("It has expired.")
    assert "The link that opens now" not in text_of(staff.open(page_of(draft)))


@row(124)
def test_a_new_link_ends_the_one_before(staff, visitor, draft):
    first = make(staff, draft)
    second = make(staff, draft)
    assert why(visitor, first).startswith("It was ended, or a newer one took its place.")
    assert visitor.open(second).status_code == 200


@row(124)
def test_staff_ends_a_link(staff, visitor, draft):
    path = make(staff, draft)
    visitor.open(path)
    assert "End it now" in text_of(staff.open(page_of(draft)))
    press(staff, draft, "revoke-setup-link")
    assert why(visitor, path).startswith("It was ended")
    press(staff, draft, "revoke-setup-link")
    assert "There is no set-up link to end." in text_of(staff.open(page_of(draft)))
    user = str(get_user_model().objects.get().pk)
    links = Event.objects.filter(what__startswith="setup_link.").order_by("id").values_list("what", "user_id")
    assert list(links) == [("setup_link.created", user), ("setup_link.opened", ""), ("setup_link.revoked", user)]


@row(124)
def test_the_link_of_a_deleted_integration_says_so(staff, visitor, draft):
    path = make(staff, draft)
    integrations.delete(draft)
    assert "was deleted" in why(visitor, path)


@row(124)
def test_the_link_of_an_integration_with_another_server_ends(staff, visitor, draft):
    path = make(staff, draft)
    draft.base_url = "https://another.example.com"
    integrations.change(draft)
    assert "leads to another server now" in why(visitor, path)
    make(staff, draft)


def test_the_link_of_a_disabled_integration_is_not_there(staff, visitor, draft):
    path = make(staff, draft)
    integrations.enable(draft, enabled=False)
    assert visitor.open(path).status_code == 404
    refused = press(staff, draft, "make-setup-link")
    assert refused.status_code == 303
    assert "Enable it first." in text_of(staff.open(page_of(draft)))
    integrations.enable(draft, enabled=True)
    assert visitor.open(path).status_code == 200


@pytest.mark.parametrize("token", ["x", "x" * 43, "x" * 44, "A" * 42 + "-"])
def test_an_unknown_token_is_not_found(visitor, token):
    for address in ("", "link.sh"):
        assert visitor.open(f"/setup/bitbucket-server/{token}/{address}").status_code == 404


def test_only_those_lives_can_be_chosen(staff, draft):
    assert press(staff, draft, "make-setup-link", life="year").status_code == 303
    assert not SetupLink.objects.exists()
    assert "Choose how long the link opens." in text_of(staff.open(page_of(draft)))


def test_who_may_only_look_makes_no_link(draft):
    clerk = staff_who_may("view_integration")
    assert "make-setup-link" not in text_of(clerk.open(page_of(draft)))
    for action in ("make-setup-link", "revoke-setup-link"):
        answer = clerk.post(f"{ADMIN}{draft.pk}/{action}/", form_at="/admin/password_change/")
        assert answer.status_code == 403


def test_a_form_of_another_site_is_refused(staff, visitor, draft):
    path = make(staff, draft)
    for action in ("test/", "server/"):
        assert visitor.client.post(path + action).status_code == 403
        assert visitor.open(path + action).status_code == 405
    assert visitor.client.post(path).status_code in {403, 405}


def test_base_url_and_ca_are_corrected_while_nobody_has_logged_in(staff, visitor, draft, bitbucket_sandbox):
    namespace = draft.namespace
    Integration.objects.update(base_url=f"{bitbucket_sandbox.url}/wrong")
    path = make(staff, draft)
    answer = correct(visitor, path, f" {bitbucket_sandbox.url}/ ")
    assert (answer.status_code, answer["Location"]) == (302, f"{path}?corrected")
    assert "The correction is saved." in text_of(visitor.open(answer["Location"]))
    draft.refresh_from_db()
    assert (draft.base_url, draft.namespace) == (bitbucket_sandbox.url, namespace)


@pytest.mark.parametrize(
    ("base_url", "ca_certificates", "said"),
    [
        ("ftp://bitbucket.example.com", "", "This base URL cannot be used."),
        ("", "", "This field is required."),
        (
            "https://bitbucket.example.com",
            "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----",
            'class="error"',
        ),
    ],
)
def test_a_correction_that_cannot_be_used_changes_nothing(staff, visitor, draft, base_url, ca_certificates, said):
    before = draft.base_url
    path = make(staff, draft)
    answer = correct(visitor, path, base_url, ca_certificates)
    assert answer.status_code == 422
    assert said in text_of(answer)
    assert "c2VjcmV0" not in text_of(answer)
    assert "Let Acme log in" in text_of(answer)
    draft.refresh_from_db()
    assert draft.base_url == before


@row(124)
def test_another_host_is_another_server_and_ends_the_link(staff, visitor, draft):
    path, namespace = make(staff, draft), draft.namespace
    assert correct(visitor, path, "https://another.example.com").status_code == 302
    assert "leads to another server now" in why(visitor, path)
    draft.refresh_from_db()
    assert draft.namespace != namespace


@row(124)
def test_nothing_is_corrected_after_the_first_login(staff, visitor, acme, bitbucket_sandbox):
    path = make(staff, acme)
    form_at = visitor.open(path)
    visitor.log_in(acme, bitbucket_sandbox)
    key_rotation.begin(acme)  # something is left to do, so the link opens
    assert "Is the base URL wrong" in text_of(form_at)
    assert "Is the base URL wrong" not in text_of(visitor.open(path))
    assert correct(visitor, path, "https://another.example.com").status_code == 404
    acme.refresh_from_db()
    assert acme.base_url == bitbucket_sandbox.url
    assert not setup_links.correct(SetupLink.objects.get(), acme, is_same_server=False)


def test_a_correction_does_not_overwrite_that_of_staff(staff, visitor, draft, monkeypatch):
    path = make(staff, draft)

    def changed_meanwhile(record):
        raise integrations.ChangedMeanwhileError

    monkeypatch.setattr(integrations, "change", changed_meanwhile)
    answer = correct(visitor, path, "https://another.example.com")
    assert answer.status_code == 409
    assert "The integration was changed meanwhile" in text_of(answer)


@pytest.fixture
def meanwhile(monkeypatch):
    """Do something right before the next lock of an integration."""

    def do(something):
        lock = integrations.lock

        def late_lock(integration_id):
            monkeypatch.setattr(integrations, "lock", lock)
            something()
            return lock(integration_id)

        monkeypatch.setattr(integrations, "lock", late_lock)

    return do


@row(124)
@pytest.mark.parametrize("end", [setup_links.revoke, setup_links.make, integrations.delete])
def test_a_correction_by_a_link_that_ends_meanwhile_is_not_saved(staff, visitor, draft, meanwhile, end):
    path, before = make(staff, draft), draft.base_url
    meanwhile(lambda: end(Integration.objects.get()))
    answer = correct(visitor, path, "https://another.example.com")
    assert answer.status_code == 410
    assert OVER in text_of(answer)
    assert set(Integration.objects.values_list("base_url", flat=True)) <= {before}


@row(124)
def test_credentials_by_a_link_that_ends_meanwhile_are_not_saved(staff, visitor, for_oauth2, meanwhile):
    path = make(staff, for_oauth2)
    meanwhile(lambda: setup_links.revoke(for_oauth2))
    answer = enter(visitor, path, "x", "x")
    assert answer.status_code == 410
    assert OVER in text_of(answer)
    assert not ClientCredentials.objects.exists()


def test_the_waiting_public_key_is_pasted_and_tested_by_link(staff, visitor, acme, bitbucket_sandbox):
    visitor.log_in(acme, bitbucket_sandbox)
    key_rotation.begin(acme)
    path = make(staff, acme)
    page = visitor.open(path)
    pem = re.search(r'<textarea id="new-public-key"[^>]*>([^<]+)<', page.content.decode())[1]
    assert acme.consumer_key in text_of(page)
    assert "A stage failed." in text_of(visitor.post(f"{path}test/", form_at=path))
    assert "key.refused" in happenings()
    paste_public_key(bitbucket_sandbox, acme, pem)
    assert "Bitbucket accepts the new public key" in text_of(visitor.post(f"{path}test/", form_at=path))
    assert key_rotation.verify(acme)
    assert visitor.open(path).status_code == 200, "the last login was before the link was made"


def test_the_worksheet_of_a_new_link_is_shown_by_link(staff, visitor, acme, bitbucket_sandbox):
    key_rotation.begin(acme, with_new_link=True)
    path = make(staff, acme)
    page = text_of(visitor.open(path))
    assert "a new application link beside the old one" in page
    assert acme.pending_key_pair.consumer_key in page
    assert acme.pending_key_pair.consumer_key in text_of(visitor.open(f"{path}link.sh"))
    pair = acme.pending_key_pair
    bitbucket_sandbox.link(
        consumer_key=pair.consumer_key,
        public_key=pair.public_pem,
        application_url=integrations.application_url(acme, pair.link),
    )
    assert "Bitbucket accepts the new link" in text_of(visitor.post(f"{path}test/", form_at=path))


@capability("link script")
def test_the_script_is_a_file_for_staff_and_by_link(staff, visitor, draft):
    of_link = visitor.open(f"{make(staff, draft)}link.sh")
    of_staff = staff_who_may("view_integration").open(f"{ADMIN}{draft.pk}/link-script/")
    assert of_link.content == of_staff.content == integrations.script_of(draft, draft.active_key_pair).encode()
    assert of_link.content.startswith(b"#!/bin/sh")
    assert of_staff["Content-Disposition"] == 'attachment; filename="link.sh"'
    assert of_staff["Content-Type"].startswith("text/plain")
    assert "link-script" in text_of(staff.open(f"{ADMIN}{draft.pk}/setup/"))
    draft.active_key_pair.delete()
    assert staff.open(f"{ADMIN}{draft.pk}/link-script/").status_code == 404


def test_the_script_of_a_new_link_takes_the_place_of_the_old_ones(staff, acme):
    key_rotation.begin(acme)
    script = staff.open(f"{ADMIN}{acme.pk}/link-script/")
    assert acme.consumer_key in text_of(script)
    key_rotation.begin(acme, with_new_link=True)
    script = staff.open(f"{ADMIN}{acme.pk}/link-script/")
    assert acme.pending_key_pair.consumer_key in text_of(script)


def test_without_a_key_pair_there_is_nothing_to_test_or_download(staff, visitor, draft):
    path = make(staff, draft)
    draft.active_key_pair.delete()
    assert visitor.open(f"{path}link.sh").status_code == 404
    visitor.open(path)
    token = visitor.client.cookies["csrftoken"].value
    assert visitor.client.post(f"{path}test/", {"csrfmiddlewaretoken": token}).status_code == 404


def test_tests_by_link_are_bounded_and_those_of_staff_are_not(staff, visitor, draft, monkeypatch):
    monkeypatch.setattr(setup_links, "MOST_REQUESTS", 1)
    path = make(staff, draft)
    visitor.post(f"{path}test/", form_at=path)
    for answer in (visitor.post(f"{path}test/", form_at=path), correct(visitor, path, draft.base_url)):
        assert (answer.status_code, answer["Retry-After"]) == (429, "3600")
        assert "tested too often" in text_of(answer)
    assert press(staff, draft, "check-up").status_code == 200
    Event.objects.update(at=timezone.now() - timedelta(hours=2))
    assert visitor.post(f"{path}test/", form_at=path).status_code == 200


def test_opening_is_noted_once_for_each_browser(staff, visitor, draft):
    path = make(staff, draft)
    visitor.open(path)
    visitor.open(path)
    assert happenings().count("setup_link.opened") == 1
    assert SetupLink.objects.get().opened_at is not None
    assert re.search(r"<dt>Opened last</dt><dd>[^<]+ from 127\.0\.0\.1</dd>", text_of(staff.open(page_of(draft))))


def test_an_opening_without_an_address_shows_its_time_alone(staff, visitor, draft):
    path = make(staff, draft)
    assert "<dt>Opened last</dt><dd>Never</dd>" in text_of(staff.open(page_of(draft)))
    visitor.client.defaults["REMOTE_ADDR"] = ""  # as behind a socket of the file system
    visitor.open(path)
    assert re.search(r"<dt>Opened last</dt><dd>[-0-9: A-Z]+</dd>", text_of(staff.open(page_of(draft))))


def test_old_links_are_pruned(staff, draft):
    make(staff, draft)
    SetupLink.objects.update(expires_at=timezone.now() - timedelta(days=29))
    call_command("bitbucket_server", "prune")
    assert SetupLink.objects.exists()
    SetupLink.objects.update(expires_at=timezone.now() - timedelta(days=31))
    call_command("bitbucket_server", "prune")
    assert not SetupLink.objects.exists()


def test_the_page_says_what_is_read_and_kept(staff, visitor, draft):
    path = make(staff, draft)
    assert "no person's token and no password." in text_of(visitor.open(path))
    Integration.objects.update(allow_groups=["developers"])
    with override_settings(SOCIAL_AUTH_BITBUCKET_SERVER_STORE_ACCESS_TOKEN=True):
        page = text_of(visitor.open(path))
    assert "each person's token, encrypted. No password." in page
    assert "whether they meet a condition of Acme" in page


# OAuth 2


def enter(visitor, path, client_id, client_secret):
    return visitor.post(f"{path}credentials/", form_at=path, client_id=client_id, client_secret=client_secret)


@pytest.fixture
def for_oauth2(both, bitbucket_sandbox):
    """An integration for OAuth 2 that waits for its credentials."""
    record = Integration(name="Acme", slug="acme", base_url=bitbucket_sandbox.url)
    record.full_clean()
    integrations.create(record, oauth=OAuth.TWO)
    return record


@capability("credentials by set-up link")
def test_a_bitbucket_admin_enters_the_credentials_and_people_log_in(staff, visitor, for_oauth2, bitbucket_sandbox):
    path = make(staff, for_oauth2)
    page = text_of(visitor.open(path))
    assert "an application link with OAuth 2" in page
    assert "up to 7.19" not in page
    for absent in ("link.sh", "I saved it"):
        assert absent not in page
    value = dict(re.findall(r'<input id="([a-z-]+)" value="([^"]*)" readonly', page))
    made = bitbucket_sandbox.link_external_application(redirect_url=value["redirect-url"], name=value["name"])
    tested = enter(visitor, path, made.client_id, made.client_secret)
    assert "The connection works, and your part is done." in text_of(tested)
    assert made.client_secret not in text_of(visitor.open(path))
    assert made.client_secret not in repr(list(ClientCredentials.objects.values()))
    assert "A client ID is saved." in text_of(visitor.open(path))
    assert "The connection works" in text_of(visitor.post(f"{path}test/", form_at=path))
    visitor.log_in(for_oauth2, bitbucket_sandbox)
    assert visitor.name == "jane"
    assert "The set-up is done" in why(visitor, path)


@pytest.mark.parametrize(("client_id", "client_secret"), [("", "x"), ("x", ""), ("x y", "x"), ("x", "x" * 256)])
def test_what_is_no_credential_is_refused_and_not_shown_again(staff, visitor, for_oauth2, client_id, client_secret):
    path = make(staff, for_oauth2)
    answer = enter(visitor, path, client_id, client_secret)
    assert answer.status_code == 422
    assert 'class="error"' in text_of(answer)
    assert "x" * 256 not in text_of(answer)
    assert not ClientCredentials.objects.exists()


def test_no_credentials_are_taken_for_oauth_1_or_after_the_first_login(
    both, staff, visitor, acme, for_oauth2_elsewhere, bitbucket_sandbox
):
    path = make(staff, acme)
    assert enter(visitor, path, "x", "x").status_code == 404
    path = make(staff, for_oauth2_elsewhere)
    form_at = visitor.open(path)
    assert form_at.status_code == 200
    Integration.objects.filter(pk=for_oauth2_elsewhere.pk).update(last_login_at=timezone.now() - timedelta(days=1))
    refused = visitor.post(f"{path}credentials/", form_at=login_page(acme), client_id="x", client_secret="x")
    assert refused.status_code == 404
    link = SetupLink.objects.get(integration_id=for_oauth2_elsewhere.pk)
    assert not setup_links.keep_credentials(link, for_oauth2_elsewhere, "x", "x")


@pytest.fixture
def for_oauth2_elsewhere(both, other_sandbox):
    record = Integration(name="Globex", slug="globex", base_url=other_sandbox.url)
    record.full_clean()
    integrations.create(record, oauth=OAuth.TWO)
    return record


def test_there_is_no_script_and_no_test_before_the_credentials_are_there(staff, visitor, for_oauth2):
    path = make(staff, for_oauth2)
    assert visitor.open(f"{path}link.sh").status_code == 404
    assert visitor.post(f"{path}test/", form_at=path).status_code == 404
    assert staff.open(f"{ADMIN}{for_oauth2.pk}/link-script/").status_code == 404


def test_the_configuration_has_the_version_of_oauth(for_oauth2, capsys):
    call_command("bitbucket_server", "export")
    text = capsys.readouterr().out
    assert "oauth = 2" in text
    integrations.delete(for_oauth2)
    assert list(configuration_text.take_over(configuration_text.read(text))) == [
        "“acme” is added, and waits for Bitbucket to know it."
    ]
    made = Integration.objects.get()
    assert (made.oauth1_ended_at is not None, made.active_key_pair) == (True, None)
