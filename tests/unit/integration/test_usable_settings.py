"""Settings with which no login could work, and what an application says that does not start with them."""

import ast
import re
from contextlib import nullcontext
from pathlib import Path

import pytest
import social_core
from flask import Flask

from social_bitbucket_server.any_framework import Logins
from social_bitbucket_server.backends import BitbucketServerOAuth1
from social_bitbucket_server.flask import BitbucketServer, configure
from social_bitbucket_server.integration import (
    UnsafeConfigurationError,
    refuse_missing_settings,
    setting_names,
    unusable_settings,
)
from social_bitbucket_server.integration import from_settings as configuration
from social_bitbucket_server.integration.usable_settings import Depth
from social_bitbucket_server.problems import PROBLEMS
from tests.prepared import KeyPool

OWN = "SOCIAL_AUTH_BITBUCKET_SERVER_"
OAUTH2 = f"{OWN}OAUTH2_"
BACKENDS = [
    "social_bitbucket_server.backends.BitbucketServerOAuth1",
    "social_bitbucket_server.backends.BitbucketServerOAuth2",
]
PEM = KeyPool().take().pem()
ONE = {f"{OWN}URL": "https://bitbucket.example.com", f"{OWN}KEY": "packages", f"{OWN}PRIVATE_KEY": PEM}
ONE_BY_OAUTH2 = {f"{OAUTH2}URL": "https://bitbucket.example.com", f"{OAUTH2}KEY": "id", f"{OAUTH2}SECRET": "secret"}
ENTRY = {"url": "https://bitbucket.example.com", "consumer_key": "packages", "private_key": PEM}


class OwnLookUp(BitbucketServerOAuth1):
    def get_integration(self, integration_id):
        return None


async def asynchronous(event, details): ...


def without(settings, *names):
    return {name: value for name, value in settings.items() if name.removeprefix(OWN) not in names}


def many(**changes):
    return {f"{OWN}INTEGRATIONS": {"acme": ENTRY | changes}}


def told(settings, backends=BACKENDS[:1], depth=Depth.PATHS):
    return [sentence for _, sentence in unusable_settings(settings, backends, depth)]


@pytest.mark.parametrize(
    ("settings", "backends"),
    [
        (ONE, BACKENDS[:1]),
        (ONE_BY_OAUTH2, BACKENDS),
        (many(), BACKENDS[:1]),
        ({f"{OWN}INTEGRATIONS": f"{__name__}.without"}, BACKENDS[:1]),
        ({"SOCIAL_AUTH_URL": "https://b.example", "KEY": "k", "SOCIAL_AUTH_PRIVATE_KEY": PEM}, BACKENDS[:1]),
        ({}, [f"{__name__}.OwnLookUp"]),
        (ONE | {f"{OWN}ON_EVENT": print, "ON_EVENT": "the application's own"}, BACKENDS[:1]),
        ({}, ["social_core.backends.github.GithubOAuth2"]),
        (ONE | {f"{OWN}EXTRA_DATA": [], f"{OWN}WHITELISTED_DOMAINS": []}, BACKENDS[:1]),
        (
            ONE
            | {
                f"{OWN}URL": " https://bitbucket.example.com\n",
                f"{OWN}KEY": "packages ",
                f"{OWN}VERIFY_SSL": True,
                f"{OWN}CONNECT_TO": " bitbucket.internal:8443",
                f"{OWN}PROXIES": {"all": "proxy.example:3128", "http": None},
            },
            BACKENDS[:1],
        ),
    ],
)
def test_settings_with_which_logins_work_pass(settings, backends):
    assert told(settings, backends) == []


@pytest.mark.parametrize(
    ("settings", "sentences"),
    [
        ({}, [f"Set {OWN}URL, or {OWN}INTEGRATIONS,"]),
        (without(ONE, "URL"), [f"Set {OWN}URL,"]),
        (without(ONE, "KEY"), [f"Set {OWN}KEY,"]),
        (without(ONE, "PRIVATE_KEY"), [f"Set {OWN}PRIVATE_KEY, or {OWN}PRIVATE_KEY_FILE,"]),
        (without(ONE, "KEY", "PRIVATE_KEY"), [f"Set {OWN}KEY,", f"Set {OWN}PRIVATE_KEY, or"]),
        (ONE | {f"{OWN}KEY": "  "}, [f"Set {OWN}KEY,"]),
        (ONE | {f"{OWN}KEY": "two words"}, [f"Correct {OWN}KEY: "]),
        (ONE | {f"{OWN}URL": "bitbucket.example.com"}, [f"Correct {OWN}URL: "]),
        (ONE | {f"{OWN}URL": "http://bitbucket.example.com"}, [f"Correct {OWN}URL: "]),
        (ONE | {f"{OWN}PRIVATE_KEY": "x"}, [f"Correct {OWN}PRIVATE_KEY: This is not a private key."]),
        (
            without(ONE, "PRIVATE_KEY") | {f"{OWN}PRIVATE_KEY_FILE": "/nowhere"},
            [f"Correct {OWN}PRIVATE_KEY_FILE: /nowhere: No such file or directory."],
        ),
        (ONE | {f"{OWN}REQUESTS_TIMEOUT": "5"}, [f"Correct {OWN}REQUESTS_TIMEOUT: It is a text; write a number"]),
        (ONE | {f"{OWN}VERIFY_SSL": "true"}, [f"Correct {OWN}VERIFY_SSL: It is a text; write True or False"]),
        (ONE | {f"{OWN}VERIFY_SSL": "/nowhere.pem"}, [f"Correct {OWN}VERIFY_SSL: "]),
        (ONE | {"SOCIAL_AUTH_VERIFY_SSL": "/nowhere.pem"}, ["Correct SOCIAL_AUTH_VERIFY_SSL: "]),
        (ONE | {f"{OWN}ALLOW_HTTP": "false"}, [f"Correct {OWN}ALLOW_HTTP: It is a text; write True or False"]),
        (ONE | {f"{OWN}STORE_ACCESS_TOKEN": "false"}, [f"Correct {OWN}STORE_ACCESS_TOKEN: "]),
        (ONE | {f"{OWN}CONNECT_LOGGED_IN": "true"}, [f"Correct {OWN}CONNECT_LOGGED_IN: "]),
        (ONE | {f"{OWN}PROXIES": "http://proxy.example:3128"}, [f"Correct {OWN}PROXIES: "]),
        (ONE | {f"{OWN}ALLOW_GROUPS": "developers"}, [f"Correct {OWN}ALLOW_GROUPS: "]),
        (
            without(ONE, "KEY") | {f"{OWN}CONSUMER_KEY": "x"},
            [f"Rename {OWN}CONSUMER_KEY to {OWN}KEY,", f"Set {OWN}KEY,"],
        ),
        (
            without(ONE, "PRIVATE_KEY") | {f"{OWN}PRIVAT_KEY": PEM},
            [f"Rename {OWN}PRIVAT_KEY to {OWN}PRIVATE_KEY,", f"Set {OWN}PRIVATE_KEY, or"],
        ),
        (ONE | {f"{OWN}REDIRECT_URI": "x"}, [f"Rename {OWN}REDIRECT_URI to {OWN}CALLBACK_ORIGIN,"]),
        (ONE | {f"{OWN}PROXIES": {"https": "socks5://p:1080"}}, [f"Correct {OWN}PROXIES: A proxy's address begins"]),
        (ONE | {f"{OWN}STORE_ACCESS_TOKEN": True, f"{OWN}KEY_RING": "1:x"}, [f"Correct {OWN}KEY_RING: "]),
        (ONE | {f"{OWN}ALLOW_GROUP": ["x"]}, [f"Rename {OWN}ALLOW_GROUP to {OWN}ALLOW_GROUPS,"]),
        (ONE | {f"{OWN}WHITELISTED_DOMAIN": []}, [f"Rename {OWN}WHITELISTED_DOMAIN to {OWN}WHITELISTED_DOMAINS,"]),
        ({"SOCIAL_AUTH_BITBUCKET_URL": "x"}, [f"did you mean {OWN}URL?"]),
        (
            without(ONE, "URL") | {"SOCIAL_AUTH_BITBUKET_SERVER_URL": "x"},
            [f"There is SOCIAL_AUTH_BITBUKET_SERVER_URL: did you mean {OWN}URL?"],
        ),
        (many(url=""), [f'Set {OWN}INTEGRATIONS["acme"]["url"],']),
        (many(url="x"), [f'Correct {OWN}INTEGRATIONS["acme"]["url"]: ']),
        (many(key="x"), [f'Correct {OWN}INTEGRATIONS["acme"]["key"]: An integration has no such field.']),
        (many(timeout="5"), [f'Correct {OWN}INTEGRATIONS["acme"]["timeout"]: ']),
        (many(verify="/nowhere.pem"), [f'Correct {OWN}INTEGRATIONS["acme"]["verify"]: ']),
        (many(allow_groups="x"), [f'Correct {OWN}INTEGRATIONS["acme"]["allow_groups"]: ']),
        (many(namespace="a:b"), [f'Correct {OWN}INTEGRATIONS["acme"]["namespace"]: ']),
        ({f"{OWN}INTEGRATIONS": {"acme": "x"}}, [f'Correct {OWN}INTEGRATIONS["acme"]: An integration is']),
        ({f"{OWN}INTEGRATIONS": {"acme": None}}, [f"Correct {OWN}INTEGRATIONS: acme has no fields."]),
        (many(proxies={"all": "ftp://p"}), [f'Correct {OWN}INTEGRATIONS["acme"]["proxies"]: A proxy']),
        ({f"{OWN}INTEGRATIONS": "nothing.here"}, [f"Correct {OWN}INTEGRATIONS: There is nothing"]),
        ({f"{OWN}INTEGRATIONS": ".."}, [f"Correct {OWN}INTEGRATIONS: There is nothing"]),
        (ONE | {f"{OWN}PRIVATE_KEY": (PEM,)}, [f"Correct {OWN}PRIVATE_KEY: It is not a text."]),
        (many(private_key=5), [f'Correct {OWN}INTEGRATIONS["acme"]["private_key"]: It is not a text.']),
        ({f"{OWN}INTEGRATIONS": ["acme"]}, [f"Correct {OWN}INTEGRATIONS: "]),
        (ONE | {f"{OWN}ON_EVENT": "nothing.here"}, [f"Correct {OWN}ON_EVENT: There is nothing"]),
        (ONE | {"SOCIAL_AUTH_ON_EVENT": "nothing.here"}, ["Correct SOCIAL_AUTH_ON_EVENT: There is nothing"]),
        (ONE | {f"{OWN}ON_EVENT": 5}, [f"Correct {OWN}ON_EVENT: It is a function that is not asynchronous"]),
        (ONE | {f"{OWN}ON_EVENT": asynchronous}, [f"Correct {OWN}ON_EVENT: It is a function that is not"]),
        (ONE_BY_OAUTH2, [f"Add {BACKENDS[1]} to AUTHENTICATION_BACKENDS,"]),
    ],
)
def test_each_fault_is_told_with_the_settings_full_name(settings, sentences):
    found = told(settings)
    assert len(found) == len(sentences), found
    for sentence, expected in zip(found, sentences, strict=True):
        assert expected in sentence
        assert sentence.endswith((".", "?"))


def test_an_empty_setting_is_not_suggested():
    # Applications with many backends have empty settings for those that they do not use.
    (sentence,) = told(without(ONE, "KEY") | {"SOCIAL_AUTH_BITBUCKET_OAUTH2_KEY": ""})
    assert "did you mean" not in sentence


def test_no_setting_is_shown_with_its_value():
    assert "s3cret" not in "\n".join(told(ONE | {f"{OWN}PRIVATE_KEY": "s3cret", f"{OWN}KEY": "s3cret s3cret"}))


def test_a_missing_secret_of_oauth_2_is_told():
    settings = {name: value for name, value in ONE_BY_OAUTH2.items() if not name.endswith("SECRET")}
    (sentence,) = told(settings, BACKENDS)
    assert sentence.startswith(f"Set {OAUTH2}SECRET,")


def test_dotted_paths_are_not_followed_while_modules_are_loading():
    assert told({f"{OWN}INTEGRATIONS": "nothing.here"}, depth=Depth.VALUES) == []
    assert told({}, ["nothing.here"], Depth.VALUES) == []
    assert told(ONE | {f"{OWN}ON_EVENT": "nothing.here"}, depth=Depth.VALUES) == []


def test_a_name_that_nothing_reads_goes_to_the_log(caplog):
    refuse_missing_settings(ONE | {f"{OWN}QQQQ": 1}, BACKENDS[:1])
    assert f"Nothing reads {OWN}QQQQ;" in caplog.text


@pytest.mark.parametrize("name", ["PRIVATE_KEY", "INTEGRATIONS", "SECRET"])
def test_a_backend_that_is_called_otherwise_has_its_own_settings(name):
    assert told(ONE | {f"{OWN}ACME_{name}": "x"}) == []


@pytest.mark.parametrize("start", [BitbucketServer, configure])
def test_flask_says_at_start_what_is_missing(start):
    app = Flask(__name__)
    app.config.update(without(ONE, "KEY", "PRIVATE_KEY"))
    with pytest.raises(UnsafeConfigurationError) as refused:
        start(app, object)
    assert f"Set {OWN}KEY," in str(refused.value)
    assert f"Set {OWN}PRIVATE_KEY," in str(refused.value)


def test_a_value_that_tests_replace_is_told_at_start_and_refused_with_the_first_request(caplog):
    app = Flask(__name__)
    app.testing = True
    app.config.update(ONE | {f"{OWN}URL": "set by the fixture"})
    configure(app, object)
    assert f"Correct {OWN}URL: " in caplog.text
    with pytest.raises(UnsafeConfigurationError, match=f"Correct {OWN}URL: "):
        app.test_client().get("/")
    app.config.update(ONE)
    assert app.test_client().get("/").status_code == 404


def test_flask_follows_dotted_paths_with_the_first_request():
    app = Flask(__name__)
    app.testing = True
    app.config.update({f"{OWN}INTEGRATIONS": "nothing.here", f"{OWN}CALLBACK_ORIGIN": "https://app.example"})
    configure(app, object)
    with pytest.raises(UnsafeConfigurationError, match="There is nothing at this dotted path"):
        app.test_client().get("/")


def test_a_backend_whose_module_has_a_wrong_value_is_named(tmp_path, monkeypatch):
    (tmp_path / "wrong_backend.py").write_text(
        "from social_bitbucket_server.integration import ServerURL\nServerURL.parse('ftp://bitbucket.example')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    told_of_it = told(ONE, [BACKENDS[0], "wrong_backend.Backend"])
    assert any("There is nothing at wrong_backend.Backend" in sentence for sentence in told_of_it)


@pytest.mark.parametrize(
    ("name", "value", "origin", "is_lost"),
    [
        ("SESSION_COOKIE_SAMESITE", "Strict", "", True),
        ("SESSION_COOKIE_SAMESITE", "strict", "", True),
        ("SESSION_COOKIE_SAMESITE", "Lax", "", False),
        ("SESSION_COOKIE_DOMAIN", "other.example", "https://www.app.example", True),
        ("SESSION_COOKIE_DOMAIN", "p.example", "https://app.example", True),
        ("SESSION_COOKIE_DOMAIN", ".app.example", "https://www.app.example", False),
        ("SESSION_COOKIE_DOMAIN", "other.example", "", False),
        ("SESSION_COOKIE_SECURE", True, "http://app.example", True),
        ("SESSION_COOKIE_SECURE", True, "http://127.0.0.1:5000", False),
        ("SESSION_COOKIE_SECURE", True, "https://app.example", False),
    ],
)
def test_flask_refuses_cookies_that_do_not_come_back_from_bitbucket(name, value, origin, is_lost):
    app = Flask(__name__)
    app.config.update(ONE, **{name: value, f"{OWN}CALLBACK_ORIGIN": origin})
    with pytest.raises(UnsafeConfigurationError, match=name) if is_lost else nullcontext():
        configure(app, object)


@pytest.mark.parametrize("prefix", ["", "SOCIAL_AUTH_", OWN])
def test_flask_knows_the_origin_by_each_name_that_a_login_looks_up(prefix):
    app = Flask(__name__)
    origin = {f"{prefix}CALLBACK_ORIGIN": "https://www.app.example"}
    app.config.update(ONE, **origin, SESSION_COOKIE_DOMAIN="other.example")
    with pytest.raises(UnsafeConfigurationError, match="SESSION_COOKIE_DOMAIN"):
        configure(app, object)


def test_logins_without_a_framework_say_at_start_what_is_missing():
    with pytest.raises(UnsafeConfigurationError, match=f"Set {OWN}KEY,"):
        Logins(without(ONE, "KEY") | {f"{OWN}CALLBACK_ORIGIN": "https://app.example"}, object)


def test_no_problem_speaks_of_a_name_without_naming_it():
    vague = re.compile("is (named|proposed|shown)|the setting of")
    assert [code for code, problem in PROBLEMS.items() if vague.search(f"{problem.meaning} {problem.remedy}")] == []


def test_every_setting_that_core_reads_is_known():
    folder = Path(social_core.__file__).parent
    files = [
        *folder.glob("*.py"),
        *folder.glob("pipeline/*.py"),
        folder / "backends/base.py",
        folder / "backends/oauth.py",
    ]
    calls = [
        node
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "setting"
    ]
    read = {
        argument.value
        for call in calls
        for argument in call.args[:1]
        if isinstance(argument, ast.Constant) and argument.value.isupper()
    }
    assert len(read) > 20
    assert read <= setting_names.OWN | setting_names.CORES


def test_every_setting_that_is_documented_is_known():
    page = Path(setting_names.__file__).parents[2] / "docs/settings.md"
    own = re.findall(r"^\| `([A-Z_]+)` \|.*\| 0\.[0-9]+ \|$", page.read_text(), re.MULTILINE)
    assert set(own) == setting_names.OWN


def test_every_setting_of_a_field_is_known():
    fields = configuration._FIELDS | configuration._OAUTH2_FIELDS
    own = fields - {"ca_certificates", "name", "namespace", "organization"}
    assert {configuration.setting_of_field(field) for field in own} <= setting_names.OWN
