"""Logins without a framework."""

from __future__ import annotations

from typing import Any

from social_core.exceptions import SocialAuthBaseException
from social_core.storage import BaseStorage

from social_bitbucket_server.any_framework import Logins, Visit, check_form_token, form_token
from social_bitbucket_server.backends import BitbucketServerOAuth1, BitbucketServerOAuth2
from social_bitbucket_server.integration import (
    Depth,
    Integration,
    OAuth2Integration,
    UnsafeConfigurationError,
    refuse_unsafe_settings,
    refuse_unusable_settings,
    unsafe_settings,
)
from social_bitbucket_server.login import ErrorPage, error_page, reference
from social_bitbucket_server.pipeline import associate_by_bitbucket_identity


class OwnOAuth1(BitbucketServerOAuth1[str]):
    def get_integration(self, integration_id: str) -> Integration | None:
        return None


class OwnOAuth2(BitbucketServerOAuth2[str]):
    def get_integration(self, integration_id: str) -> OAuth2Integration | None:
        return None


PIPELINE = ("social_core.pipeline.social_auth.social_user", associate_by_bitbucket_identity)


def problems_of(settings: dict[str, Any]) -> list[str]:
    return [f"{name}: {sentence}" for name, sentence in unsafe_settings(settings)]


def make(settings: dict[str, Any], storage: type[BaseStorage]) -> Logins | None:
    try:
        refuse_unsafe_settings(settings)
        refuse_unusable_settings(settings, ["social_bitbucket_server.backends.BitbucketServerOAuth1"], Depth.VALUES)
        return Logins(settings, storage, OwnOAuth1.name)
    except UnsafeConfigurationError as error:
        print(error)
        return None


def begin(logins: Logins, session: dict[str, Any], form: list[tuple[str, str]]) -> str:
    check_form_token(session, dict(form).get("form_token"))
    return logins.begin(Visit(session, form, integration="acme"), "/complete/acme/")


def complete(logins: Logins, session: dict[str, Any], query: list[tuple[str, str]]) -> str:
    def log_in(user: Any) -> None:
        session.clear()
        session["user"] = user.id

    return logins.complete(Visit(session, query), "/complete/", log_in)


def hidden_field(session: dict[str, Any]) -> str:
    return f'<input type="hidden" name="form_token" value="{form_token(session)}">'


def answer(error: SocialAuthBaseException) -> tuple[int, str]:
    page: ErrorPage = error_page(error, login_page="/login")
    print(reference(error), dict(page.headers))
    return page.status, page.body
