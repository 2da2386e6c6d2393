"""One server by settings alone: social_django's own views and addresses."""

import re
import threading
from contextlib import ExitStack
from html import unescape
from typing import ClassVar
from urllib.parse import urlsplit

import pytest
import requests
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.db import connection
from django.middleware.csrf import _get_new_csrf_string
from django.test import Client, override_settings
from social_core.exceptions import AuthConfigurationError, AuthPolicyError
from social_core.pipeline import DEFAULT_AUTH_PIPELINE
from social_django.models import UserSocialAuth
from social_django.utils import load_backend, load_strategy

from social_bitbucket_server.backends import BitbucketServerOAuth1, BitbucketServerOAuth2
from social_bitbucket_server.crypto import KeyRing
from social_bitbucket_server.django.models import Event
from social_bitbucket_server.problems import PROBLEMS
from tests.frameworks.django.conftest import Visitor, newest_event

pytestmark = pytest.mark.usefixtures("single")
BEGIN = "/login/bitbucket-server/"
BY_EMAIL = "social_core.pipeline.social_auth.associate_by_email"


class Person(Visitor):
    """A browser that begins at social_django's address, with these *fields*."""

    fields: ClassVar[dict[str, str]] = {}

    def begin(self):
        self.client.cookies["csrftoken"] = token = _get_new_csrf_string()
        return self.client.post(BEGIN, {"csrfmiddlewaretoken": token, **self.fields})

    def come_back(self, sandbox, user="jane", *, allow=True):
        return self.open(sandbox.authorize(self.begin()["Location"], user=user, allow=allow))


@pytest.fixture
def person():
    return Person()


def test_a_person_logs_in(person, single):
    answer = person.come_back(single)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert person.name == "jane"


def test_a_person_who_is_disabled_here_is_told_so(person, single):
    person.come_back(single)
    get_user_model().objects.update(is_active=False)
    page = Person().come_back(single)
    assert page.status_code == 403
    assert "You cannot log in here at the moment." in page.content.decode()


def test_the_identity_is_the_bare_numeric_id(person, single):
    person.come_back(single)
    assert re.fullmatch(r"[1-9][0-9]*", UserSocialAuth.objects.get().uid)


def test_the_session_names_the_backend_as_the_settings_do(person, single):
    person.come_back(single)
    named = f"{BitbucketServerOAuth1.__module__}.{BitbucketServerOAuth1.__qualname__}"
    assert (
        person.client.session["_auth_user_backend"] == named == "social_bitbucket_server.backends.BitbucketServerOAuth1"
    )


def test_a_link_leads_to_a_page_with_the_button_and_begins_nothing(person, single):
    page = person.open(f"{BEGIN}?next=/projects/%22%3E")
    assert page.status_code == 200
    assert '<form method="post" action="/login/bitbucket-server/">' in page.content.decode()
    assert '<input type="hidden" name="next" value="/projects/&quot;&gt;">' in page.content.decode()
    assert "read and write access" in page.content.decode()
    assert "No token is kept." in page.content.decode()
    assert (page["X-Frame-Options"], page["Referrer-Policy"]) == ("DENY", "same-origin")
    assert "no-store" in page["Cache-Control"]
    assert not single.requests.to("/request-token")


def test_the_page_of_oauth_2_says_that_its_own_tokens_are_kept(person, by_oauth2):
    page = person.open(by_oauth2).content.decode()
    assert "No token is kept." in page
    assert "may access your account, and says for what" in page
    assert "read and write access" not in page
    own = "SOCIAL_AUTH_BITBUCKET_SERVER_OAUTH2_"
    with override_settings(**{f"{own}STORE_ACCESS_TOKEN": True, f"{own}KEY_RING": KeyRing.generate()}):
        page = person.open(by_oauth2)
    assert page.status_code == 200
    assert "No token is kept." not in page.content.decode()


def test_the_button_of_that_page_begins_a_login(person, single):
    begun = person.post(BEGIN, next="/projects/")
    assert person.open(single.authorize(begun["Location"]))["Location"] == "/projects/"


def test_a_login_begins_by_no_other_method(person, single):
    assert person.client.put(BEGIN, headers={"X-CSRFToken": "x"}).status_code in {403, 405}
    assert not single.requests.to("/request-token")


def test_a_login_does_not_begin_without_the_forms_token(single):
    assert Client(enforce_csrf_checks=True).post(BEGIN).status_code == 403
    assert not single.requests.to("/request-token")


def test_a_declined_login_ends_in_a_page_with_remedy_and_reference(person, single):
    page = person.come_back(single, allow=False)
    assert "Access was declined in Bitbucket." in page.content.decode()
    assert f"Reference {newest_event().reference}" in page.content.decode()


def test_a_failed_login_has_its_page_before_the_tables_are_made(person, single, caplog):
    with connection.schema_editor() as editor:
        editor.delete_model(Event)
    single.faults.server_error = True
    page = person.begin()
    assert page.status_code == 502
    (reference,) = re.findall(r"Reference (\w+)", page.content.decode())
    assert f"no event was written for reference={reference}" in caplog.text


def test_who_catches_errors_in_another_way_finds_problem_setting_and_reason_in_the_log(person, single, caplog):
    without = [name for name in settings.MIDDLEWARE if not name.endswith("LoginErrorMiddleware")]
    missing = {"SOCIAL_AUTH_BITBUCKET_SERVER_KEY": ""}
    with override_settings(MIDDLEWARE=without, **missing), pytest.raises(AuthConfigurationError) as caught:
        person.begin()
    assert "problem=setting_missing" in caplog.text
    assert "name=SOCIAL_AUTH_BITBUCKET_SERVER_KEY" in caplog.text
    assert caught.value.context["reference"] in caplog.text


REFUSED_BY_CORE = [
    ({"SOCIAL_AUTH_WHITELISTED_DOMAINS": ["company.example"]}, 403, "person_refused"),
    ({"SOCIAL_AUTH_WHITELISTED_EMAILS": ["joe@company.example"]}, 403, "person_refused"),
]


@pytest.mark.parametrize(("lists", "status", "problem"), REFUSED_BY_CORE)
def test_what_social_core_refuses_has_a_page_of_its_own(person, single, lists, status, problem):
    with override_settings(**lists):
        page = person.come_back(single)
    assert page.status_code == status
    assert PROBLEMS[problem].title in unescape(page.content.decode())
    assert not get_user_model().objects.exists()


def test_whoever_has_no_address_is_on_no_list_of_addresses(single):
    for name, entry in (("DOMAINS", "company.example"), ("EMAILS", "joe@company.example")):
        with override_settings(**{f"SOCIAL_AUTH_WHITELISTED_{name}": [entry]}):
            backend = load_backend(load_strategy(), BitbucketServerOAuth1.name, None)
            assert backend.auth_allowed({}, {"email": "joe@company.example"})
            assert not backend.auth_allowed({}, {"email": ""}), name
            assert not backend.auth_allowed({}, {}), name


def test_a_login_declined_elsewhere_is_none_of_our_pages(settings_with_github):
    with override_settings(**settings_with_github):
        page = Visitor().open("/complete/github/?error=access_denied")
    assert (page.status_code, page["Location"]) == (302, "/declined/")
    assert not Event.objects.exists()


@pytest.fixture
def settings_with_github():
    """Another way to log in, with social_django's own way to show errors."""
    return {
        "AUTHENTICATION_BACKENDS": [*settings.AUTHENTICATION_BACKENDS, "social_core.backends.github.GithubOAuth2"],
        "MIDDLEWARE": ["social_django.middleware.SocialAuthExceptionMiddleware", *settings.MIDDLEWARE],
        "SOCIAL_AUTH_LOGIN_ERROR_URL": "/declined/",
    }


UNSAFE = [
    ({"SOCIAL_AUTH_PIPELINE": [*DEFAULT_AUTH_PIPELINE, BY_EMAIL]}, "without associate_by_email"),
    ({"SOCIAL_AUTH_SANITIZE_REDIRECTS": False}, "_SERVER_SANITIZE_REDIRECTS to True"),
    ({"SESSION_COOKIE_HTTPONLY": False}, "Set SESSION_COOKIE_HTTPONLY to True"),
]


@pytest.mark.parametrize(("unsafe", "says"), UNSAFE)
def test_no_login_begins_with_settings_that_no_system_check_looked_at(person, single, unsafe, says, caplog):
    with override_settings(**unsafe):
        page = person.begin()
    assert page.status_code == 503
    assert newest_event().problem == "setting_invalid"
    assert newest_event().reference in page.content.decode()
    assert says in caplog.text
    assert not single.requests.to("/request-token")


@pytest.mark.parametrize(("unsafe", "says"), UNSAFE)
def test_no_login_comes_back_to_settings_that_no_system_check_looked_at(person, single, unsafe, says, caplog):
    callback = single.authorize(person.begin()["Location"])
    with override_settings(**unsafe):
        assert person.open(callback).status_code == 503
    assert says in caplog.text
    assert not single.requests.to("/access-token")
    assert not UserSocialAuth.objects.exists()


def test_without_the_middleware_the_backend_refuses_them_itself(person, single, caplog):
    without = [name for name in settings.MIDDLEWARE if not name.endswith("LoginErrorMiddleware")]
    unsafe, says = UNSAFE[0]
    with override_settings(MIDDLEWARE=without, **unsafe), pytest.raises(AuthConfigurationError):
        person.begin()
    assert says in caplog.text
    assert "problem=setting_invalid stage=begin name=-: " in caplog.text  # the sentence has the setting's name
    assert not single.requests.to("/request-token")


def test_without_the_middleware_the_log_says_what_core_refused(person, single, caplog):
    without = [name for name in settings.MIDDLEWARE if not name.endswith("LoginErrorMiddleware")]
    with (
        override_settings(MIDDLEWARE=without, SOCIAL_AUTH_WHITELISTED_DOMAINS=["elsewhere.example"]),
        pytest.raises(AuthPolicyError),
    ):
        person.come_back(single)
    assert "code=authentication_disallowed stage=pipeline" in caplog.text


def test_a_callback_works_once(person, single):
    callback = single.authorize(person.begin()["Location"])
    person.open(callback)
    assert person.open(callback).status_code == 400
    assert len(single.requests.to("/access-token")) == 1


def test_a_callback_is_not_used_up_by_head(person, single):
    callback = urlsplit(single.authorize(person.begin()["Location"]))
    assert person.client.head(f"{callback.path}?{callback.query}").status_code == 405
    assert not single.requests.to("/access-token")
    assert person.open(callback.geturl())["Location"] == "/"
    assert person.name == "jane"


def test_a_failed_exchange_uses_the_callback_up_also_where_requests_are_atomic(person, single, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies"):
        callback = single.authorize(person.begin()["Location"])
        before = person.client.cookies["sessionid"].value
        assert person.open(re.sub("oauth_verifier=[^&]*", "oauth_verifier=wrong", callback)).status_code == 502
        person.client.cookies["sessionid"] = before
        assert person.open(callback).status_code == 400
    assert len(single.requests.to("/access-token")) == 1


def test_a_callback_attaches_nothing_to_whoever_is_logged_in(person, single):
    root = get_user_model().objects.create_user("root")
    person.client.force_login(root, "django.contrib.auth.backends.ModelBackend")
    assert person.come_back(single).status_code == 400
    assert newest_event().problem == "another_person"
    assert not UserSocialAuth.objects.exists()
    assert person.name == "root"


@pytest.fixture
def changed_while_the_account_is_made(single, monkeypatch):
    """The consumer key is another one as soon as the identity is written."""
    make = UserSocialAuth.create_social_auth
    with ExitStack() as changes:

        def make_and_change(*arguments, **options):
            identity = make(*arguments, **options)
            changes.enter_context(override_settings(SOCIAL_AUTH_BITBUCKET_SERVER_KEY="another"))
            return identity

        monkeypatch.setattr(UserSocialAuth, "create_social_auth", make_and_change)
        yield


@pytest.mark.usefixtures("changed_while_the_account_is_made")
def test_a_login_whose_server_changed_while_it_was_written_leaves_nobody(person, single):
    assert person.come_back(single).status_code == 400
    assert newest_event().problem == "integration_changed"
    assert not UserSocialAuth.objects.exists()
    assert not get_user_model().objects.exists()
    assert person.name == "nobody"


def test_a_known_person_whose_server_changed_while_they_logged_in_is_as_before(person, single, monkeypatch):
    person.come_back(single)
    before = UserSocialAuth.objects.values().get()
    keep = UserSocialAuth.set_extra_data
    with ExitStack() as changes:

        def keep_and_change(identity, extra_data=None):
            keep(identity, {**extra_data, "url": "of another"})
            changes.enter_context(override_settings(SOCIAL_AUTH_BITBUCKET_SERVER_KEY="another"))

        monkeypatch.setattr(UserSocialAuth, "set_extra_data", keep_and_change)
        stranger = Person()
        assert stranger.come_back(single).status_code == 400
    assert stranger.name == "nobody"
    assert UserSocialAuth.objects.values().get() == before


@pytest.fixture
def origin():
    """The application on a socket."""
    server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
    server.daemon_threads = True
    server.set_app(WSGIHandler())
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_person_logs_in_over_a_socket(origin, single):
    token = _get_new_csrf_string()
    with requests.Session() as browser:
        browser.cookies.set("csrftoken", token)
        begun = browser.post(origin + BEGIN, data={"csrfmiddlewaretoken": token}, allow_redirects=False, timeout=120)
        callback = single.authorize(begun.headers["Location"])
        assert callback.startswith(f"{origin}/complete/bitbucket-server/")
        assert browser.get(callback, timeout=120).text == "Hello jane"


@pytest.fixture
def by_oauth2(bitbucket_sandbox):
    """Configure the same server for OAuth 2, too, and yield the path that begins a login."""
    name = "bitbucket-server-oauth2"
    own = "SOCIAL_AUTH_BITBUCKET_SERVER_OAUTH2_"
    link = bitbucket_sandbox.link_external_application(redirect_url=f"http://testserver/complete/{name}/")
    own_settings = {f"{own}URL": bitbucket_sandbox.url, f"{own}KEY": link.client_id, f"{own}SECRET": link.client_secret}
    backend = f"{BitbucketServerOAuth2.__module__}.{BitbucketServerOAuth2.__qualname__}"
    with override_settings(AUTHENTICATION_BACKENDS=[*settings.AUTHENTICATION_BACKENDS, backend], **own_settings):
        yield f"/login/{name}/"


def test_a_person_logs_in_by_oauth_2(person, single, by_oauth2):
    person.client.cookies["csrftoken"] = token = _get_new_csrf_string()
    begun = person.client.post(by_oauth2, {"csrfmiddlewaretoken": token})
    assert person.open(single.authorize(begun["Location"], user="jane"))["Location"] == "/"
    assert person.name == "jane"
    assert UserSocialAuth.objects.get().provider == "bitbucket-server-oauth2"


def test_accounts_of_cores_own_backend_are_carried_over_by_the_command(person, single, by_oauth2):
    known = get_user_model().objects.create_user("somebody-long-known")
    kept = {"access_token": "in plain text", "url": f"{single.url}/users/jane"}
    UserSocialAuth.objects.create(
        user=known,
        provider="bitbucket-datacenter-oauth2",
        id_key="id",
        uid=str(single.users.by_name("jane").id),
        extra_data=kept,
    )
    call_command("bitbucket_server", "carry-over", "core", "--oauth", "2", "--apply")
    assert UserSocialAuth.objects.get().extra_data == {"url": f"{single.url}/users/jane"}
    person.client.cookies["csrftoken"] = token = _get_new_csrf_string()
    begun = person.client.post(by_oauth2, {"csrfmiddlewaretoken": token})
    assert person.open(single.authorize(begun["Location"], user="jane"))["Location"] == "/"
    identity = UserSocialAuth.objects.get()
    assert identity.user == known
    assert "in plain text" not in str(identity.extra_data)
