"""The pages and actions of one integration: their addresses, who may use them, and what all of them show."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from social_core.exceptions import SocialAuthBaseException

from ...organizations import EventCode, SetupStep
from .. import configuration, events
from ..errors import show_error
from ..integrations import Administrator
from ..models import AbstractIntegration

if TYPE_CHECKING:
    _IntegrationAdmin = admin.ModelAdmin[AbstractIntegration]
else:
    _IntegrationAdmin = admin.ModelAdmin


class IntegrationPages(_IntegrationAdmin):
    """An integration's pages beside the form. *tabs* are the names and labels of those that every page leads to."""

    tabs: ClassVar[tuple[tuple[str, Any], ...]] = ()

    def pages(self) -> dict[str, Callable[..., HttpResponse]]:
        """Return the views by name, which is the last part of the address. Each action is a POST of its own."""
        return {}

    def get_urls(self) -> list[URLPattern]:
        """Return the addresses."""
        own = [
            path(
                f"<slug:integration_id>/{name}/",
                # Some of them wait for Bitbucket, and no transaction shall wait with them.
                transaction.non_atomic_requests(self.admin_site.admin_view(self._with_errors_shown(view))),
                name=self._name(name),
            )
            for name, view in self.pages().items()
        ]
        return [*own, *super().get_urls()]

    def _with_errors_shown(self, view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        """Return a view that does what *view* does, and shows the error page if it raises one of social-core's
        errors."""

        @wraps(view)
        def shown(request: HttpRequest, integration_id: str) -> HttpResponse:
            try:
                return view(request, integration_id)
            except SocialAuthBaseException as error:
                record = self._record(request, integration_id)
                return show_error(request, error, record, back=self._address("setup", record))

        return shown

    def _record(self, request: HttpRequest, integration_id: str, *, to_change: bool = True) -> AbstractIntegration:
        record = self.get_object(request, integration_id)
        if record is None:
            raise Http404
        is_allowed = self.has_change_permission if to_change else self.has_view_permission
        if not is_allowed(request, record):
            raise PermissionDenied
        return record

    def _context(
        self, request: HttpRequest, record: AbstractIntegration, title: str, tab: str = "setup"
    ) -> dict[str, Any]:
        """*tab* is the name of the tab that the page belongs to."""
        request.current_app = self.admin_site.name
        step = events.next_step_of(record)
        return {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "media": self.media,
            "record": record,
            "addresses": {name.replace("-", "_"): self._address(name, record) for name in self.pages()},
            "step": step,
            "steps_on_the_way": self._steps(record, step),
            "tabs": [(self._address(name, record), label, name == tab) for name, label in self.tabs],
            "can_change": self.has_change_permission(request, record),
            "application": configuration.application_name(),
        }

    def _steps(self, record: AbstractIntegration | None, current: SetupStep | None) -> list[dict[str, Any]]:
        """Return the steps on the way to the login link. *record* is ``None`` before it is saved. *current* is its next
        step; without one there are no steps."""
        if current is None:
            return []
        addresses = {}
        if record is not None:
            worksheet = self._address("oauth2" if record.oauth_versions.is_oauth1_ended else "setup", record)
            addresses = {
                SetupStep.SERVER: self._address("change", record),
                SetupStep.BITBUCKET: worksheet,
                SetupStep.TEST: worksheet,
                SetupStep.SHARE: self._address("login-link", record),
            }
        return [
            {
                "label": gettext(step.label),
                "address": addresses.get(step) if step in (*current.finished, current) else None,
                "is_done": step in current.finished,
                "is_current": step is current,
            }
            for step in SetupStep
        ]

    def _do(
        self,
        request: HttpRequest,
        integration_id: str,
        action: Callable[[AbstractIntegration, Administrator], object],
        what: EventCode,
        message: str,
        *,
        to: str = "setup",
    ) -> HttpResponse:
        """Do *action* with the integration in the administrator's name. The rest is as in :meth:`_changed`."""
        record = self._record(request, integration_id)
        action(record, request.user)
        return self._changed(request, record, what, message, to=to)

    def _changed(
        self, request: HttpRequest, record: AbstractIntegration, what: EventCode, message: str, *, to: str = "setup"
    ) -> HttpResponse:
        """Add *what* was done to the integration's history, and go back to its page called *to* with *message*."""
        self.log_change(request, record, gettext(what.sentence))
        return self._back(request, record, message, to=to)

    def _back(
        self,
        request: HttpRequest,
        record: AbstractIntegration,
        message: str,
        level: int = messages.SUCCESS,
        *,
        to: str = "setup",
    ) -> HttpResponse:
        self.message_user(request, message, level)
        return HttpResponseRedirect(self._address(to, record), status=303)

    def _address(self, name: str, record: AbstractIntegration) -> str:
        return reverse(f"admin:{self._name(name)}", args=[record.pk], current_app=self.admin_site.name)

    def _name(self, name: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{name}"
