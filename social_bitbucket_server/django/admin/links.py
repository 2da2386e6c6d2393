"""Both links of an integration: the login link for its people, and the set-up link for its Bitbucket admin."""

from __future__ import annotations

import io

import segno
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext

from ...organizations import EventCode, Limited, SetupLinkLife
from .. import integrations, limits, login_ways, setup_links
from ..models import AbstractIntegration
from ..setup_views import script_file
from .pages import IntegrationPages


class LinkPages(IntegrationPages):
    """The login link, and whether it or another one is the only way into the organization. The set-up link for an admin
    without an account, and the script that does the same."""

    login_link_template = "admin/social_bitbucket_server/login_link.html"
    setup_link_template = "admin/social_bitbucket_server/setup_link.html"

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

    def setup_link_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Show the set-up link without its address, and the form for a new one."""
        return self._setup_link_page(request, self._record(request, integration_id, to_change=False))

    def make_setup_link_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Make the set-up link, and show it this once."""
        record = self._record(request, integration_id)
        asked = request.POST.get("life", SetupLinkLife.WEEK.value)
        if not record.enabled:
            message = gettext("The set-up link of a disabled integration would open nothing. Enable it first.")
            return self._back(request, record, message, messages.WARNING, to="setup-link")
        if asked not in set(SetupLinkLife):
            message = gettext("Choose how long the link opens.")
            return self._back(request, record, message, messages.ERROR, to="setup-link")
        limits.count(request, Limited.SETUP_LINKS_MADE, record.pk)
        address = setup_links.make(record, SetupLinkLife(asked), request.user)
        self.log_change(request, record, gettext(EventCode.SETUP_LINK_CREATED.sentence))
        return self._setup_link_page(request, record, address)

    def revoke_setup_link_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """End the set-up link."""
        record = self._record(request, integration_id)
        if not setup_links.revoke(record, request.user):
            message = gettext("There is no set-up link to end.")
            return self._back(request, record, message, messages.WARNING, to="setup-link")
        message = gettext("The set-up link has ended.")
        return self._changed(request, record, EventCode.SETUP_LINK_REVOKED, message, to="setup-link")

    def link_script_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Return the script as a file, for the new application link if one is prepared."""
        record = self._record(request, integration_id, to_change=False)
        pair = record.key_pairs_in_use.pending_for_new_link or record.active_key_pair
        if pair is None or record.oauth_versions.is_oauth1_ended:  # for OAuth 2 Bitbucket documents no REST
            raise Http404
        return script_file(record, pair)

    def _setup_link_page(self, request: HttpRequest, record: AbstractIntegration, address: str = "") -> HttpResponse:
        """*address*: of the link that was just made; empty otherwise."""
        context = {
            **self._context(request, record, gettext("Set-up link of %(name)s") % {"name": record.name}, "setup-link"),
            "link": setup_links.live(record),
            "address": address,
            "lives": [(life.value, gettext(life.words)) for life in SetupLinkLife],
        }
        response = TemplateResponse(request, self.setup_link_template, context)
        add_never_cache_headers(response)
        return response
