"""How people come in: the login link with its QR code, and one integration that is the only way."""

from __future__ import annotations

import io

import segno
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext

from ...organizations import EventCode
from .. import integrations, login_ways
from .pages import IntegrationPages


class LoginLinkPages(IntegrationPages):
    """An integration's login link, and whether it or another one is the only way into its organization."""

    login_link_template = "admin/social_bitbucket_server/login_link.html"

    def login_link_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Show the login link, whether it is open, and which integration is the only way in."""
        record = self._record(request, integration_id, to_change=False)
        others = list(record.others())
        context = {
            **self._context(request, record, gettext("Login link of %(name)s") % {"name": record.name}, "login-link"),
            "login_link": integrations.login_link(record),
            "only": login_ways.enforced(record),
            "others": others,
            "may_be_enforced": login_ways.may_be_enforced(record),
            "people_elsewhere": sum(integrations.identities(other).count() for other in others),
        }
        return TemplateResponse(request, self.login_link_template, context)

    def login_qr_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Show the login link to be scanned; black on white, so that every camera reads it."""
        record = self._record(request, integration_id, to_change=False)
        picture = io.BytesIO()
        segno.make(integrations.login_link(record), error="m").save(
            picture, kind="svg", scale=6, border=4, light="#fff", dark="#000"
        )
        return HttpResponse(picture.getvalue(), content_type="image/svg+xml")

    def replace_login_link_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Make a new login link, if it is confirmed that the present one ends."""
        record = self._record(request, integration_id)
        if not request.POST.get("confirmed"):
            message = gettext("Confirm that the present login link ends. It still counts.")
            return self._back(request, record, message, messages.ERROR, to="login-link")
        login_ways.replace_link(record, request.user)
        message = gettext("The login link is replaced. The old one lets nobody in.")
        return self._changed(request, record, EventCode.LOGIN_LINK_REPLACED, message, to="login-link")

    def close_login_link_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Let nobody log in through the link."""
        message = gettext("The login link is closed. Nobody can log in until you open it again.")
        code = EventCode.LOGIN_LINK_CLOSED
        return self._do(request, integration_id, login_ways.close_link, code, message, to="login-link")

    def open_login_link_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Let people log in through the link again."""
        message = gettext("The login link is open again.")
        code = EventCode.LOGIN_LINK_OPENED
        return self._do(request, integration_id, login_ways.open_link, code, message, to="login-link")

    def enforce_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Make the integration the only way into its organization, if people log in through it already."""
        record, why_not = self._record(request, integration_id), ""
        if not login_ways.may_be_enforced(record):
            why_not = gettext("Somebody has to log in through it first, and it has to be enabled. Nothing has changed.")
        elif not request.POST.get("confirmed"):
            why_not = gettext("Confirm that people cannot log in otherwise. Nothing has changed.")
        if why_not:
            return self._back(request, record, why_not, messages.ERROR, to="login-link")
        login_ways.enforce(record, request.user)
        message = gettext("This integration is the only way in.")
        return self._changed(request, record, EventCode.INTEGRATION_ENFORCED, message, to="login-link")

    def lift_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Open all ways into the organization again."""
        message = gettext("All integrations are open.")
        code = EventCode.INTEGRATION_NOT_ENFORCED
        return self._do(request, integration_id, login_ways.lift, code, message, to="login-link")
