"""The people of an integration, and what disabling it would mean for them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext

from ...organizations import EventCode
from .. import integrations, people
from .pages import IntegrationPages

_ON_A_PAGE = 100
_NUMBER = re.compile("[0-9]{1,18}")


class PeoplePages(IntegrationPages):
    """Everybody who logged in through an integration, for staff who may change integrations and users."""

    people_template = "admin/social_bitbucket_server/people.html"
    disable_template = "admin/social_bitbucket_server/disable.html"

    def people_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Show everybody who logged in at least once."""
        record = self._record(request, integration_id, to_change=False)
        page = Paginator(people.of(record), _ON_A_PAGE).get_page(request.GET.get("page"))
        context = {
            **self._context(request, record, gettext("People of %(name)s") % {"name": record.name}, tab="people"),
            "people": [
                {
                    "identity": identity,
                    "user": identity.user,
                    "name": (getattr(identity.user, "get_full_name", str)() or identity.user.get_username()),
                    "bitbucket_name": identity.extra_data.get("username", ""),
                    "may_change": self._may_change(request, identity.user),
                }
                for identity in page
            ],
            "page": page,
        }
        return TemplateResponse(request, self.people_template, context)

    def disable_person_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Disable one person."""
        message = gettext("%(name)s is disabled, and logged out everywhere.")
        return self._do_to_person(request, integration_id, people.disable, EventCode.USER_DISABLED, message)

    def enable_person_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Enable one person."""
        message = gettext("%(name)s can log in again.")
        return self._do_to_person(request, integration_id, people.enable, EventCode.USER_ENABLED, message)

    def log_out_person_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """End the sessions of one person."""
        message = gettext("%(name)s is logged out, and can log in again.")
        return self._do_to_person(request, integration_id, people.log_out, EventCode.SESSION_REVOKED, message)

    def confirm_disabling_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Say in numbers what disabling the integration means."""
        record = self._record(request, integration_id)
        if not record.enabled:
            return self._back(request, record, gettext("The integration is disabled already."), messages.WARNING)
        context = {
            **self._context(request, record, gettext("Disable %(name)s") % {"name": record.name}),
            "identities": integrations.identities(record).count(),
            "without_another": integrations.people_without_another(record),
        }
        return TemplateResponse(request, self.disable_template, context)

    def _do_to_person(
        self, request: HttpRequest, integration_id: str, action: Callable[..., None], what: EventCode, message: str
    ) -> HttpResponse:
        """Do *action* to the person whose identity the form names, and go back with *message*, which has a place for
        the name. Raises Http404 for an identity of another integration, and PermissionDenied."""
        record = self._record(request, integration_id)
        number = request.POST.get("identity", "")
        identity = people.of(record).filter(pk=number).first() if _NUMBER.fullmatch(number) else None
        if identity is None:
            raise Http404
        if not self._may_change(request, identity.user):
            raise PermissionDenied
        action(identity.user, integration_id=record.pk)
        return self._changed(request, record, what, message % {"name": identity.user.get_username()}, to="people")

    def _may_change(self, request: HttpRequest, user: Any) -> bool:
        """Return whether the administrator may disable *user*: not themselves, nor a superuser without being one."""
        administrator: Any = request.user
        meta = get_user_model()._meta
        is_above = getattr(user, "is_superuser", False) and not getattr(administrator, "is_superuser", False)
        may_change_users = administrator.has_perm(f"{meta.app_label}.change_{meta.model_name}")
        return bool(may_change_users) and not is_above and user.pk != administrator.pk
