"""The list of events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from .. import events
from ..models import Event, integration_model

if TYPE_CHECKING:
    _EventAdmin = admin.ModelAdmin[Event]
else:
    _EventAdmin = admin.ModelAdmin


class _Events(ChangeList):
    """A page of events, with the names of the people they are about, asked for once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        names = events.user_names({event.user_id for event in self.result_list})
        for event in self.result_list:
            event.user_name = names.get(event.user_id, "")


@admin.register(Event)
class EventAdmin(_EventAdmin):
    """The list of events, newest first. Events are never changed or deleted here; ``manage.py bitbucket_server prune``
    deletes old ones."""

    list_display = ("moment", "what", "integration_name", "person", "reference", "reason")
    list_filter = ("what", "at")
    search_fields = ("=reference", "=integration_id", "=user_id", "=problem")
    search_help_text = _("A reference number, the id of an integration or a user, or a problem's code.")
    list_display_links = None

    @admin.display(description=_("when"), ordering="at")
    def moment(self, event: Event) -> str:
        """Return the time of the event, with the time zone."""
        at = timezone.localtime(event.at) if timezone.is_aware(event.at) else event.at
        return date_format(at, "Y-m-d H:i:s T")

    @admin.display(description=_("why, and what to do"))
    def reason(self, event: Event) -> str:
        """Return the problem's title and remedy."""
        return f"{event.problem_title or event.problem} {event.remedy}".strip()

    @admin.display(description=_("integration"))
    def integration_name(self, event: Any) -> str:
        """Return the integration's name, or its id if it was deleted."""
        return str(event.name or event.integration_id)

    @admin.display(description=_("user"), ordering="user_id")
    def person(self, event: Any) -> str:
        """Return the user name and id of the person, or the id alone if they were deleted."""
        return f"{event.user_name} ({event.user_id})" if event.user_name else str(event.user_id)

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return _Events

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        """Add the names of the integrations."""
        names = integration_model()._default_manager.filter(pk=OuterRef("integration_id")).values("name")[:1]
        return super().get_queryset(request).annotate(name=Subquery(names))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Event | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Event | None = None) -> bool:
        return False
