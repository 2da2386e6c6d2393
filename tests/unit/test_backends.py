"""Tests of what social-core 7 asks of a backend."""

import dataclasses
from types import SimpleNamespace

import pytest
from social_core.backends.bitbucket_datacenter import BitbucketDataCenterOAuth2
from social_core.backends.oauth import BaseOAuth1
from social_core.backends.utils import get_backend
from social_core.exceptions import AuthConfigurationError, AuthInputError
from social_core.strategy import BaseStrategy
from social_core.utils import module_member

from social_bitbucket_server.backends import BitbucketServerOAuth1, BitbucketServerOAuth2
from social_bitbucket_server.integration import BACKENDS, configured_backend
from social_bitbucket_server.login import PendingLogin, Purpose, error_page
from social_bitbucket_server.login.callback_address import note_another_host
from social_bitbucket_server.login.logged_in_person import id_of
from social_bitbucket_server.login.purpose import Intent

PATH = "social_bitbucket_server.backends.BitbucketServerOAuth1"


class Strategy(BaseStrategy):
    """A framework's strategy with nothing configured, for a request without parameters."""

    def __init__(self, **settings):
        super().__init__(SimpleNamespace(user=object()))
        self.settings = settings
        self.asked = []

    def get_setting(self, name):
        self.asked.append(name)
        return self.settings[name]

    def get_request_data(self, merge=True):
        return {}

    def build_absolute_uri(self, path=None):
        return f"http://testserver{path or ''}"


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://bitbucket.example.com/bitbucket", "https://bitbucket.example.com"),
        ("HTTPS://Bitbucket.example.com:443/", "https://bitbucket.example.com"),
        ("https://bitbucket.example.com:8443", "https://bitbucket.example.com:8443"),
        ("http://bitbucket.example.com", ""),
        ("https://user@bitbucket.example.com", ""),
        ("", ""),
    ],
)
@pytest.mark.parametrize("backend", [BitbucketServerOAuth1, BitbucketServerOAuth2])
def test_a_content_security_policy_finds_out_where_the_button_leads_to(backend, url, origin):
    name = f"SOCIAL_AUTH_{backend.name.upper().replace('-', '_')}_URL"
    assert backend(Strategy(**{name: url})).authorization_url() == origin


def test_with_several_servers_the_backend_leads_to_none_in_particular():
    settings = {
        "SOCIAL_AUTH_BITBUCKET_SERVER_INTEGRATIONS": dict,
        "SOCIAL_AUTH_BITBUCKET_SERVER_URL": "https://x.example",
    }
    assert BitbucketServerOAuth1(Strategy(**settings)).authorization_url() == ""


def test_the_two_backends_are_told_apart_by_their_titles():
    assert BitbucketServerOAuth1.title != BitbucketServerOAuth2.title


RESPONSE = {
    "id": 42,
    "uid": "ns:42",
    "name": "jane@example",
    "slug": "jane_example",
    "username": "jane_example",
    "display_name": "Jane Doe",
    "email": None,
    "type": "NORMAL",
    "active": True,
    "url": None,
    "avatar_url": None,
}


@pytest.fixture
def backend():
    return BitbucketServerOAuth1(Strategy(), "/complete/bitbucket-server/")


@pytest.mark.parametrize(("name", "path"), BACKENDS.items())
def test_the_list_of_backends_names_each_by_its_path(name, path):
    assert module_member(path).name == name


def test_core_finds_it_by_its_name():
    assert get_backend([PATH], "bitbucket-server") is BitbucketServerOAuth1
    assert issubclass(BitbucketServerOAuth1, BaseOAuth1)
    assert len(BitbucketServerOAuth1.name) <= 32


def test_it_is_generic_in_the_response():
    assert BitbucketServerOAuth1[str]


NAMES = ["SOCIAL_AUTH_BITBUCKET_SERVER_TIMEOUT", "SOCIAL_AUTH_TIMEOUT", "TIMEOUT"]


@pytest.mark.parametrize("given", [NAMES, NAMES[1:], NAMES[2:], []])
def test_a_setting_is_looked_up_as_social_core_does_it(given):
    strategy = Strategy(**{name: number for number, name in enumerate(given)})
    backend = BitbucketServerOAuth1(strategy)
    strategy.asked.clear()
    assert backend.setting("TIMEOUT", "the default") == strategy.setting("TIMEOUT", "the default", backend)
    asked = len(strategy.asked) // 2
    assert strategy.asked[:asked] == strategy.asked[asked:]


def test_a_setting_is_what_a_strategy_with_a_look_up_of_its_own_says():
    class OwnLookUp(Strategy):
        def setting(self, name, default=None, backend=None):
            return f"{name} of {type(self).__name__}, or {default}"

    backend = BitbucketServerOAuth1(OwnLookUp(TIMEOUT=1))
    assert backend.setting("TIMEOUT", 2) == "TIMEOUT of OwnLookUp, or 2"


def test_making_one_reads_no_setting_of_a_server():
    strategy = Strategy()
    BitbucketServerOAuth1(strategy, "/complete/bitbucket-server/")
    assert not [name for name in strategy.asked if "BITBUCKET" in name]


def test_the_uid_is_the_namespaced_id(backend):
    assert backend.get_user_id({"id": 7, "username": "x"}, RESPONSE) == "ns:42"


@pytest.mark.parametrize("configured", ["name", "email", "slug"])
def test_nothing_but_the_id_identifies_whatever_is_configured(configured):
    strategy = Strategy(SOCIAL_AUTH_BITBUCKET_SERVER_ID_KEY=configured)
    backend = BitbucketServerOAuth1(strategy, "/")
    assert backend.id_key() == "id"
    assert backend.get_user_id({}, RESPONSE) == "ns:42"


def test_the_details_are_cores_and_unknown_names_are_none(backend):
    assert backend.get_user_details(RESPONSE) == {
        "username": "jane_example",
        "email": None,
        "fullname": "Jane Doe",
        "first_name": None,
        "last_name": None,
    }


def test_extra_data_has_the_field_names_of_cores_own_backend_and_no_token(backend):
    extra = backend.extra_data(None, "ns:42", RESPONSE | {"access_token": "T"}, {}, {"access_token": "T"})
    core_names = {alias for _, alias in BitbucketDataCenterOAuth2.EXTRA_DATA}
    assert extra.keys() - {"auth_time", "bitbucket_roles"} <= core_names
    assert "access_token" not in extra
    assert extra["name"] == "jane@example"
    assert extra["username"] == "jane_example"


@pytest.mark.parametrize("call", ["unauthorized_token", "oauth_auth", "request"])
def test_cores_own_ways_of_asking_are_closed(backend, call):
    with pytest.raises(AuthConfigurationError) as caught:
        getattr(backend, call)()
    assert caught.value.code == "unsupported_feature"


@pytest.mark.parametrize(
    ("backend_class", "prefix"),
    [
        (BitbucketServerOAuth1, "SOCIAL_AUTH_BITBUCKET_SERVER"),
        (BitbucketServerOAuth2, "SOCIAL_AUTH_BITBUCKET_SERVER_OAUTH2"),
    ],
)
def test_nothing_configured_is_said_to_the_operator_with_the_settings_names(backend_class, prefix, caplog):
    with pytest.raises(AuthConfigurationError) as caught:
        backend_class(Strategy(), "/").auth_url()
    assert caught.value.context["problem"] == "setting_missing"
    assert caught.value.stage == "begin"
    page = error_page(caught.value)
    assert page.status == 503
    assert f"Neither {prefix}_URL nor {prefix}_INTEGRATIONS is configured." in caplog.text


def test_an_application_that_looks_integrations_up_itself_needs_no_setting():
    class OwnLookUp(BitbucketServerOAuth1):
        def get_integration(self, integration_id):
            return None

    with pytest.raises(AuthInputError) as caught:
        OwnLookUp(Strategy(), "/").auth_url()
    assert caught.value.context["problem"] == "integration_missing"


def test_the_callback_names_its_integration_in_the_query_where_the_route_does_not(integration):
    strategy = Strategy(SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN="https://app.example/")
    backend = BitbucketServerOAuth1(strategy, "/complete/bitbucket-server/")
    address = "https://app.example/complete/bitbucket-server/?integration=acme-1"
    assert backend.callback_url(integration) == address


@pytest.mark.parametrize("name", ["complete", "bitbucket-server"])
def test_an_integration_called_like_a_part_of_cores_route_is_named_in_the_query(integration, name):
    strategy = Strategy(SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN="https://app.example")
    named = dataclasses.replace(integration, id=name)
    cores, own = "/complete/bitbucket-server/", f"/complete/bitbucket-server/{name}/"
    assert (
        BitbucketServerOAuth1(strategy, cores).callback_url(named) == f"https://app.example{cores}?integration={name}"
    )
    assert BitbucketServerOAuth1(strategy, own).callback_url(named) == f"https://app.example{own}"


def test_a_route_that_holds_an_id_within_a_longer_word_does_not_name_the_integration(integration):
    strategy = Strategy(SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN="https://app.example")
    named = dataclasses.replace(integration, id="acme")
    backend = BitbucketServerOAuth1(strategy, "/acme-tools/complete/bitbucket-server/")
    assert backend.callback_url(named).endswith("/complete/bitbucket-server/?integration=acme")


def test_one_server_may_use_the_frameworks_own_address(integration):
    strategy = Strategy(SOCIAL_AUTH_BITBUCKET_SERVER_URL="https://h.example")
    backend = BitbucketServerOAuth1(strategy, "/complete/bitbucket-server/")
    assert backend.callback_url(integration) == "http://testserver/complete/bitbucket-server/"


# OAuth 2

OAUTH2_PATH = "social_bitbucket_server.backends.BitbucketServerOAuth2"


@pytest.fixture
def oauth2_backend():
    return BitbucketServerOAuth2(Strategy(), "/complete/bitbucket-server-oauth2/")


def test_a_backend_that_is_not_configured_is_not_found():
    with pytest.raises(AuthConfigurationError) as caught:
        configured_backend(["social_core.strategy.BaseStrategy", PATH], "bitbucket-server-oauth2")
    assert caught.value.code == "backend_missing"


def test_core_finds_both_by_their_names():
    assert get_backend([PATH, OAUTH2_PATH], "bitbucket-server-oauth2") is BitbucketServerOAuth2
    assert get_backend([PATH, OAUTH2_PATH], "bitbucket-server") is BitbucketServerOAuth1
    assert issubclass(BitbucketServerOAuth2, BitbucketDataCenterOAuth2)
    assert len(BitbucketServerOAuth2.name) <= 32


@pytest.mark.parametrize(("backend", "path"), [(BitbucketServerOAuth1, PATH), (BitbucketServerOAuth2, OAUTH2_PATH)])
def test_the_path_that_frameworks_put_into_sessions_is_the_configured_one(backend, path):
    assert f"{backend.__module__}.{backend.__qualname__}" == path


def test_oauth_2_has_the_same_details_uid_and_extra_data_without_any_token(backend, oauth2_backend):
    response = RESPONSE | {"access_token": "T", "refresh_token": "T", "token_type": "bearer", "expires_in": 1}
    assert oauth2_backend.get_user_id({}, response) == "ns:42"
    assert oauth2_backend.get_user_details(response) == backend.get_user_details(RESPONSE)
    tokens = {"access_token": "T", "token_type": "bearer"}
    extra = oauth2_backend.extra_data(None, "ns:42", response, {}, tokens)
    assert extra.keys() == backend.extra_data(None, "ns:42", RESPONSE, {}, {}).keys()


@pytest.mark.parametrize("call", ["request", "user_data", "refresh_token"])
def test_cores_own_ways_of_asking_by_oauth_2_are_closed(oauth2_backend, call):
    arguments = [] if call == "request" else ["T"]
    with pytest.raises(AuthConfigurationError) as caught:
        getattr(oauth2_backend, call)(*arguments)
    assert caught.value.code in {"unsupported_feature", "missing_setting"}


def test_making_an_oauth_2_backend_reads_no_setting_of_a_server():
    strategy = Strategy()
    BitbucketServerOAuth2(strategy, "/")
    assert not [name for name in strategy.asked if "BITBUCKET" in name]


def test_an_identity_lives_on_a_server_and_in_a_namespace(integration):
    single = BitbucketServerOAuth1(Strategy(SOCIAL_AUTH_BITBUCKET_SERVER_URL="https://H.example/"), "/")
    assert single.identity_space("default") == ("https://h.example", "")
    assert single.identity_space("acme-1") is None
    several = {"acme-1": integration, "bare": dataclasses.replace(integration, id="bare", namespace="")}
    many = BitbucketServerOAuth1(Strategy(SOCIAL_AUTH_BITBUCKET_SERVER_INTEGRATIONS=several), "/")
    assert many.identity_space("acme-1") == (str(integration.server.url), "ns")
    assert many.identity_space("bare") is None
    assert many.identity_space("none") is None


@pytest.mark.parametrize("primary_key", ["pk", "id"])
def test_an_account_is_connected_to_a_user_by_whatever_the_primary_key_is_called(primary_key):
    backend = BitbucketServerOAuth1(Strategy())
    backend.set_purpose(Purpose.CONNECT, SimpleNamespace(is_authenticated=True, **{primary_key: 7}))
    assert backend.intent == Intent(Purpose.CONNECT, "7")


def test_a_storage_whose_users_nothing_is_known_by_is_the_operators_problem():
    with pytest.raises(AuthConfigurationError, match="configuration is invalid") as caught:
        BitbucketServerOAuth1(Strategy()).set_purpose(Purpose.CONNECT, SimpleNamespace(is_authenticated=True))
    assert caught.value.parameter == "STORAGE"


@pytest.mark.parametrize("length", [1, 63, 64, 65, 1000])
def test_an_id_of_any_length_is_remembered_and_never_taken_for_another(length):
    ids = [end.rjust(length, "%") for end in "ab"]
    known = [id_of(object(), SimpleNamespace(is_authenticated=True, id=id_)) for id_ in ids]
    assert known[0] != known[1]
    for person in known:
        login = PendingLogin("0" * 64, "acme-1", "0" * 32, 1, Intent(Purpose.CONNECT, person))
        assert PendingLogin.from_text(login.to_text()) == login


@pytest.mark.parametrize(
    ("host", "origin", "cookie_domain", "is_noted"),
    [
        ("localhost:5000", "http://127.0.0.1:5000", None, True),
        ("www.app.example", "https://app.example", None, True),
        ("www.app.example", "https://app.example", "app.example", False),
        ("app.example", "https://app.example", None, False),
        ("app.example:8443", "https://app.example", None, False),
        ("[::1]:5000", "http://[::1]:5000", None, False),
    ],
)
def test_a_login_that_begins_at_another_host_than_it_comes_back_to_is_noted(
    caplog, host, origin, cookie_domain, is_noted
):
    strategy = Strategy(SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN=origin, SESSION_COOKIE_DOMAIN=cookie_domain)
    strategy.request_host = lambda: host
    note_another_host(BitbucketServerOAuth1(strategy, "/"))
    assert bool(caplog.records) is is_noted
    if is_noted:
        assert "SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN" in caplog.text
        assert origin in caplog.text
