"""Settings that an application is not started with, and what it is told instead."""

import ast
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask import Flask
from social_core.pipeline import DEFAULT_AUTH_PIPELINE
from social_flask.routes import social_auth

from social_bitbucket_server.flask import BitbucketServer, configure
from social_bitbucket_server.integration import (
    ServerURL,
    UnsafeConfigurationError,
    refuse_unsafe_settings,
    unsafe_settings,
    warn_of_missing_names,
)
from social_bitbucket_server.problems import BitbucketServerError
from tests.servers import with_server

ORIGIN = "https://app.example"
OWN = "SOCIAL_AUTH_BITBUCKET_SERVER_"
BY_EMAIL = "social_core.pipeline.social_auth.associate_by_email"
OAUTH2 = {f"{OWN}OAUTH2_URL": "https://h.example"}


def associate_by_email(**_):
    """Stand for core's function."""


def many(**integrations):
    """Return settings with integrations of these base URLs and namespaces."""
    mapping = {
        name: {"url": url} | ({} if namespace is None else {"namespace": namespace})
        for name, (url, namespace) in integrations.items()
    }
    return {f"{OWN}INTEGRATIONS": mapping, f"{OWN}CALLBACK_ORIGIN": ORIGIN}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {f"{OWN}URL": "https://bitbucket.example", f"{OWN}VERIFY_SSL": "/etc/ca.pem"},
        {f"{OWN}INTEGRATIONS": {"one": {"verify": True}}, f"{OWN}CALLBACK_ORIGIN": ORIGIN},
        {f"{OWN}INTEGRATIONS": "app.find", "SOCIAL_AUTH_CALLBACK_ORIGIN": ORIGIN},
        {"SOCIAL_AUTH_PIPELINE": DEFAULT_AUTH_PIPELINE, "SOCIAL_AUTH_REDIRECT_IS_HTTPS": True},
        {f"{OWN}PIPELINE": [], "SOCIAL_AUTH_PIPELINE": [BY_EMAIL]},
        {f"{OWN}STORE_ACCESS_TOKEN": True, f"{OWN}KEY_RING": "1:x"},
        many(one=("https://a.example", "ns"), two=("HTTPS://A.example:443/", "ns"), three=("https://b.example", "")),
        many(one=("?", "ns"), two=("https://b.example", "ns"), three=(None, "ns")),
    ],
    ids=[
        "nothing",
        "one server",
        "mapping",
        "dotted path",
        "core's pipeline",
        "own pipeline",
        "tokens sealed",
        "one namespace for one server",
        "base URLs that cannot be used",
    ],
)
def test_safe_settings_pass(settings):
    refuse_unsafe_settings(settings)


@pytest.mark.parametrize(
    ("settings", "names", "instead"),
    [
        (
            {"SOCIAL_AUTH_PIPELINE": [BY_EMAIL]},
            "Leave SOCIAL_AUTH_PIPELINE to",
            f"set {OWN}PIPELINE to its steps without",
        ),
        ({f"{OWN}PIPELINE": (associate_by_email,)}, f"{OWN}PIPELINE", "Take associate_by_email out"),
        ({f"{OWN}VERIFY_SSL": False}, f"{OWN}VERIFY_SSL", "the path of the CA certificate"),
        ({"SOCIAL_AUTH_VERIFY_SSL": False}, f"Set {OWN}VERIFY_SSL", "the path of the CA certificate"),
        (
            {f"{OWN}INTEGRATIONS": {"one": {"verify": False}}, f"{OWN}CALLBACK_ORIGIN": ORIGIN},
            "integration one",
            "the path of the CA certificate",
        ),
        (many(one=("https://a.example", ""), two=("https://b.example", "")), "two and one", "different namespaces"),
        (
            many(one=("https://a.example", "two"), two=("https://b.example", None)),
            "two and one",
            "different namespaces",
        ),
        (
            many(one=("https://a.example", "acme"), two=("https://b.example", "Acme")),
            "two and one",
            "namespaces that differ in more than case",
        ),
        (
            many(one=("https://a.example", "acme"), two=("https://a.example", "ACME")),
            "two and one",
            "namespaces that differ in more than case",
        ),
        (
            many(acme=("https://a.example", "x"), Acme=("https://b.example", "y")),
            "Acme and acme",
            "ids that differ in more than case",
        ),
        (
            many(acme=("https://a.example", None), other=("https://b.example", "Acme")),
            "other and acme",
            "namespaces that differ in more than case",
        ),
        ({"SOCIAL_AUTH_SANITIZE_REDIRECTS": False}, f"Set {OWN}SANITIZE_REDIRECTS to True", "any other site"),
        ({f"{OWN}INTEGRATIONS": dict}, f"{OWN}CALLBACK_ORIGIN", "such as https://app.example.com"),
        ({f"{OWN}INTEGRATIONS": {"one": {}}}, f"{OWN}CALLBACK_ORIGIN", "such as https://app.example.com"),
        ({f"{OWN}CALLBACK_ORIGIN": f"{ORIGIN}/x"}, f"{OWN}CALLBACK_ORIGIN", "scheme and host alone"),
        (
            {f"{OWN}CALLBACK_ORIGIN": "http://app.example", "SOCIAL_AUTH_REDIRECT_IS_HTTPS": True},
            f"set {OWN}REDIRECT_IS_HTTPS to False",
            "Begin SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN with https://",
        ),
        ({f"{OWN}STORE_ACCESS_TOKEN": True}, f"{OWN}KEY_RING", "Set"),
        ({f"{OWN}SLOW_STEPS": 0}, f"{OWN}SLOW_STEPS", "at least 1"),
        ({"SOCIAL_AUTH_PATIENCE": "2"}, "SOCIAL_AUTH_PATIENCE", "a number of seconds"),
        (OAUTH2 | {f"{OWN}OAUTH2_VERIFY_SSL": False}, f"{OWN}OAUTH2_VERIFY_SSL", "the path of the CA certificate"),
        (OAUTH2 | {f"{OWN}OAUTH2_PIPELINE": [BY_EMAIL]}, f"{OWN}OAUTH2_PIPELINE", "Take associate_by_email out"),
        (OAUTH2 | {f"{OWN}OAUTH2_STORE_ACCESS_TOKEN": True}, f"{OWN}OAUTH2_KEY_RING", "Set"),
        ({f"{OWN}OAUTH2_INTEGRATIONS": dict}, f"{OWN}OAUTH2_CALLBACK_ORIGIN", "such as https://app.example.com"),
    ],
)
def test_an_unsafe_setting_is_refused_in_one_sentence(settings, names, instead):
    with pytest.raises(UnsafeConfigurationError) as refused:
        refuse_unsafe_settings(settings)
    sentence = str(refused.value)
    assert names in sentence
    assert instead in sentence
    assert sentence.endswith(".")
    assert ". " not in sentence


@pytest.mark.parametrize(
    ("settings", "is_refused"),
    [
        ({}, True),
        ({f"{OWN}URL": "https://h.example"}, True),
        ({f"{OWN}URL": "https://h.example"} | OAUTH2, True),
        (OAUTH2, False),
        ({f"{OWN}INTEGRATIONS": dict}, True),
        ({f"{OWN}INTEGRATIONS": dict, f"{OWN}OAUTH2_INTEGRATIONS": dict}, False),
        ({f"{OWN}INTEGRATIONS": "path.of.a.function", f"{OWN}OAUTH2_INTEGRATIONS": "path.of.another"}, False),
        ({f"{OWN}INTEGRATIONS": {"acme": {}}, f"{OWN}OAUTH2_INTEGRATIONS": dict}, True),
    ],
)
def test_a_machine_that_forbids_sha1_stops_an_application_that_signs(monkeypatch, settings, is_refused):
    def forbid():
        raise BitbucketServerError("sha1_forbidden")

    monkeypatch.setattr("social_bitbucket_server.integration.unsafe.refuse_forbidden_sha1", forbid)
    origins = {f"{OWN}CALLBACK_ORIGIN": "https://app.example", f"{OWN}OAUTH2_CALLBACK_ORIGIN": "https://app.example"}
    refused = [name for name, _ in unsafe_settings(origins | settings)]
    assert refused == ["signatures_forbidden"] * is_refused


def test_what_is_unsafe_for_both_ways_to_log_in_is_told_once():
    settings = {f"{OWN}URL": "https://h.example", **OAUTH2, "SOCIAL_AUTH_PATIENCE": "2"}
    assert [name for name, _ in unsafe_settings(settings)] == ["limits_unusable"]


OTHERS = {
    "SOCIAL_AUTH_PIPELINE": [*DEFAULT_AUTH_PIPELINE[:6], BY_EMAIL, *DEFAULT_AUTH_PIPELINE[6:]],
    "SOCIAL_AUTH_SANITIZE_REDIRECTS": False,
    "SOCIAL_AUTH_VERIFY_SSL": False,
    "SOCIAL_AUTH_REDIRECT_IS_HTTPS": True,
}
"""Settings that another backend of the application may need."""


@pytest.mark.parametrize("prefix", [OWN, f"{OWN}OAUTH2_"])
def test_the_advice_is_safe_and_leaves_the_settings_of_other_backends_alone(prefix):
    settings = OTHERS | {f"{prefix}URL": "https://h.example", f"{prefix}CALLBACK_ORIGIN": "http://app.example"}
    sentences = [sentence for _, sentence in unsafe_settings(settings)]
    assert len(sentences) == len(OTHERS)
    advised = re.findall(rf"[Ss]et ({prefix}\w+) to (?:(True|False)|its steps .*(\[.*\]))", "\n".join(sentences))
    own = {name: ast.literal_eval(value or steps) for name, value, steps in advised}
    assert own[f"{prefix}PIPELINE"] == list(DEFAULT_AUTH_PIPELINE)
    refuse_unsafe_settings(settings | own)


def test_settings_of_oauth_1_count_only_where_it_has_a_server():
    settings = {
        f"{OWN}OAUTH2_URL": "https://h.example",
        f"{OWN}OAUTH2_PIPELINE": [],
        "SOCIAL_AUTH_PIPELINE": [BY_EMAIL],
    }
    refuse_unsafe_settings(settings)


WITHOUT_NAMES = [step for step in DEFAULT_AUTH_PIPELINE if not step.endswith("social_names")]


@pytest.mark.parametrize(
    ("settings", "user", "names"),
    [
        ({"SOCIAL_AUTH_PIPELINE": WITHOUT_NAMES}, {"first_name": ""}, ["SOCIAL_AUTH_PIPELINE"]),
        ({f"{OWN}PIPELINE": WITHOUT_NAMES}, {"last_name": ""}, [f"{OWN}PIPELINE"]),
        ({"SOCIAL_AUTH_PIPELINE": WITHOUT_NAMES}, {"username": ""}, []),
        ({"SOCIAL_AUTH_PIPELINE": DEFAULT_AUTH_PIPELINE}, {"first_name": ""}, []),
        ({"SOCIAL_AUTH_PIPELINE": ["own.pipeline.everything"]}, {"first_name": ""}, []),
        ({}, {"first_name": ""}, []),
    ],
)
def test_a_pipeline_from_before_core_7_is_warned_of_where_people_have_two_names(settings, user, names, caplog):
    storage = SimpleNamespace(user=SimpleNamespace(user_model=lambda: type("User", (), user)))
    warn_of_missing_names(settings, storage)
    assert [re.search(r"to (\w+),", message)[1] for message in caplog.messages] == names


@pytest.mark.parametrize("page", sorted(Path(__file__).parents[3].glob("docs/*.md")), ids=lambda page: page.name)
def test_pipelines_in_the_documentation_have_every_step_of_cores(page):
    for text in re.findall(r"^(?:SOCIAL_AUTH|    SOCIAL)\w*PIPELINE = (\(.*?^\))", page.read_text(), re.S | re.M):
        steps = ast.literal_eval(text)
        assert [step for step in steps if step in DEFAULT_AUTH_PIPELINE] == list(DEFAULT_AUTH_PIPELINE)


def test_settings_of_oauth_2_count_only_where_it_has_a_server():
    refuse_unsafe_settings({f"{OWN}OAUTH2_VERIFY_SSL": False})


def test_an_integration_is_looked_up_only_in_mappings():
    refuse_unsafe_settings({f"{OWN}INTEGRATIONS": lambda _: pytest.fail("asked"), f"{OWN}CALLBACK_ORIGIN": ORIGIN})


def test_ready_made_integrations_are_looked_at_as_well(integration):
    other = with_server(integration, url=ServerURL.parse("https://other.example"))
    settings = many() | {f"{OWN}INTEGRATIONS": {"one": integration, "two": integration}}
    refuse_unsafe_settings(settings)
    with pytest.raises(UnsafeConfigurationError, match="two and one"):
        refuse_unsafe_settings(settings | {f"{OWN}INTEGRATIONS": {"one": integration, "two": other}})


def test_flask_refuses_unsafe_settings_at_start():
    app = Flask(__name__)
    app.config["SOCIAL_AUTH_PIPELINE"] = [BY_EMAIL]
    with pytest.raises(UnsafeConfigurationError, match="associate_by_email"):
        BitbucketServer(app, object)


def test_flask_refuses_the_stock_blueprint_at_start():
    app = Flask(__name__)
    app.register_blueprint(social_auth)
    with pytest.raises(UnsafeConfigurationError, match="social_flask's blueprint"):
        configure(app, object)


def test_flask_refuses_the_stock_blueprint_that_is_registered_later():
    app = Flask(__name__)
    app.testing = True
    app.config.update({f"{OWN}INTEGRATIONS": {}.get, f"{OWN}CALLBACK_ORIGIN": ORIGIN})
    configure(app, object)
    app.register_blueprint(social_auth, name="other")
    for _ in range(2):
        with pytest.raises(UnsafeConfigurationError, match="social_flask's blueprint"):
            app.test_client().get("/")
