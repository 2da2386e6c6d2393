"""The set-up link for a Bitbucket admin without an account, and the script that does the same."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext

from ...organizations import EventCode, Limited, SetupLinkLife
from .. import limits, setup_links
from ..models import AbstractIntegration
from ..setup_views import script_file
from .pages import IntegrationPages


class SetupLinkPages(IntegrationPages):
    """Pages of the link for an integration's Bitbucket admin."""

    setup_link_template = "admin/social_bitbucket_server/setup_link.html"

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
