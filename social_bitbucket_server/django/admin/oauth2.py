"""The page for OAuth 2: its worksheet, the credentials that Bitbucket makes, and the way back to OAuth 1."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext

from ...crypto import Secret
from ...onboarding import oauth2_advice_for
from ...organizations import EventCode, Limited
from ...problems import BitbucketServerError, Problem
from .. import configuration, integrations, limits, upgrade
from ..errors import words_of
from ..forms import ClientCredentialsForm
from ..models import AbstractIntegration
from .pages import IntegrationPages


class OAuth2Pages(IntegrationPages):
    """OAuth 2 from the beginning or as an upgrade, and back to OAuth 1."""

    oauth2_template = "admin/social_bitbucket_server/oauth2.html"

    def oauth2_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Show what Bitbucket must know, and the form for what it gives."""
        record = self._record(request, integration_id, to_change=False)
        return self._oauth2_page(request, record, ClientCredentialsForm())

    def keep_credentials_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Let people log in by OAuth 2 with these client credentials."""
        record, form = self._record(request, integration_id), ClientCredentialsForm(request.POST)
        if not configuration.has_oauth2_in_database():
            message = gettext("This application is not set up for OAuth 2. Nothing has changed.")
            return self._back(request, record, message, messages.ERROR, to="oauth2")
        if not form.is_valid():
            return self._oauth2_page(request, record, form)
        client_secret = Secret(form.cleaned_data["client_secret"])
        upgrade.keep_credentials(record, form.cleaned_data["client_id"], client_secret, request.user)
        message = gettext("Client ID and client secret are saved. Next, test the connection by OAuth 2.")
        return self._changed(request, record, EventCode.UPGRADE_PREPARED, message, to="oauth2")

    def go_back_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Let people log in by OAuth 1 alone, if Bitbucket still accepts it."""
        record = self._record(request, integration_id)
        limits.count(request, Limited.TESTS, record.pk)
        try:
            is_back = upgrade.go_back(record, request.user)
        except BitbucketServerError as error:
            return self._oauth2_page(request, record, ClientCredentialsForm(), error.problem)
        if not is_back:
            message = gettext("There is no OAuth 1 to go back to.")
            return self._back(request, record, message, messages.WARNING, to="oauth2")
        message = gettext(
            "People log in by OAuth 1. The client secret is erased. Delete the external application in Bitbucket, too."
        )
        return self._changed(request, record, EventCode.UPGRADE_ABANDONED, message, to="oauth2")

    def _oauth2_page(
        self,
        request: HttpRequest,
        record: AbstractIntegration,
        form: ClientCredentialsForm,
        refusal: Problem | None = None,
    ) -> HttpResponse:
        """*refusal* is the problem that keeps people from going back to OAuth 1."""
        context = {
            **self._context(request, record, gettext("OAuth 2 of %(name)s") % {"name": record.name}, tab="oauth2"),
            "form": form,
            "refusal": words_of(refusal) if refusal is not None else None,
            "is_offered": configuration.has_oauth2_in_database(),
            "is_upgrade": record.oauth1_ended_at is None,
            "credentials": record.client_credentials,
            "steps": integrations.oauth2_worksheet_of(record)[:-1],
            "advice": oauth2_advice_for(record.server_version),
            "people": integrations.identities(record).count(),
            "can_go_back": upgrade.can_go_back(record),
        }
        status = 422 if refusal is not None or form.errors else 200
        return TemplateResponse(request, self.oauth2_template, context, status=status)
