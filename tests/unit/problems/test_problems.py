import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from social_core.exceptions import (
    REASONS,
    AuthAssociationError,
    AuthCanceled,
    AuthConfigurationError,
    AuthCredentialError,
    AuthInputError,
    AuthPolicyError,
    AuthProviderError,
    AuthResponseError,
    AuthSessionError,
    AuthUnknownError,
)

import social_bitbucket_server
from social_bitbucket_server.oauth.answers import OAUTH_PROBLEMS
from social_bitbucket_server.problems import (
    PROBLEMS,
    BitbucketServerError,
    Problem,
    http_status,
    problem_to_show,
    reference_of,
    when_to_try_again,
)

REPOSITORY = Path(__file__).parents[3]
SOURCE = "\n".join(
    path.read_text()
    for path in Path(social_bitbucket_server.__file__).parent.rglob("*.py")
    if "sandbox" not in path.parts and (path.parent.name != "problems" or path.name == "showing.py")
)


def offenders(keeps_the_rule: Callable[[Problem], object]) -> list[str]:
    """Return the codes of the problems that break a rule."""
    return [code for code, problem in PROBLEMS.items() if not keeps_the_rule(problem)]


def test_every_problem_says_what_it_means_and_what_to_do():
    for name in ("title", "meaning", "remedy"):
        assert offenders(lambda problem, name=name: getattr(problem, name).endswith(".")) == [], name
    assert offenders(lambda problem: problem.who) == []


def test_every_problem_has_a_code_that_social_core_knows():
    assert offenders(lambda problem: problem.social_code in REASONS) == []
    assert offenders(lambda problem: re.fullmatch(r"[a-z][a-z0-9_]+", problem.code)) == []


def test_every_problem_is_documented_where_it_says():
    pages: dict[str, str] = {}

    def is_documented(problem: Problem) -> bool:
        page, _, anchor = problem.documentation.partition("#")
        pages.setdefault(page, (REPOSITORY / page).read_text())
        return f"\n## {anchor}\n\n**{problem.title}**" in pages[page]

    assert offenders(is_documented) == []


def test_every_problem_is_raised_somewhere():
    named = {name.lower() for name in re.findall(r"\bCode\.([A-Z_0-9]+)", SOURCE)} | OAUTH_PROBLEMS
    assert offenders(lambda problem: problem.code in named) == []


def test_a_problem_becomes_an_error_of_social_core():
    error = BitbucketServerError("timeout", "After 10 s.", status_code=200).as_social_error(None, "user_info")
    assert isinstance(error, AuthProviderError)
    assert (error.code, error.stage, error.status_code) == ("timeout", "user_info", 200)
    assert error.context["problem"] == "timeout"
    assert error.context["remedy"] == PROBLEMS["timeout"].remedy


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (AuthInputError(), 400),
        (AuthSessionError(), 400),
        (AuthCanceled(), 400),
        (AuthResponseError(), 502),
        (AuthProviderError(code="connection_failed"), 502),
        (AuthProviderError(code="tls_error"), 502),
        (AuthProviderError(code="timeout"), 504),
        (AuthProviderError(code="rate_limited"), 503),
        (AuthConfigurationError(parameter="base_url"), 502),
        (AuthConfigurationError(parameter="private_key"), 503),
        (AuthPolicyError(), 403),
        (AuthAssociationError(), 409),
    ],
)
def test_every_family_has_its_http_status(error, status):
    assert http_status(error) == status


def test_an_integration_that_is_not_there_is_answered_so():
    assert http_status(BitbucketServerError("integration_unknown").as_social_error(None, "begin")) == 404
    assert http_status(BitbucketServerError("integration_missing").as_social_error(None, "begin")) == 400


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("address_blocked", "connection_failed"),
        ("login_mixed_up", "login_not_pending"),
        ("login_expired", "login_not_pending"),
        ("person_changed", "person_changed"),
        ("timeout", "timeout"),
    ],
)
def test_a_page_says_nothing_that_helps_an_attacker(code, shown):
    parameter = "base_url" if code == "address_blocked" else None
    error = BitbucketServerError(code, parameter=parameter).as_social_error(None, "begin")
    assert problem_to_show(error) is PROBLEMS[shown]


def test_the_operators_one_server_is_named():
    error = BitbucketServerError("invalid_base_url", parameter="base_url").as_social_error(None, "begin")
    error.backend = SimpleNamespace(has_single_server=True)
    assert problem_to_show(error) is PROBLEMS["invalid_base_url"]


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (AuthPolicyError(), "person_refused"),
        (AuthPolicyError(code="membership_required"), "person_refused"),
        (AuthAssociationError(), "identity_in_use"),
        (AuthAssociationError(code="email_in_use"), "email_in_use"),
        (AuthAssociationError(code="username_in_use"), "username_in_use"),
        (AuthAssociationError(code="identifier_migration_conflict"), "account_conflict"),
        (AuthCredentialError(code="email_verification_rejected"), "email_unconfirmed"),
        (AuthConfigurationError(code="missing_setting"), "setting_missing"),
        (AuthConfigurationError(parameter="base_url"), "connection_failed"),
        (AuthSessionError(), "login_not_pending"),
        (AuthInputError(code="missing_parameter"), "callback_parameter_missing"),
        (AuthCanceled(), "login_declined"),
    ],
)
def test_what_social_core_refuses_itself_has_a_page(error, shown):
    assert problem_to_show(error) is PROBLEMS[shown]


def test_an_error_says_problem_setting_and_reason_in_the_log_where_it_is_made(caplog):
    reason = BitbucketServerError("setting_missing", "It is the integration's url.", parameter="URL")
    error = reason.as_social_error(None, "begin")
    (line,) = caplog.messages
    for part in ("problem=setting_missing", "name=URL", "stage=begin", "It is the integration's url."):
        assert part in line
    assert f"reference={reference_of(error)} " in line
    assert len(caplog.messages) == 1


def test_an_error_of_social_cores_own_is_in_the_log_once(caplog):
    error = AuthPolicyError(stage="pipeline")
    assert reference_of(error) == reference_of(error)
    assert caplog.messages == [
        f"login failed: reference={reference_of(error)} code=authentication_disallowed stage=pipeline name=-"
    ]


def test_a_login_that_was_declined_is_no_warning(caplog):
    caplog.set_level("INFO")
    BitbucketServerError("login_declined").as_social_error(None, "callback")
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_an_error_of_others_has_no_problem():
    assert problem_to_show(AuthUnknownError(None)) is None


@pytest.mark.parametrize(
    ("code", "stage", "headers"),
    [
        ("server_overloaded", "begin", {"Retry-After": "60"}),
        ("server_overloaded", "callback", {"Retry-After": "5", "Refresh": "5"}),
        ("server_busy", "begin", {"Retry-After": "5"}),
        ("server_busy", "callback", {"Retry-After": "5", "Refresh": "5"}),
        ("server_busy", "token_exchange", {"Retry-After": "5"}),
        ("timeout", "callback", {}),
        ("login_not_pending", "callback", {}),
    ],
)
def test_a_page_is_opened_again_where_that_finishes_the_login(code, stage, headers):
    assert when_to_try_again(BitbucketServerError(code).as_social_error(None, stage)) == headers
