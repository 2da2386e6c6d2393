"""The administration: an integration from its form to the first login, and all that comes after."""

import base64
import re

import pytest
import trustme
from django.contrib.admin import site
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from social_django.models import UserSocialAuth

from social_bitbucket_server.django import integrations, key_rotation
from social_bitbucket_server.django.admin import IntegrationAdmin
from social_bitbucket_server.django.models import Event, Integration, KeyPair
from tests.capabilities import capability
from tests.client_certificates import issue
from tests.frameworks.django.conftest import (
    PASSWORD,
    Visitor,
    happenings,
    login_page,
    make_integration,
    paste_public_key,
    use_another_link,
)

ADMIN = "/admin/social_bitbucket_server/integration/"
ACTIONS = (
    "check-up",
    "try",
    "new-key-pair",
    "verify-key-pair",
    "old-link-removed",
    "try-move",
    "give-up-move",
    "enable",
    "disable",
    "replace-login-link",
    "close-login-link",
    "open-login-link",
    "enforce",
    "lift",
)


def setup_page(record):
    return f"{ADMIN}{record.pk}/setup/"


def text_of(answer):
    return re.sub(r"\s+", " ", answer.content.decode())


def press(staff, record, action):
    return staff.post(f"{ADMIN}{record.pk}/{action}/", form_at=setup_page(record))


def staff_who_may(*permissions):
    """The browser of staff with these permissions and no others."""
    user = get_user_model().objects.create_user("clerk", password=PASSWORD, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    visitor = Visitor()
    visitor.client.login(username="clerk", password=PASSWORD)
    return visitor


@pytest.fixture
def clerk():
    """Staff who may look at integrations and change nothing."""
    return staff_who_may("view_integration")


@capability("integration")
def test_the_whole_story(staff, visitor, bitbucket_sandbox):
    added = staff.post(
        f"{ADMIN}add/", name="Acme", slug="acme", base_url=f"{bitbucket_sandbox.url}/", ca_certificates=""
    )
    record = Integration.objects.get()
    assert (added.status_code, added["Location"]) == (302, setup_page(record))
    page = text_of(staff.open(added["Location"]))
    assert "Nobody has logged in yet." in page
    value = dict(re.findall(r'<input id="([a-z-]+)" value="([^"]*)" readonly', page))
    public_key = re.search(r'<textarea id="public-key"[^>]*>([^<]+)<', staff.open(setup_page(record)).content.decode())[
        1
    ]
    bitbucket_sandbox.link(
        consumer_key=value["consumer-key"], public_key=public_key, application_url=value["application-url"]
    )
    check_up = text_of(press(staff, record, "check-up"))
    assert check_up.count("passed</span>") == 7
    login_link = re.search(r'<input id="login-link" value="([^"]*)"', check_up)[1]
    assert visitor.open(login_link).status_code == 200
    visitor.log_in(record, bitbucket_sandbox)
    assert visitor.name == "jane"
    assert "It works: 1 person has logged in through it so far." in text_of(staff.open(setup_page(record)))


def test_the_login_link_is_shown_when_the_connection_works(staff, acme, bitbucket_sandbox):
    def shows_link(page):
        return 'id="login-link"' in text_of(page)

    setup = setup_page(acme)
    page = text_of(staff.open(setup))
    end = page.index("Done? The test of the connection shows whether Bitbucket has it all")
    assert page.index(f"{acme.pk}/check-up/", end) < page.index("</section>", end)
    assert not shows_link(staff.open(setup)), "a draft"
    bitbucket_sandbox.faults.server_error = True
    assert not shows_link(press(staff, acme, "check-up"))
    assert not shows_link(staff.open(setup)), "the test failed"
    bitbucket_sandbox.faults.server_error = False
    assert shows_link(press(staff, acme, "check-up"))
    assert shows_link(staff.open(setup))
    integrations.enable(acme, enabled=False)
    assert not shows_link(staff.open(setup)), "disabled"
    integrations.enable(acme, enabled=True)
    assert shows_link(staff.open(setup))
    acme.base_url = "https://another.example.com"
    integrations.change(acme)
    assert not shows_link(staff.open(setup)), "another server, which was not tested"


def test_a_new_integration_has_random_keys_and_namespace(acme, globex):
    for value in ("id", "namespace", "consumer_key"):
        assert getattr(acme, value) != getattr(globex, value)
        assert re.fullmatch("[0-9a-f]{24,40}", getattr(acme, value))


@pytest.mark.parametrize(
    ("base_url", "says"),
    [
        ("http://bitbucket.example.com", "It begins with http://"),
        ("https://10.1.2.3", "It has an IP address instead of a host name."),
        ("https://bitbucket", "Its host name has no dot"),
        ("https://bitbucket.example.com:22", "Port 22 is not one of"),
    ],
)
def test_a_base_url_that_must_not_be_asked_is_not_kept(staff, base_url, says):
    page = staff.post(f"{ADMIN}add/", name="Acme", slug="acme", base_url=base_url, ca_certificates="")
    assert f"This base URL cannot be used. {says}" in text_of(page)
    assert not Integration.objects.exists()


def test_a_client_certificate_is_kept_with_its_key_sealed(staff, acme):
    first, second = issue(trustme.CA()), issue(trustme.CA())
    change(staff, acme, **first._asdict())
    acme.refresh_from_db()
    found = integrations.find(acme.pk)
    assert (found.server.client_certificate, found.server.client_key) == first
    assert "PRIVATE KEY" not in acme.sealed_client_key
    page = staff.open(f"{ADMIN}{acme.pk}/change/").content.decode()
    assert first.client_certificate.splitlines()[1] in page
    assert "PRIVATE KEY" not in page
    assert acme.sealed_client_key not in page
    before = acme.sealed_client_key
    change(staff, acme, client_certificate=first.client_certificate)
    acme.refresh_from_db()
    assert acme.sealed_client_key == before
    refused = change(staff, acme, client_certificate=second.client_certificate)
    assert "The key is not the client certificate&#x27;s." in text_of(refused)
    change(staff, acme, **second._asdict())
    found = integrations.find(acme.pk)
    assert (found.server.client_certificate, found.server.client_key) == second
    change(staff, acme, client_certificate="")
    acme.refresh_from_db()
    assert (acme.client_certificate, acme.sealed_client_key) == ("", "")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"client_key": ""}, "Give the key of the client certificate, too."),
        ({"client_certificate": ""}, "Give the certificate that the key belongs to."),
        ({"client_certificate": "nothing"}, "It is not a certificate in PEM, from"),
        ({"base_url": "https://bitbucket"}, "This base URL cannot be used."),
        (
            {"client_key": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----"},
            "openssl pkey -in client.key -out client-plain.key",
        ),
    ],
)
def test_the_key_of_a_client_certificate_is_not_shown_on_the_page_that_refuses_it(staff, acme, wrong, says):
    shown = issue(trustme.CA())
    both = shown.client_certificate + shown.client_key
    page = change(staff, acme, **({"client_certificate": both, "client_key": shown.client_key} | wrong))
    assert says in text_of(page)
    assert "PRIVATE KEY" not in text_of(page)
    acme.refresh_from_db()
    assert (acme.client_certificate, acme.sealed_client_key) == ("", "")


@pytest.mark.parametrize("url", [{}, {"base_url": "https://bitbucket"}], ids=["wrong", "beside something wrong"])
def test_a_wrapped_key_is_not_shown_again_either(staff, acme, url):
    shown = issue(trustme.CA())
    wrapped = base64.b64encode("".join(shown).encode()).decode()
    page = change(staff, acme, client_certificate=wrapped, client_key=wrapped if url else "nothing", **url)
    assert page.status_code == 200
    assert wrapped[:60] not in page.content.decode()
    assert (shown.client_certificate.splitlines()[1] in page.content.decode()) is bool(url)


def test_connections_may_go_elsewhere(staff, acme):
    page = change(staff, acme, connect_to="inside:8443")
    assert "The address to connect to cannot be used. Its host name has no dot" in text_of(page)
    change(staff, acme, connect_to=" inside.example.com:8443 ")
    acme.refresh_from_db()
    found = integrations.find(acme.pk)
    assert str(found.server.connect_to) == acme.connect_to == "inside.example.com:8443"


def test_a_private_key_pasted_as_certificate_is_refused_and_not_shown_again(staff, bitbucket_sandbox, keys):
    page = staff.post(
        f"{ADMIN}add/", name="Acme", slug="acme", base_url=bitbucket_sandbox.url, ca_certificates=keys[0].pem()
    )
    assert "It contains a private key" in text_of(page)
    assert "PRIVATE KEY" not in page.content.decode()


def test_no_page_shows_a_private_key_or_asks_for_one(staff, acme):
    for address in (setup_page(acme), f"{ADMIN}{acme.pk}/change/", f"{ADMIN}{acme.pk}/delete/", f"{ADMIN}add/", ADMIN):
        page = staff.open(address)
        assert page.status_code == 200
        assert "PRIVATE KEY" not in page.content.decode()
        assert "private_key" not in page.content.decode()
        assert KeyPair.objects.get().sealed_private_key not in page.content.decode()


def test_the_pages_have_no_inline_script_or_style(staff, acme, visitor):
    for page in (staff.open(setup_page(acme)), press(staff, acme, "check-up"), visitor.open(login_page(acme))):
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=", page.content.decode())


def test_a_copy_button_has_words_for_both_ends(staff, acme):
    buttons = re.findall(r"<button [^>]*data-copies=[^>]*>", text_of(staff.open(setup_page(acme))))
    assert buttons
    for button in buttons:
        words = dict(re.findall('data-([a-z]+)="([^"]*)"', button))
        assert (words["copied"], words["refused"]) == ("Copied", "Not copied")
        assert words["selected"] == "Not copied. The value is selected: copy it by hand."


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_is_a_post_of_somebody_who_may(staff, clerk, acme, action):
    address = f"{ADMIN}{acme.pk}/{action}/"
    before = Event.objects.count()
    assert staff.open(address).status_code == 405
    assert staff.client.post(address).status_code == 403
    assert clerk.post(address, form_at=ADMIN).status_code == 403
    assert Visitor().post(address, form_at=login_page(acme)).status_code == 302
    assert Event.objects.count() == before


def test_who_may_only_look_sees_the_worksheet_and_no_buttons(clerk, acme):
    page = text_of(clerk.open(setup_page(acme)))
    assert acme.consumer_key in page
    assert "Make a new key pair" not in page


def test_staff_without_permission_sees_nothing(acme):
    nobody = staff_who_may()
    assert nobody.open(setup_page(acme)).status_code == 403
    refused = nobody.post(f"{ADMIN}{acme.pk}/delete/", form_at=login_page(acme), post="yes", name="wrong")
    assert refused.status_code == 403
    assert acme.name not in nobody.open("/admin/").content.decode()


def test_who_may_only_add_goes_on_where_they_may(bitbucket_sandbox):
    newcomer = staff_who_may("add_integration")
    added = newcomer.post(f"{ADMIN}add/", name="Acme", slug="acme", base_url=bitbucket_sandbox.url, ca_certificates="")
    assert Integration.objects.exists()
    assert newcomer.open(added["Location"]).status_code == 200


@capability("worksheet")
def test_the_worksheet_is_that_of_the_version_found(staff, acme):
    page = text_of(staff.open(setup_page(acme)))
    assert "Create new link" not in page
    assert "Test the connection to find out which it is." in page
    assert "Create new link" in text_of(staff.open(f"{setup_page(acme)}?bitbucket=7.19"))
    Integration.objects.update(server_version="7.6.0")
    page = text_of(staff.open(setup_page(acme)))
    assert "Create new link" in page
    assert "to find out which it is" not in page
    assert "Create new link" not in text_of(staff.open(f"{setup_page(acme)}?bitbucket=7.20"))


@capability("check-up")
def test_a_check_up_says_where_the_way_ends_and_what_to_do(staff, acme):
    use_another_link(acme)
    page = text_of(press(staff, acme, "check-up"))
    assert "failed</span>" in page
    assert "What to do:" in page
    assert Event.objects.get(what="integration.tested").problem == "consumer_key_unknown"


def test_a_check_up_remembers_bitbuckets_version(staff, acme):
    press(staff, acme, "check-up")
    acme.refresh_from_db()
    assert acme.server_version == "10.2.0"


def test_no_transaction_waits_for_bitbucket(staff, acme, monkeypatch):
    look, is_waiting = integrations.run_check_up, []

    def look_and_see(*arguments, **options):
        is_waiting.append(connection.in_atomic_block)
        return look(*arguments, **options)

    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    monkeypatch.setattr(integrations, "run_check_up", look_and_see)
    press(staff, acme, "check-up")
    assert is_waiting == [False]


def test_a_check_up_ends_well_where_the_integration_was_deleted_meanwhile(acme):
    stages = integrations.check_up(acme)
    results = [next(stages)]
    integrations.delete(Integration.objects.get())
    results += stages
    assert all(result.outcome.lets_logins_work for result in results)
    assert happenings()[-1] == "integration.tested"


def test_no_key_pair_is_made_for_an_integration_that_was_deleted_meanwhile(staff, acme, monkeypatch):
    lock = integrations.lock
    monkeypatch.setattr(integrations, "lock", lambda key: Integration.objects.all().delete() and lock(key))
    assert press(staff, acme, "new-key-pair").status_code == 404


@capability("key rotation")
def test_a_new_key_pair_waits_until_bitbucket_accepts_it(staff, visitor, acme, bitbucket_sandbox, keys):
    press(staff, acme, "new-key-pair")
    refused = press(staff, acme, "verify-key-pair")
    assert refused.status_code == 422
    assert "Bitbucket does not have the new public key yet." in text_of(refused)
    visitor.log_in(acme, bitbucket_sandbox)
    assert visitor.name == "jane"
    paste_public_key(bitbucket_sandbox, acme, keys[1].public.pem)
    assert press(staff, acme, "verify-key-pair").status_code == 303
    assert KeyPair.objects.get(state="retired").sealed_private_key == ""
    assert KeyPair.objects.get(state="active").fingerprint == keys[1].public.fingerprint
    Visitor().log_in(acme, bitbucket_sandbox)


def test_a_second_new_key_pair_takes_the_place_of_the_first(staff, acme, keys):
    press(staff, acme, "new-key-pair")
    press(staff, acme, "new-key-pair")
    assert KeyPair.objects.get(state="pending").fingerprint == keys[2].public.fingerprint
    assert KeyPair.objects.get(state="retired").sealed_private_key == ""


def test_there_may_be_nothing_to_verify(staff, acme):
    press(staff, acme, "verify-key-pair")
    assert "There is no new key pair to verify." in text_of(staff.open(setup_page(acme)))


@capability("integration")
def test_disabling_and_enabling(staff, visitor, acme):
    press(staff, acme, "disable")
    assert visitor.open(login_page(acme)).status_code == 404
    press(staff, acme, "enable")
    assert visitor.open(login_page(acme)).status_code == 200
    assert happenings()[-2:] == ["integration.disabled", "integration.enabled"]


@capability("integration")
def test_deleting_says_what_is_lost_and_asks_for_the_name(staff, visitor, acme, bitbucket_sandbox):
    visitor.log_in(acme, bitbucket_sandbox)
    address = f"{ADMIN}{acme.pk}/delete/"
    page = text_of(staff.open(address))
    assert "1 Bitbucket account logs in through this integration." in page
    assert "For 1 person it is the only one" in page
    staff.post(address, post="yes", name="acme")
    assert Integration.objects.exists()
    staff.post(address, post="yes", name="Acme")
    assert not Integration.objects.exists()
    assert not KeyPair.objects.exists()
    assert not UserSocialAuth.objects.exists()
    assert get_user_model().objects.filter(username="jane").exists()
    assert happenings()[-1] == "integration.deleted"


def test_integrations_are_not_deleted_by_the_dozen(staff, acme):
    assert "delete_selected" not in staff.open(ADMIN).content.decode()


def change(staff, record, **fields):
    values = {"name": record.name, "base_url": record.base_url, "ca_certificates": "", **fields}
    return staff.post(f"{ADMIN}{record.pk}/change/", **values)


def test_another_server_needs_an_integration_of_its_own_once_people_have_logged_in(
    staff, visitor, acme, bitbucket_sandbox, other_sandbox
):
    assert change(staff, acme, base_url=other_sandbox.url).status_code == 302
    change(staff, acme, base_url=bitbucket_sandbox.url)
    visitor.log_in(acme, bitbucket_sandbox)
    assert "Tick this if the server only moved." in text_of(change(staff, acme, base_url=other_sandbox.url))
    assert change(staff, acme, base_url=f"{bitbucket_sandbox.url}/", name="Acme Ltd").status_code == 302
    assert change(staff, acme, base_url=other_sandbox.url, same_server="on").status_code == 303
    acme.refresh_from_db()
    assert (acme.base_url, acme.moving_to) == (bitbucket_sandbox.url, other_sandbox.url)


@pytest.mark.parametrize(
    ("fields", "shown"), [(("name", "base_url"), ["name", "base_url", "same_server"]), (("name",), ["name"])]
)
def test_an_administration_of_ones_own_chooses_the_fields(acme, fields, shown):
    own = type("OwnAdmin", (IntegrationAdmin,), {"fields": fields})(Integration, site)
    assert own.get_fields(None) == list(fields)
    assert own.get_fields(None, acme) == [*shown, *own.readonly_fields]


def test_the_login_link_stays(staff, acme):
    change(staff, acme, slug="other")
    acme.refresh_from_db()
    assert acme.slug == "acme"


@capability("events")
def test_a_reference_number_leads_to_what_happened_and_what_to_do(staff, visitor, acme, bitbucket_sandbox):
    callback = bitbucket_sandbox.authorize(visitor.begin(acme)["Location"])
    visitor.open(callback)
    reference = re.search(r"Reference ([0-9A-F]{8})", visitor.open(callback).content.decode())[1]
    for address in (f"/admin/social_bitbucket_server/event/?q={reference}", setup_page(acme)):
        page = text_of(staff.open(address))
        assert reference in page
        assert "This login is not under way in this browser." in page
        assert "Go back to the login page and begin again." in page


def test_the_administration_shows_times_where_the_project_has_no_time_zones(staff, visitor, bitbucket_sandbox):
    with override_settings(USE_TZ=False, TIME_ZONE="Asia/Tokyo"):
        acme = make_integration("acme", bitbucket_sandbox)
        visitor.log_in(acme, bitbucket_sandbox)
        acme.refresh_from_db()
        assert Event.objects.earliest("id").at <= acme.last_login_at <= Event.objects.latest("id").at
        for address in ("/admin/social_bitbucket_server/event/", setup_page(acme)):
            assert " JST<" in text_of(staff.open(address))


def test_nobody_adds_changes_or_deletes_an_event(staff, acme):
    event = Event.objects.first()
    assert staff.open("/admin/social_bitbucket_server/event/").status_code == 200
    assert staff.open("/admin/social_bitbucket_server/event/add/").status_code == 403
    for action in ("change", "delete"):
        address = reverse(f"admin:social_bitbucket_server_event_{action}", args=[event.pk])
        assert staff.client.post(address).status_code == 403
    assert Event.objects.filter(pk=event.pk).exists()


def test_texts_of_others_are_shown_as_texts(staff, visitor, acme):
    Integration.objects.update(name='<script>alert(1)</script>"><img src=x>{{7*7}}')
    for page in (staff.open(setup_page(acme)), staff.open(ADMIN), visitor.open(login_page(acme))):
        assert "<script>alert(1)" not in page.content.decode()
        assert "<img src=x>" not in page.content.decode()
        assert "{{7*7}}" in page.content.decode()


def test_the_list_of_integrations_asks_once_for_all_of_them(staff, acme, bitbucket_sandbox):
    def queries():
        with CaptureQueriesContext(connection) as asked:
            assert staff.open(ADMIN).status_code == 200
        return len(asked)

    queries()
    alone = queries()
    key_rotation.begin(make_integration("globex", bitbucket_sandbox))
    assert queries() == alone
    assert "A new key pair waits for Bitbucket" in text_of(staff.open(ADMIN))


def test_what_was_edited_at_the_moment_of_disabling_enables_nothing_again(acme, visitor, bitbucket_sandbox):
    visitor.log_in(acme, bitbucket_sandbox)
    at_hand = Integration.objects.get()
    Integration.objects.update(last_login_at=None, server_version="8.19.1")
    integrations.enable(acme, enabled=False)
    at_hand.name = "Acme Ltd"
    integrations.change(at_hand)
    stored = Integration.objects.get()
    assert (stored.name, stored.enabled) == ("Acme Ltd", False)
    assert (stored.last_login_at, stored.server_version) == (None, "8.19.1")


def opened_form(staff, record):
    """Open the form, and return the hidden field that it sends back: its ``revision``."""
    page = staff.open(f"{ADMIN}{record.pk}/change/").content.decode()
    return {"revision": re.search(r'<input type="hidden" name="revision" value="(\d+)"', page)[1]}


def test_of_two_people_with_the_same_form_open_the_second_is_told_what_the_first_saved(staff, acme):
    first, second = opened_form(staff, acme), opened_form(staff, acme)
    assert change(staff, acme, name="Acme Ltd", **first).status_code == 302
    refused = change(staff, acme, name="Acme Inc", **second)
    page = text_of(refused)
    assert refused.status_code == 200
    assert "Somebody else changed this integration after you had opened this page" in page
    assert "There is now: Acme Ltd" in page
    assert 'value="Acme Inc"' in page
    assert page.count("There is now:") == 1
    assert Integration.objects.get().name == "Acme Ltd"
    again = re.search(r'name="revision" value="(\d+)"', page)[1]
    assert change(staff, acme, name="Acme Inc", revision=again).status_code == 302
    assert Integration.objects.get().name == "Acme Inc"


def test_a_change_by_somebody_who_was_faster_by_a_moment_is_looked_at_again(staff, acme, monkeypatch):
    save, refusals = integrations.change, iter([integrations.ChangedMeanwhileError()])

    def lose_once(*arguments):
        for refusal in refusals:
            raise refusal
        save(*arguments)

    monkeypatch.setattr(integrations, "change", lose_once)
    assert change(staff, acme, name="Acme Ltd", **opened_form(staff, acme)).status_code == 302
    assert Integration.objects.get().name == "Acme Ltd"


def test_a_program_that_changes_what_it_read_before_another_change_is_refused(acme):
    stale = Integration.objects.get()
    for name in ("Acme Ltd", "Acme Inc"):
        acme.name = name
        integrations.change(acme)
    stale.name = "Globex"
    with pytest.raises(integrations.ChangedMeanwhileError):
        integrations.change(stale)
    assert Integration.objects.get().name == "Acme Inc"
    assert happenings().count("integration.updated") == 2


def test_an_integration_that_was_deleted_meanwhile_is_not_changed(acme):
    stale = Integration.objects.get()
    integrations.delete(acme)
    with pytest.raises(integrations.ChangedMeanwhileError):
        integrations.change(stale)


def test_the_history_of_an_integration_says_who_did_what(staff, acme, bitbucket_sandbox, keys):
    change(staff, acme, base_url=f"{bitbucket_sandbox.url}/elsewhere")
    change(staff, acme)
    for action in ("disable", "enable", "new-key-pair", "verify-key-pair"):
        press(staff, acme, action)
    paste_public_key(bitbucket_sandbox, acme, keys[1].public.pem)
    for action in ("verify-key-pair", "verify-key-pair", "old-link-removed"):
        press(staff, acme, action)
    page = staff.open(f"{ADMIN}{acme.pk}/history/").content.decode().partition('id="change-history"')[2]
    rows = re.findall(r"<tr>\s*<th.*?</th>\s*<td>(.*?)</td>\s*<td>(.*?)</td>", page, re.DOTALL)
    assert {who.strip() for who, _ in rows} == {"root"}
    assert sorted(what.strip() for _, what in rows) == sorted(
        [
            "Changed Base URL.",
            "Changed Base URL.",
            "An integration was disabled.",
            "An integration was enabled.",
            "A key pair was made.",
            "A new key pair is in use.",
        ]
    )


def test_the_events_name_people_and_ask_once_for_all_of_them(staff, acme):
    events = "/admin/social_bitbucket_server/event/"

    def queries():
        with CaptureQueriesContext(connection) as asked:
            assert staff.open(events).status_code == 200
        return len(asked)

    press(staff, acme, "disable")
    queries()
    alone = queries()
    for name in ("jane", "jo"):
        user = get_user_model().objects.create_user(name)
        integrations.enable(acme, user, enabled=True)
    assert queries() == alone
    jane, root = (get_user_model().objects.get(username=name) for name in ("jane", "root"))
    jane_id = jane.pk
    jane.delete()
    page = text_of(staff.open(events))
    assert f"root ({root.pk})" in page
    assert "jane" not in page
    assert f'<td class="field-person">{jane_id}</td>' in page
    assert text_of(staff.open(f"{events}?q={root.pk}")).count(f"root ({root.pk})") == 1


@pytest.mark.parametrize("odd", [SimpleUploadedFile("x", b"abc"), "9" * 5000, ["1", "2"], "\x00"])
def test_odd_fields_end_in_the_form_again(staff, acme, odd):
    fields = {"name": "Other", "slug": "other", "base_url": acme.base_url, "ca_certificates": "", "revision": "0"}
    for name in (*fields, "same_server"):
        for page in (f"{ADMIN}add/", f"{ADMIN}{acme.pk}/change/"):
            assert staff.post(page, **{**fields, name: odd}).status_code in {200, 302, 400}
