"""Many organizations: each logs in at its own address by its own server, and nobody is mixed up."""

import logging
import re
import threading
from ipaddress import ip_address, ip_network
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import override_settings
from social_django.models import Nonce, UserSocialAuth

from social_bitbucket_server.crypto import KeyRing
from social_bitbucket_server.django import events, integrations, strategy
from social_bitbucket_server.django.models import Event, Integration, KeyPair
from social_bitbucket_server.integration import Admission
from social_bitbucket_server.oauth import Client as BitbucketClient
from social_bitbucket_server.transport import AddressPolicy
from tests.capabilities import capability
from tests.frameworks.django.conftest import (
    PASSWORD,
    Visitor,
    happenings,
    login_page,
    make_integration,
    newest_event,
)

ORIGIN = "http://127.0.0.1:8000"
OWN = "SOCIAL_AUTH_BITBUCKET_SERVER_"


def callback_path(record):
    return f"/complete/bitbucket-server/{record.pk}/"


def test_an_integration_has_a_proxy_of_its_own(acme, globex):
    proxies = f"{acme.pk}=http://acme-proxy.example:3128; *=http://proxy.example:3128"
    with override_settings(**{f"{OWN}PROXIES": proxies}):
        assert integrations.find(acme.pk).server.proxies == {"all": "http://acme-proxy.example:3128"}
        assert integrations.find(globex.pk).server.proxies == {"all": "http://proxy.example:3128"}


def test_a_person_logs_in(visitor, acme, bitbucket_sandbox):
    answer = visitor.log_in(acme, bitbucket_sandbox)
    assert (answer.status_code, answer["Location"]) == (303, "/")
    assert visitor.name == "jane"


def test_what_happened_is_written_down(visitor, acme, bitbucket_sandbox):
    visitor.log_in(acme, bitbucket_sandbox)
    assert happenings() == ["key.created", "integration.created", "login.begin", "login.success"]
    assert newest_event().user_id == str(get_user_model().objects.get().pk)


def test_a_login_is_remembered_at_the_integration(visitor, acme, bitbucket_sandbox):
    visitor.log_in(acme, bitbucket_sandbox)
    acme.refresh_from_db()
    assert acme.last_login_at is not None


def test_equal_user_ids_of_two_servers_are_two_people(acme, globex, bitbucket_sandbox, other_sandbox):
    Visitor().log_in(acme, bitbucket_sandbox)
    Visitor().log_in(globex, other_sandbox)
    first, second = UserSocialAuth.objects.order_by("id")
    assert first.uid.split(":")[0] == acme.namespace
    assert second.uid.split(":")[0] == globex.namespace
    assert first.uid.split(":")[1] == second.uid.split(":")[1]
    assert first.user != second.user


def test_the_login_page_begins_nothing_by_itself(visitor, acme, bitbucket_sandbox):
    page = visitor.open(login_page(acme))
    assert "Log in to Acme" in page.content.decode()
    assert not bitbucket_sandbox.requests.to("/request-token")


def test_a_login_does_not_begin_without_the_forms_token(visitor, acme, bitbucket_sandbox):
    assert visitor.client.post(login_page(acme)).status_code == 403
    assert not bitbucket_sandbox.requests.to("/request-token")


def test_the_pages_are_neither_kept_nor_framed(visitor, acme):
    page = visitor.open(login_page(acme))
    assert "no-store" in page["Cache-Control"]
    assert page["X-Frame-Options"] == "DENY"


def test_a_page_of_an_unknown_and_of_a_disabled_integration_is_the_same(visitor, acme):
    integrations.enable(acme, enabled=False)
    disabled, unknown = visitor.open(login_page(acme)), visitor.open("/login/bitbucket-server/none/")
    assert disabled.status_code == unknown.status_code == 404
    assert disabled.content == unknown.content


@pytest.mark.parametrize("headers", [{"X-Forwarded-Host": "evil.example"}, {"Forwarded": "host=evil.example"}, {}])
def test_the_callback_is_the_integrations_own_and_from_the_configured_origin(acme, bitbucket_sandbox, headers):
    Visitor(**headers).begin(acme)
    (asked,) = bitbucket_sandbox.requests.to("/request-token")
    assert asked.oauth_parameters["oauth_callback"] == ORIGIN + callback_path(acme)


def test_a_form_field_does_not_choose_another_integration(visitor, acme, globex, bitbucket_sandbox):
    begun = visitor.begin(acme, integration=globex.pk)
    assert begun["Location"].startswith(bitbucket_sandbox.url)


def test_a_declined_login_goes_back_to_the_login_page(visitor, acme, bitbucket_sandbox):
    callback = bitbucket_sandbox.authorize(visitor.begin(acme)["Location"], allow=False)
    answer = visitor.open(callback)
    assert (answer.status_code, answer["Location"]) == (303, f"{login_page(acme)}?declined")
    assert "Access was declined" in visitor.open(answer["Location"]).content.decode()
    assert newest_event().problem == "login_declined"


def test_a_callback_works_once(visitor, acme, bitbucket_sandbox):
    callback = bitbucket_sandbox.authorize(visitor.begin(acme)["Location"])
    assert visitor.open(callback).status_code == 303
    page = visitor.open(callback)
    assert page.status_code == 400
    assert "This login is not under way in this browser." in page.content.decode()
    assert len(bitbucket_sandbox.requests.to("/access-token")) == 1


def test_a_callback_works_in_the_browser_that_began_only(visitor, acme, bitbucket_sandbox):
    callback = bitbucket_sandbox.authorize(visitor.begin(acme)["Location"])
    assert Visitor().open(callback).status_code == 400
    assert visitor.open(callback).status_code == 303


def test_a_failed_exchange_uses_the_callback_up(visitor, acme, bitbucket_sandbox, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    callback = bitbucket_sandbox.authorize(visitor.begin(acme)["Location"])
    damaged = re.sub("oauth_verifier=[^&]*", "oauth_verifier=wrong", callback)
    assert visitor.open(damaged).status_code == 502
    assert not Nonce.objects.exists()
    assert visitor.open(callback).status_code == 400


def test_an_answer_at_another_integrations_address_is_refused_before_anything_is_asked(
    visitor, acme, globex, bitbucket_sandbox, other_sandbox
):
    begun = visitor.begin(acme)
    visitor.begin(globex)
    callback = bitbucket_sandbox.authorize(begun["Location"])
    assert visitor.open(callback.replace(acme.pk, globex.pk)).status_code == 400
    assert (newest_event().what, newest_event().problem) == ("login.mixup", "login_mixed_up")
    assert not bitbucket_sandbox.requests.to("/access-token")
    assert not other_sandbox.requests.to("/access-token")


def test_a_token_that_is_pending_in_another_browser_is_not_taken(visitor, acme, globex, monkeypatch):
    monkeypatch.setattr(BitbucketClient, "request_token", lambda *_: "the-same-token")
    visitor.begin(acme)
    assert Visitor().begin(globex).status_code == 502
    assert (newest_event().what, newest_event().problem) == ("login.mixup", "token_of_another_login")


def test_an_integration_that_changed_meanwhile_is_refused(visitor, acme, bitbucket_sandbox, other_sandbox):
    callback = bitbucket_sandbox.authorize(visitor.begin(acme)["Location"])
    acme.base_url = other_sandbox.url
    integrations.change(acme)
    assert visitor.open(callback).status_code == 400
    assert newest_event().problem == "integration_changed"


@pytest.mark.parametrize("end", [lambda record: integrations.enable(record, enabled=False), integrations.delete])
def test_an_integration_that_ended_meanwhile_is_not_there(visitor, acme, bitbucket_sandbox, end):
    callback = bitbucket_sandbox.authorize(visitor.begin(acme)["Location"])
    end(acme)
    assert visitor.open(callback).status_code == 404
    assert not bitbucket_sandbox.requests.to("/access-token")


@capability("sessions")
@pytest.mark.parametrize("end", [lambda record: integrations.enable(record, enabled=False), integrations.delete])
def test_sessions_end_with_their_integration(visitor, acme, bitbucket_sandbox, end):
    visitor.log_in(acme, bitbucket_sandbox)
    end(acme)
    assert visitor.name == "nobody"


OTHERS = [name for name in settings.MIDDLEWARE if not name.endswith("LoginErrorMiddleware")]
ERRORS_FIRST = ["social_bitbucket_server.django.middleware.LoginErrorMiddleware", *OTHERS]


@pytest.mark.parametrize("middleware", [settings.MIDDLEWARE, ERRORS_FIRST], ids=["errors last", "errors first"])
def test_no_login_goes_by_addresses_whose_sessions_would_not_end_with_the_integration(
    acme, bitbucket_sandbox, middleware
):
    with override_settings(ROOT_URLCONF="tests.frameworks.django.both_urls", MIDDLEWARE=middleware):
        assert_stock_addresses_are_not_there(Visitor(), acme, bitbucket_sandbox)


def assert_stock_addresses_are_not_there(visitor, acme, bitbucket_sandbox):
    stock = "/social/login/bitbucket-server/"
    assert visitor.open(stock).status_code == 404
    assert visitor.post(stock, form_at=login_page(acme), integration=acme.pk).status_code == 404
    callback = urlsplit(bitbucket_sandbox.authorize(visitor.begin(acme)["Location"]))
    assert visitor.open(f"/social/complete/bitbucket-server/?{callback.query}&integration={acme.pk}").status_code == 404
    assert not bitbucket_sandbox.requests.to("/access-token")


def test_logging_in_as_somebody_else_switches_the_account_and_attaches_nothing(
    visitor, acme, globex, bitbucket_sandbox, other_sandbox
):
    visitor.log_in(acme, bitbucket_sandbox, "jane")
    visitor.log_in(globex, other_sandbox, "admin")
    assert visitor.name == "admin"
    assert UserSocialAuth.objects.values("user").distinct().count() == 2


def test_a_login_never_attaches_an_identity_to_an_account_with_a_password(visitor, acme, bitbucket_sandbox):
    root = get_user_model().objects.create_user("root", password=PASSWORD)
    visitor.client.login(username="root", password=PASSWORD)
    visitor.log_in(acme, bitbucket_sandbox)
    assert visitor.name == "jane"
    assert not root.social_auth.exists()


def test_the_e_mail_address_of_somebody_else_opens_nothing(visitor, acme, bitbucket_sandbox):
    victim = get_user_model().objects.create_user("victim", bitbucket_sandbox.users.by_name("jane").email)
    visitor.log_in(acme, bitbucket_sandbox)
    assert visitor.name == "jane"
    assert not victim.social_auth.exists()


def test_the_session_is_another_one_after_the_login(visitor, acme, bitbucket_sandbox):
    callback = bitbucket_sandbox.authorize(visitor.begin(acme)["Location"])
    before = visitor.client.cookies["sessionid"].value
    visitor.open(callback)
    assert visitor.client.cookies["sessionid"].value != before


@pytest.mark.parametrize("wanted", ["/report/", "/report/?x=1&y=%20", "/"])
def test_the_login_goes_where_it_was_meant_to_go(visitor, acme, bitbucket_sandbox, wanted):
    assert visitor.log_in(acme, bitbucket_sandbox, next=wanted)["Location"] == wanted


@pytest.mark.parametrize(
    "wanted",
    [
        "//e",
        "///e",
        "/\\e",
        "\\\\e",
        "/\t/e",
        "/%09/e",
        "/%2f%2fe",
        "/%5ce",
        "https://e.example/",
        f"{ORIGIN}/x",
        "http://testserver/x",
        "@e",
        "e.example",
        "javascript:x",
        " /x",
        "/x\r\nA:b",
        "/x%0d%0aA:b",
        "/" + "x" * 5000,
    ],
)
def test_the_login_goes_nowhere_else(visitor, acme, bitbucket_sandbox, wanted):
    assert visitor.log_in(acme, bitbucket_sandbox, next=wanted)["Location"] == "/"


def test_a_callback_does_not_say_where_to_go(visitor, acme, bitbucket_sandbox):
    callback = bitbucket_sandbox.authorize(visitor.begin(acme)["Location"])
    assert visitor.open(f"{callback}&next=/report/")["Location"] == "/"


def test_where_an_earlier_login_was_meant_to_go_is_forgotten(visitor, acme, bitbucket_sandbox):
    visitor.begin(acme, next="/report/")
    assert visitor.log_in(acme, bitbucket_sandbox)["Location"] == "/"


def test_the_login_page_hands_on_where_to_go(visitor, acme):
    page = visitor.open(f"{login_page(acme)}?next=/report/").content.decode()
    assert '<input type="hidden" name="next" value="/report/">' in page


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda query: query.replace("oauth_token=", "x="), "callback_parameter_missing"),
        (lambda query: query.replace("oauth_verifier=", "x="), "callback_parameter_missing"),
        (lambda query: query + "&oauth_token=T", "callback_parameter_invalid"),
        (lambda query: re.sub("oauth_token=", "oauth_token=x", query), "login_not_pending"),
    ],
)
def test_a_damaged_callback_is_refused_before_anything_is_asked(visitor, acme, bitbucket_sandbox, change, problem):
    callback = urlsplit(bitbucket_sandbox.authorize(visitor.begin(acme)["Location"]))
    assert visitor.open(callback._replace(query=change(callback.query)).geturl()).status_code == 400
    assert newest_event().problem == problem
    assert not bitbucket_sandbox.requests.to("/access-token")


def test_a_callback_is_never_posted(visitor, acme):
    visitor.client.handler.enforce_csrf_checks = False
    assert visitor.client.post(callback_path(acme)).status_code == 405


def test_a_person_connects_another_account_and_logs_in_with_either(
    visitor, acme, globex, bitbucket_sandbox, other_sandbox
):
    visitor.log_in(acme, bitbucket_sandbox)
    begun = visitor.post("/connect/globex/", form_at=login_page(globex))
    assert visitor.open(other_sandbox.authorize(begun["Location"], user="admin")).status_code == 303
    assert visitor.name == "jane"
    assert newest_event().what == "identity.connected"
    assert [attempt.what for attempt in events.login_attempts(globex.pk)] == ["identity.connected"]
    other = Visitor()
    other.log_in(globex, other_sandbox, "admin")
    assert other.name == "jane"


def test_an_account_of_somebody_else_is_not_connected(visitor, acme, globex, bitbucket_sandbox, other_sandbox):
    Visitor().log_in(globex, other_sandbox, "admin")
    visitor.log_in(acme, bitbucket_sandbox)
    begun = visitor.post("/connect/globex/", form_at=login_page(globex))
    assert visitor.open(other_sandbox.authorize(begun["Location"], user="admin")).status_code == 409
    assert newest_event().problem == "identity_in_use"
    assert visitor.name == "jane"


def test_an_account_is_connected_to_nobody_but_who_asked(visitor, acme, globex, bitbucket_sandbox, other_sandbox):
    visitor.log_in(acme, bitbucket_sandbox)
    begun = visitor.post("/connect/globex/", form_at=login_page(globex))
    callback = other_sandbox.authorize(begun["Location"], user="admin")
    root = get_user_model().objects.create_user("root")
    session = visitor.client.session
    session["_auth_user_id"], session["_auth_user_hash"] = str(root.pk), root.get_session_auth_hash()
    session.save()
    assert visitor.open(callback).status_code == 400
    assert newest_event().problem == "person_changed"
    assert not root.social_auth.exists()


def test_somebody_whose_account_is_disabled_here_is_told_so(visitor, acme, bitbucket_sandbox):
    Visitor().log_in(acme, bitbucket_sandbox)
    get_user_model().objects.update(is_active=False)
    page = visitor.log_in(acme, bitbucket_sandbox)
    assert page.status_code == 403
    assert "You cannot log in here at the moment." in page.content.decode()
    assert visitor.name == "nobody"


def test_two_first_logins_at_once_are_one_person(acme, bitbucket_sandbox, monkeypatch):
    visitors = [Visitor(), Visitor()]
    callbacks = [bitbucket_sandbox.authorize(each.begin(acme)["Location"]) for each in visitors]
    both_are_there, answers = threading.Barrier(2), []
    run = strategy.DjangoStrategy.authenticate

    def run_together(*arguments, **options):
        both_are_there.wait(60)
        return run(*arguments, **options)

    def come_back(each, callback):
        answers.append(each.open(callback).status_code)
        connection.close()

    monkeypatch.setattr(strategy.DjangoStrategy, "authenticate", run_together)
    threads = [threading.Thread(target=come_back, args=pair) for pair in zip(visitors, callbacks, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [303, 303]
    assert get_user_model().objects.count() == UserSocialAuth.objects.count() == 1


def test_who_loses_the_race_for_an_identity_goes_on_as_the_same_person(acme, bitbucket_sandbox, monkeypatch):
    """The other first login comes in between: after this one has looked, before it has written."""
    visitor, other = Visitor(), Visitor()
    callbacks = [bitbucket_sandbox.authorize(each.begin(acme)["Location"]) for each in (visitor, other)]
    find = UserSocialAuth.get_social_auth
    looks = []

    def find_nobody_at_first(*arguments, **options):
        looks.append(arguments)
        return None if len(looks) == 1 else find(*arguments, **options)

    other.open(callbacks[1])
    monkeypatch.setattr(UserSocialAuth, "get_social_auth", find_nobody_at_first)
    assert visitor.open(callbacks[0]).status_code == 303
    assert len(looks) > 1
    assert get_user_model().objects.count() == 1


def test_a_lost_key_ring_is_said_and_regenerates_nothing(visitor, acme):
    sealed = KeyPair.objects.get().sealed_private_key
    with override_settings(**{f"{OWN}KEY_RING": KeyRing.generate()}):
        page = visitor.begin(acme)
    assert page.status_code == 503
    assert "key.decrypt_failed" in happenings()
    assert KeyPair.objects.get().sealed_private_key == sealed


def test_a_record_that_was_copied_to_another_integration_does_not_open(visitor, acme, globex):
    KeyPair.objects.filter(integration=globex).update(
        sealed_private_key=KeyPair.objects.get(integration=acme).sealed_private_key
    )
    visitor.begin(acme)
    assert visitor.begin(globex).status_code == 503


def test_a_changed_key_is_used_at_once(visitor, acme, bitbucket_sandbox, keys):
    visitor.begin(acme)
    link = acme.active_key_pair.link
    KeyPair.objects.all().delete()
    integrations.add_key_pair(acme, keys[3], "active", link)
    assert visitor.begin(acme).status_code == 503
    assert newest_event().problem == "signature_invalid"


def test_a_server_at_an_address_that_is_not_allowed_any_more_is_not_asked(visitor, acme, bitbucket_sandbox):
    with override_settings(**{f"{OWN}TEST_ADDRESSES": []}):
        page = visitor.begin(acme)
    assert page.status_code == 502
    assert "The Bitbucket Server could not be reached." in page.content.decode()
    assert not bitbucket_sandbox.requests.to("/request-token")


def test_private_networks_are_allowed_to_an_id_and_not_to_a_login_link():
    acme_record, globex_record = Integration(slug="acme"), Integration(slug="globex")
    networks = {acme_record.pk: ["10.20.0.0/16"], "globex": ["10.20.0.0/16"], "*": ["192.168.7.0/24"]}
    with override_settings(**{f"{OWN}PRIVATE_NETWORKS": networks}):
        acme, globex = acme_record.address_policy(), globex_record.address_policy()
    assert acme.permits(ip_address("10.20.1.5"))
    assert not globex.permits(ip_address("10.20.1.5"))
    assert globex.permits(ip_address("192.168.7.1"))
    assert not acme_record.address_policy().permits(ip_address("10.20.1.5"))


def test_a_model_may_have_other_addresses_and_conditions_than_the_settings(acme, monkeypatch):
    policy = AddressPolicy(private_networks=(ip_network("10.20.0.0/16"),))
    monkeypatch.setattr(Integration, "address_policy", lambda _record: policy)
    monkeypatch.setattr(Integration, "admission", Admission(groups=("developers",)))
    found = integrations.find(acme.pk)
    assert (found.server.address_policy, found.admission) == (policy, Admission(groups=("developers",)))


def test_nothing_secret_is_in_the_log_or_in_the_events(visitor, acme, bitbucket_sandbox, caplog):
    with caplog.at_level(logging.DEBUG):
        begun = visitor.begin(acme)
        callback = bitbucket_sandbox.authorize(begun["Location"])
        visitor.open(callback)
        visitor.open(callback)
    query = parse_qs(urlsplit(callback).query)
    written = caplog.text + repr(list(Event.objects.values()))
    for secret in (*query["oauth_token"], *query["oauth_verifier"]):
        assert secret not in written


def test_one_server_may_serve_two_integrations(acme, bitbucket_sandbox):
    second = make_integration("acme-two", bitbucket_sandbox)
    Visitor().log_in(acme, bitbucket_sandbox)
    Visitor().log_in(second, bitbucket_sandbox)
    assert UserSocialAuth.objects.values("user").distinct().count() == 2


def test_sessions_end_for_somebody_whose_account_is_disabled_here(visitor, acme, bitbucket_sandbox):
    visitor.log_in(acme, bitbucket_sandbox)
    get_user_model().objects.update(is_active=False)
    assert visitor.name == "nobody"


def test_the_button_of_another_organization_never_connects_its_account(acme, globex, bitbucket_sandbox, other_sandbox):
    visitor = Visitor()
    visitor.log_in(acme, bitbucket_sandbox, "jane")
    with override_settings(SOCIAL_AUTH_BITBUCKET_SERVER_CONNECT_LOGGED_IN=True):
        visitor.log_in(globex, other_sandbox, "kim")
    assert visitor.name == "kim"
    assert UserSocialAuth.objects.filter(user__username="jane").count() == 1
