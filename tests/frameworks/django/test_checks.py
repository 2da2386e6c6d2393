"""Settings with which Django does not start, and what it says instead."""

import functools

import pytest
from django.conf import settings
from django.core.checks import Tags, run_checks
from django.core.checks.registry import registry
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.test import override_settings
from social_core.pipeline import DEFAULT_AUTH_PIPELINE
from social_django import views

from social_bitbucket_server.django import checks, integrations
from social_bitbucket_server.django.middleware import IntegrationSessionMiddleware
from social_bitbucket_server.django.models import Integration
from social_bitbucket_server.integration.unsafe import _checks_of
from social_bitbucket_server.problems import BitbucketServerError
from tests.frameworks.django.conftest import newest_event
from tests.prepared import KeyPool

OWN = "SOCIAL_AUTH_BITBUCKET_SERVER_"
ORIGIN = f"{OWN}CALLBACK_ORIGIN"
BACKEND = "social_bitbucket_server.backends.BitbucketServerOAuth1"
PEM = KeyPool().take().pem()
BY_EMAIL = "social_core.pipeline.social_auth.associate_by_email"
OLD_PIPELINE = [step for step in DEFAULT_AUTH_PIPELINE if not step.endswith("social_user")]
SAME_NAMESPACE = {
    name: {
        "url": f"https://{name}.example",
        "consumer_key": "packages",
        "private_key": PEM,
        "namespace": "k3v9x1",
    }
    for name in ("acme", "globex")
}
SIMILAR_NAMESPACES = {
    name: SAME_NAMESPACE[name] | {"namespace": namespace}
    for name, namespace in (("acme", "k3v9x1"), ("globex", "K3V9X1"))
}
ONE_SERVER = {
    f"{OWN}INTEGRATIONS": None,
    f"{OWN}URL": "https://bitbucket.example.com",
    f"{OWN}KEY": "packages",
    f"{OWN}PRIVATE_KEY": PEM,
    ORIGIN: None,
    f"{OWN}TEST_ADDRESSES": [],
}
ONE_MAPPED = {f"{OWN}INTEGRATIONS": {"acme": SAME_NAMESPACE["acme"]}}
CACHES = "django.core.cache.backends"
CACHED = "django.contrib.sessions.backends.cache"
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware"]


def found(*, deploy=False, **settings):
    with override_settings(**settings):
        messages = run_checks(tags=[Tags.security], include_deployment_checks=deploy)
    return {message.id.partition(".")[2]: message.msg for message in messages if "bitbucket" in message.id}


def test_safe_settings_pass():
    assert found() == {}
    assert found(deploy=True, SESSION_COOKIE_SECURE=True) == {}


def test_a_host_on_this_machine_needs_no_secure_cookies():
    assert found(deploy=True) == {}


@pytest.mark.parametrize(
    ("number", "settings", "says"),
    [
        ("E001", {f"{OWN}PIPELINE": [*DEFAULT_AUTH_PIPELINE, BY_EMAIL]}, "Take associate_by_email out"),
        ("E001", {"SOCIAL_AUTH_PIPELINE": [*DEFAULT_AUTH_PIPELINE, BY_EMAIL]}, f"set {OWN}PIPELINE to its steps"),
        ("E002", {f"{OWN}VERIFY_SSL": False}, "the path of the CA certificate"),
        ("E003", {"SOCIAL_AUTH_SANITIZE_REDIRECTS": False}, f"Set {OWN}SANITIZE_REDIRECTS to True"),
        ("E004", {ORIGIN: None, f"{OWN}TEST_ADDRESSES": []}, f"Set {ORIGIN}"),
        ("E004", {ORIGIN: "https://app.example/x", f"{OWN}TEST_ADDRESSES": []}, "scheme and host alone"),
        ("E004", {ORIGIN: "https://[app.example", f"{OWN}TEST_ADDRESSES": []}, "scheme and host alone"),
        ("E005", {"SOCIAL_AUTH_REDIRECT_IS_HTTPS": True}, "with https://"),
        ("E006", {f"{OWN}STORE_ACCESS_TOKEN": True, f"{OWN}KEY_RING": None} | ONE_MAPPED, "KEY_RING"),
        ("E007", {f"{OWN}KEY_RING": None}, "manage.py bitbucket_server key-ring"),
        ("E007", {f"{OWN}KEY_RING": None, f"{OWN}INTEGRATIONS": integrations.find}, "keep it apart"),
        ("E008", {f"{OWN}KEY_RING": "1:short"}, "Key 1 is not the base64 of 32 bytes."),
        ("E009", {f"{OWN}PRIVATE_NETWORKS": {"0" * 24: ["127.0.0.0/8"]}}, "127.0.0.0/8"),
        ("E009", {f"{OWN}PRIVATE_NETWORKS": {"0" * 24: ["0.0.0.0/0"]}}, "0.0.0.0/0"),
        ("E009", {f"{OWN}PRIVATE_NETWORKS": ["10.0.0.0/8"]}, "It does not map ids to lists of networks"),
        ("E009", {f"{OWN}PRIVATE_NETWORKS": {"acme": ["10.20.0.0/16"]}}, "acme is not an id"),
        ("E009", {f"{OWN}TEST_ADDRESSES": ["localhost"]}, "localhost"),
        ("E039", {f"{OWN}LIMIT": "mysite.limits.limit"}, "'mysite.limits.limit'"),
        ("E039", {f"{OWN}LIMIT": "social_bitbucket_server.django.limits.limit"}, "takes a request"),
        ("E039", {f"{OWN}LIMIT": "django.conf.ENVIRONMENT_VARIABLE"}, "no function"),
        ("E010", {ORIGIN: "https://app.example"}, f"Remove {OWN}TEST_ADDRESSES"),
        ("E011", {"SESSION_COOKIE_HTTPONLY": False}, "SESSION_COOKIE_HTTPONLY"),
        ("E012", {"SESSION_COOKIE_SAMESITE": "Strict"}, "comes back from Bitbucket"),
        ("E013", {"SESSION_COOKIE_SAMESITE": "None"}, "other sites"),
        ("E013", {"SESSION_COOKIE_SAMESITE": False}, "other sites"),
        ("E014", {"SOCIAL_AUTH_PIPELINE": OLD_PIPELINE}, "order of social-core's own pipeline: social_core"),
        ("E014", {f"{OWN}PIPELINE": []}, f"Add to {OWN}PIPELINE"),
        ("E015", {f"{OWN}INTEGRATIONS": SAME_NAMESPACE}, "different namespaces"),
        ("E019", {f"{OWN}INTEGRATIONS": SIMILAR_NAMESPACES}, "namespaces that differ in more than case"),
        ("E022", {f"{OWN}SLOW_STEPS": 0}, "SLOW_STEPS"),
        ("E009", {f"{OWN}PROXIES": "acme=http://proxy.example:3128"}, "Entry 1 does not begin with an id and =."),
        ("E009", {f"{OWN}HTTP_HOSTS": "bitbucket.test.example"}, f"Mend {OWN}HTTP_HOSTS: It is a list of hosts"),
        ("E035", {"SESSION_COOKIE_DOMAIN": "other.example"}, "Set SESSION_COOKIE_DOMAIN to a domain of 127.0.0.1"),
        (
            "E036",
            {
                "SESSION_ENGINE": CACHED,
                "CACHES": {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}},
            },
            "DummyCache",
        ),
        (
            "W011",
            {
                "SESSION_ENGINE": CACHED,
                "CACHES": {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
            },
            "LocMemCache",
        ),
        ("E017", {"MIDDLEWARE": MIDDLEWARE}, "IntegrationSessionMiddleware to MIDDLEWARE"),
    ],
)
def test_a_setting_that_takes_a_protection_away_stops_django(number, settings, says):
    (only,) = found(**settings).items()
    assert only[0] == number
    assert says in only[1]


def test_a_machine_that_forbids_sha1_stops_commands_and_leaves_the_words_to_logins(monkeypatch):
    def forbid():
        raise BitbucketServerError("sha1_forbidden")

    monkeypatch.setattr("social_bitbucket_server.integration.unsafe.refuse_forbidden_sha1", forbid)
    assert list(found()) == ["E023"]
    checks._forget()
    checks.refuse_unsafe_logins()


@pytest.mark.parametrize(
    ("number", "settings"),
    [
        ("E020", {ORIGIN: "https://app.example", f"{OWN}TEST_ADDRESSES": []}),
        ("W004", {"SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies"}),
        ("E021", {f"{OWN}INTEGRATIONS": None, ORIGIN: None, f"{OWN}TEST_ADDRESSES": [], "ALLOWED_HOSTS": ["*"]}),
    ],
)
def test_a_deployment_is_told_more(number, settings):
    assert number not in found(**settings)
    assert number in found(deploy=True, **settings)


def test_a_deployment_is_told_of_an_origin_that_is_none_as_well():
    assert "E004" in found(deploy=True, **{ORIGIN: "https://[app.example"})


def test_nobody_enters_a_server_while_a_text_stands_for_the_list_of_hosts():
    record = Integration(name="Acme", slug="acme", base_url="https://bitbucket.example.com")
    as_text = override_settings(**{f"{OWN}HTTP_HOSTS": "bitbucket.test.example"})
    with as_text, pytest.raises(ValidationError, match="It is a list of hosts"):
        record.full_clean()


class OwnSessionMiddleware(IntegrationSessionMiddleware):
    """An application's own, in the place of ours."""


def test_a_middleware_that_derives_from_ours_will_do():
    own = f"{OwnSessionMiddleware.__module__}.{OwnSessionMiddleware.__qualname__}"
    assert found(MIDDLEWARE=[*MIDDLEWARE, own]) == {}


def test_integrations_of_a_mapping_are_never_disabled():
    mapping = {"acme": SAME_NAMESPACE["acme"]}
    assert found(deploy=True, MIDDLEWARE=MIDDLEWARE, **{f"{OWN}INTEGRATIONS": mapping}) == {}


def test_one_server_is_told_of_the_middleware_without_which_every_failed_login_is_a_server_error():
    one_server = ONE_SERVER | {"ROOT_URLCONF": "tests.frameworks.django.single_urls"}
    assert found(**one_server) == {}
    assert set(found(**one_server, MIDDLEWARE=MIDDLEWARE)) == {"W002"}
    social_djangos = "social_django.middleware.SocialAuthExceptionMiddleware"
    assert found(**one_server, MIDDLEWARE=[*MIDDLEWARE, social_djangos]) == {}
    others = {"AUTHENTICATION_BACKENDS": ["social_core.backends.github.GithubOAuth2"]}
    assert set(found(**one_server, MIDDLEWARE=MIDDLEWARE, **others)) == {"E033"}


def test_the_addresses_of_integrations_in_the_database_need_no_pages_for_those_of_others():
    both = {"ROOT_URLCONF": "tests.frameworks.django.both_urls"}
    without = [name for name in settings.MIDDLEWARE if not name.endswith("LoginErrorMiddleware")]
    assert found(**both, MIDDLEWARE=without) == {}


def calls_find(integration_id):
    return integrations.find(integration_id)


def test_a_function_around_find_is_warned_of():
    assert set(found(**{f"{OWN}INTEGRATIONS": calls_find})) == {"W003"}
    assert (
        set(found(**{f"{OWN}INTEGRATIONS": calls_find, "ROOT_URLCONF": "tests.frameworks.django.single_urls"})) == set()
    )


def test_a_function_that_says_what_it_wraps_counts_as_find():
    wrapped = functools.wraps(integrations.find)(lambda integration_id: integrations.find(integration_id))
    assert set(found(**{f"{OWN}INTEGRATIONS": wrapped, f"{OWN}KEY_RING": None})) == {"E007"}


def test_one_server_needs_neither_origin_nor_key_ring():
    assert found(**ONE_SERVER, **{f"{OWN}KEY_RING": None}) == {}


def test_the_callback_of_one_server_must_be_no_single_transaction(monkeypatch):
    one_server = dict(ONE_SERVER)
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    assert found() == found(**one_server) == {}
    one_server["MIDDLEWARE"] = [*MIDDLEWARE, "social_django.middleware.SocialAuthExceptionMiddleware"]
    assert set(found(**one_server)) == {"E016"}
    monkeypatch.setattr(views.complete, "_non_atomic_requests", {"default"}, raising=False)
    assert found(**one_server) == {}


def test_a_pipeline_may_let_everybody_in():
    without = [step for step in DEFAULT_AUTH_PIPELINE if not step.endswith("auth_allowed")]
    assert found(SOCIAL_AUTH_PIPELINE=without) == {}


def test_a_pipeline_from_before_core_7_is_warned_of():
    old = [step for step in DEFAULT_AUTH_PIPELINE if not step.endswith("social_names")]
    assert set(found(SOCIAL_AUTH_PIPELINE=old)) == {"W006"}


def test_the_pipeline_of_the_backend_in_use_is_looked_at():
    oauth2 = ["social_bitbucket_server.backends.BitbucketServerOAuth2"]
    settings = {f"{OWN}OAUTH2_PIPELINE": OLD_PIPELINE, "SOCIAL_AUTH_PIPELINE": DEFAULT_AUTH_PIPELINE}
    assert found(**settings) == {}
    said = found(**settings, AUTHENTICATION_BACKENDS=oauth2)
    assert said["E014"].startswith(f"Add to {OWN}OAUTH2_PIPELINE, ")


def test_the_origin_of_the_backend_in_use_is_looked_at():
    oauth2 = ["social_bitbucket_server.backends.BitbucketServerOAuth2"]
    domain = {"SESSION_COOKIE_DOMAIN": "127.0.0.1", f"{OWN}OAUTH2_CALLBACK_ORIGIN": "https://app.example"}
    assert "E035" not in found(**domain)
    said = found(**domain, AUTHENTICATION_BACKENDS=oauth2)
    assert said["E035"].startswith("Set SESSION_COOKIE_DOMAIN to a domain of app.example, ")


def test_integrations_from_elsewhere_need_no_key_ring():
    assert found(**{f"{OWN}INTEGRATIONS": {"acme": SAME_NAMESPACE["acme"]}, f"{OWN}KEY_RING": None}) == {}


def test_every_refusal_of_the_library_has_an_id():
    unsafe = {name for name, _ in _checks_of({})}
    assert unsafe | {"name_misspelt", "setting_missing", "setting_invalid", "backend_missing", "backend_broken"} == set(
        checks._IDS
    )


@pytest.mark.parametrize(
    ("number", "settings", "says"),
    [
        ("E030", {f"{OWN}CONSUMER_KEY": "packages"}, f"Rename {OWN}CONSUMER_KEY to {OWN}KEY"),
        ("E031", {f"{OWN}URL": None}, f"Set {OWN}URL,"),
        ("E031", dict.fromkeys(ONE_SERVER), f"Set {OWN}URL, or {OWN}INTEGRATIONS"),
        ("E032", {f"{OWN}PRIVATE_KEY": "x"}, f"Correct {OWN}PRIVATE_KEY: This is not a private key."),
        ("E034", {"AUTHENTICATION_BACKENDS": [BACKEND, "nothing.here"]}, "There is nothing at nothing.here"),
        ("E032", {f"{OWN}INTEGRATIONS": "nothing.here", ORIGIN: "https://a.example"}, f"Correct {OWN}INTEGRATIONS:"),
        ("E033", {"AUTHENTICATION_BACKENDS": ["django.contrib.auth.backends.ModelBackend"]}, f"Add {BACKEND} to AUTH"),
        ("W010", {f"{OWN}QQQQ": 1}, f"Nothing reads {OWN}QQQQ"),
    ],
)
def test_settings_with_which_no_login_could_work_are_named(number, settings, says):
    assert says in found(**ONE_SERVER | settings)[number]


def test_a_command_refuses_to_start_with_unsafe_settings():
    with override_settings(SESSION_COOKIE_HTTPONLY=False), pytest.raises(SystemCheckError):
        call_command("bitbucket_server", "list")


def test_no_login_begins_where_no_command_looked_at_the_settings(acme, visitor, bitbucket_sandbox, caplog):
    with override_settings(SESSION_COOKIE_HTTPONLY=False):
        page = visitor.begin(acme)
    assert page.status_code == 503
    assert newest_event().problem == "setting_invalid"
    assert "Set SESSION_COOKIE_HTTPONLY to True" in caplog.text
    assert not bitbucket_sandbox.requests.to("/request-token")


def test_no_login_comes_back_where_no_command_looked_at_the_settings(acme, visitor, bitbucket_sandbox):
    callback = bitbucket_sandbox.authorize(visitor.begin(acme)["Location"], user="jane")
    with override_settings(SOCIAL_AUTH_BITBUCKET_SERVER_PIPELINE=[*DEFAULT_AUTH_PIPELINE, BY_EMAIL]):
        assert visitor.open(callback).status_code == 503
    assert not bitbucket_sandbox.requests.to("/access-token")


def test_a_check_that_was_silenced_stops_no_login(acme, visitor, bitbucket_sandbox):
    silenced = {"SESSION_COOKIE_HTTPONLY": False, "SILENCED_SYSTEM_CHECKS": ["social_bitbucket_server.E011"]}
    with override_settings(**silenced):
        assert visitor.log_in(acme, bitbucket_sandbox)["Location"] == "/"


def test_settings_without_an_error_are_looked_at_once(acme, visitor, bitbucket_sandbox, monkeypatch):
    looks = []
    monkeypatch.setattr(checks, "_passed", [])
    monkeypatch.setattr(checks, "check_settings", lambda: looks.append(1) or [])
    visitor.log_in(acme, bitbucket_sandbox)
    assert len(looks) == 1


@pytest.mark.parametrize(
    ("collation", "vendor", "expected"),
    [
        (None, "sqlite", set()),
        ("NOCASE", "sqlite", {"W005"}),
        ("utf8mb4_bin", "mysql", set()),
        ("utf8mb4_general_ci", "mysql", {"W005"}),
        ("utf8mb4_uca1400_ai_ci", "mysql", {"W005"}),
        ("utf8mb4_0900_as_cs", "mysql", set()),
    ],
)
def test_a_column_that_compares_without_case_is_warned_of(monkeypatch, collation, vendor, expected):
    describe = connection.introspection.get_table_description

    def describe_with_collation(cursor, table):
        return [column._replace(collation=collation) for column in describe(cursor, table)]

    monkeypatch.setattr(connection.introspection, "get_table_description", describe_with_collation)
    monkeypatch.setattr(connection, "vendor", vendor)
    warned = checks.check_columns(databases=["default"])
    assert {message.id.rpartition(".")[2] for message in warned} == expected
    assert checks.check_columns() == checks.check_columns(databases=[]) == []


def test_commands_that_look_at_the_database_look_at_the_column_as_well():
    assert checks.check_columns in registry.registered_checks
