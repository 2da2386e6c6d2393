"""The kinds of errors that callers catch."""

import pytest

from social_bitbucket_server.problems import (
    PROBLEMS,
    BitbucketServerError,
    Code,
    LoginError,
    ServerError,
    SettingError,
    TokenError,
)

KINDS = {SettingError, ServerError, TokenError, LoginError}


def test_every_code_has_a_problem_and_an_error_of_one_kind():
    assert list(PROBLEMS) == list(Code)
    assert {type(BitbucketServerError(code)) for code in Code} == KINDS


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (Code.SETTING_MISSING, SettingError),
        (Code.SIGNATURE_INVALID, SettingError),
        (Code.TIMEOUT, ServerError),
        (Code.MALFORMED_ANSWER, ServerError),
        (Code.TOKEN_REVOKED, TokenError),
        (Code.TOKEN_UNOPENABLE, TokenError),
        (Code.ACCOUNT_NOT_ADMITTED, LoginError),
        (Code.LOGIN_NOT_PENDING, LoginError),
    ],
)
def test_an_error_is_of_the_kind_that_says_what_a_caller_can_do(code, kind):
    assert type(BitbucketServerError(code, "Why.")) is kind


def test_the_problem_of_a_setting_stays_of_its_kind():
    assert type(BitbucketServerError(Code.SETTING_INVALID).in_setting("URL")) is SettingError
