"""The administration: integrations with their worksheets, check-ups and key pairs, and what happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Exists, OuterRef, Subquery
from django.http import Http404, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_POST

from ..onboarding import Dialog, dialog_of
from ..organizations import EventCode, KeyState
from ..problems import PROBLEMS, BitbucketServerError, Code, Problem, Who
from . import configuration, events, integrations, key_rotation
from .forms import IntegrationForm
from .models import AbstractIntegration, Event, Integration, KeyPair, integration_model

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.forms import ModelForm
    from django.http import HttpRequest, HttpResponse

    _IntegrationAdmin = admin.ModelAdmin[AbstractIntegration]
    _EventAdmin = admin.ModelAdmin[Event]
else:
    _IntegrationAdmin = _EventAdmin = admin.ModelAdmin


_WAITS = "has_key_pair_that_waits"


class IntegrationAdmin(_IntegrationAdmin):
    """Integrations. For a model of one's own: register it with this class, or one that derives from it."""

    form = IntegrationForm
    list_display: tuple[str, ...] = ("name", "setup_link", "base_url", "state", "last_login_at")
    search_fields: ClassVar[tuple[str, ...]] = ("name", "slug", "base_url", "application_links__consumer_key")
    readonly_fields: ClassVar[tuple[str, ...]] = (
        "consumer_key",
        "state",
        "server_version",
        "last_login_at",
        "created_at",
    )
    setup_template = "admin/social_bitbucket_server/setup.html"
    check_up_template = "admin/social_bitbucket_server/check_up.html"
    delete_confirmation_template = "admin/social_bitbucket_server/delete_confirmation.html"
    change_form_template = "admin/social_bitbucket_server/change_form.html"

    # The columns

    @admin.display(description=_("state"))
    def state(self, record: AbstractIntegration) -> str:
        """Return the state in words: whether people can log in, and what is next."""
        if not record.enabled:
            return gettext("Disabled")
        if getattr(record, _WAITS) if hasattr(record, _WAITS) else record.pending_key_pair:
            return gettext("A new key pair waits for Bitbucket")
        return gettext("In use") if record.last_login_at else gettext("Never used")

    @admin.display(description=_("consumer key"))
    def consumer_key(self, record: AbstractIntegration) -> str:
        """Return the consumer key of the application link that logins go through."""
        return record.consumer_key

    @admin.display(description=_("set-up"))
    def setup_link(self, record: AbstractIntegration) -> str:
        """Return a link to the page with the worksheet."""
        return format_html('<a href="{}">{}</a>', self._address("setup", record), gettext("Worksheet and keys"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[AbstractIntegration]:
        """Add whether a new key pair waits, so that the list needs one query for all."""
        waiting = KeyPair.objects.filter(integration_id=OuterRef("pk"), state=KeyState.PENDING)
        return super().get_queryset(request).annotate(**{_WAITS: Exists(waiting)})

    # The form

    def get_fields(self, request: HttpRequest, obj: AbstractIntegration | None = None) -> Any:
        """Return the few fields of a new integration, or those of one that exists."""
        without = (*self.readonly_fields, "same_server", "revision")
        own = [field for field in super().get_fields(request, obj) if field not in without]
        if {"client_certificate", "client_key"} <= set(own):
            own.remove("client_key")
            own.insert(own.index("client_certificate") + 1, "client_key")
        if obj is None:
            return own
        if "base_url" in own:
            own.insert(own.index("base_url") + 1, "same_server")
        return [*own, *self.readonly_fields]

    def get_readonly_fields(self, request: HttpRequest, obj: AbstractIntegration | None = None) -> Any:
        """Keep the login link as it is, because it is in people's bookmarks and is an Application URL in Bitbucket."""
        return self.readonly_fields if obj is None else ("slug", *self.readonly_fields)

    def get_prepopulated_fields(self, request: HttpRequest, obj: AbstractIntegration | None = None) -> Any:
        """Propose a login link for a new integration, made of its name."""
        return {"slug": ("name",)} if obj is None else {}

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> Any:
        """Leave out deleting several integrations at once, because the page of each shows what would be lost.

        Django 6.1 and later say where the actions are shown.
        """
        where = {} if action_location is None else {"action_location": action_location}
        actions = super().get_actions(request, **where)
        actions.pop("delete_selected", None)
        return actions

    def changeform_view(self, request: HttpRequest, *arguments: Any, **options: Any) -> HttpResponse:
        """Show the form again if another administrator saved a moment earlier. The second time, the form says so."""
        try:
            return super().changeform_view(request, *arguments, **options)
        except integrations.ChangedMeanwhileError:
            return super().changeform_view(request, *arguments, **options)

    def save_model(
        self, request: HttpRequest, obj: AbstractIntegration, form: ModelForm[AbstractIntegration], change: bool
    ) -> None:
        """Keep the changes; a new integration gets its key pair."""
        if change and form.cleaned_data.get("same_server"):
            integrations.move(obj, request.user)
        elif change:
            integrations.change(obj, request.user)
        else:
            integrations.create(obj, request.user)

    def response_add(
        self, request: HttpRequest, obj: AbstractIntegration, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Go on to the worksheet if the administrator may see it."""
        stays_here = "_addanother" in request.POST or "_popup" in request.POST
        if stays_here or not self.has_view_permission(request, obj):
            return super().response_add(request, obj, post_url_continue)
        self.message_user(request, gettext("The integration is saved. Next, set it up in Bitbucket."), messages.SUCCESS)
        return HttpResponseRedirect(self._address("setup", obj))

    # Deleting

    def delete_model(self, request: HttpRequest, obj: AbstractIntegration) -> None:
        """Delete it with its identities."""
        integrations.delete(obj, request.user)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Say in numbers what is lost, and ask for the name."""
        record = self.get_object(request, object_id)
        if record is None or not self.has_delete_permission(request, record):
            return super().delete_view(request, object_id, extra_context)
        if request.method == "POST" and request.POST.get("name", "").strip() != record.name:
            self.message_user(
                request, gettext("Type the name exactly as it is: %(name)s") % {"name": record.name}, messages.ERROR
            )
            return HttpResponseRedirect(request.path, status=303)
        numbers = {
            "identities": integrations.identities(record).count(),
            "without_another": integrations.people_without_another(record),
        }
        return super().delete_view(request, object_id, {**(extra_context or {}), **numbers})

    # Pages and actions of one integration

    def get_urls(self) -> list[URLPattern]:
        """Return the addresses. Each action has its own, and is a POST."""
        actions: dict[str, Callable[..., HttpResponse]] = {
            "setup": require_GET(self.setup_view),
            "check-up": require_POST(self.check_up_view),
            "new-key-pair": require_POST(self.new_key_pair_view),
            "verify-key-pair": require_POST(self.verify_key_pair_view),
            "old-link-removed": require_POST(self.old_link_removed_view),
            "enable": require_POST(self.enable_view),
            "disable": require_POST(self.disable_view),
        }
        own = [
            path(
                f"<slug:integration_id>/{name}/",
                # Some of them wait for Bitbucket, and no transaction shall wait with them.
                transaction.non_atomic_requests(self.admin_site.admin_view(view)),
                name=self._name(name),
            )
            for name, view in actions.items()
        ]
        return [*own, *super().get_urls()]

    def setup_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Show the state of the integration, its worksheet and key pairs, and the last logins."""
        return self._setup_page(request, self._record(request, integration_id, to_change=False))

    def check_up_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Test the connection, and show what each stage found."""
        record = self._record(request, integration_id)
        results = list(integrations.check_up(record, request.user))
        context = self._context(request, record, gettext("Check-up of %(name)s") % {"name": record.name})
        has_passed = all(result.outcome.lets_logins_work for result in results)
        context["login_link"] = integrations.login_link(record) if has_passed and record.enabled else ""
        return TemplateResponse(request, self.check_up_template, {**context, "results": results})

    def new_key_pair_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Make a key pair that waits until Bitbucket has its public key, for the old application link or a new one."""
        record = self._record(request, integration_id)
        if not key_rotation.begin(record, request.user, with_new_link=request.POST.get("link") == "new"):
            return self._back(
                request,
                record,
                gettext("An old application link waits for its removal. Say first that it is removed."),
                messages.WARNING,
            )
        return self._changed(
            request,
            record,
            EventCode.KEY_CREATED,
            gettext("The new key pair is made. The old one stays in use until Bitbucket has the new public key."),
        )

    def verify_key_pair_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Use the new key pair from now on, if Bitbucket accepts it."""
        record = self._record(request, integration_id)
        try:
            is_in_use = key_rotation.verify(record, request.user)
        except BitbucketServerError as error:
            return self._setup_page(request, record, refusal=error.problem)
        if not is_in_use:
            return self._back(request, record, gettext("There is no new key pair to verify."), messages.WARNING)
        if record.replaced_key_pair is not None:
            return self._changed(
                request,
                record,
                EventCode.CONSUMER_KEY_REPLACED,
                gettext("Bitbucket accepts the new link. Logins go through it, and the old link can be removed."),
            )
        return self._changed(
            request,
            record,
            EventCode.KEY_PROMOTED,
            gettext(
                "Bitbucket accepts the new key pair. Logins are signed with it, and the old private key is erased."
            ),
        )

    def old_link_removed_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Note that the old application link was removed, and erase its private key."""
        record = self._record(request, integration_id)
        if not key_rotation.note_removal(record, request.user):
            return self._back(request, record, gettext("There is no old application link."), messages.WARNING)
        return self._changed(request, record, EventCode.KEY_RETIRED, gettext("The old link's private key is erased."))

    def enable_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Let people log in."""
        record = self._record(request, integration_id)
        integrations.enable(record, request.user, enabled=True)
        return self._changed(
            request,
            record,
            EventCode.INTEGRATION_ENABLED,
            gettext("People can log in through this integration again."),
        )

    def disable_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Let nobody log in any more."""
        record = self._record(request, integration_id)
        integrations.enable(record, request.user, enabled=False)
        return self._changed(
            request,
            record,
            EventCode.INTEGRATION_DISABLED,
            gettext("Nobody can log in through this integration any more."),
        )

    def _setup_page(
        self, request: HttpRequest, record: AbstractIntegration, refusal: Problem | None = None
    ) -> HttpResponse:
        """Return the page of *record*. *refusal* is the problem that keeps the new key pair from being used."""
        asked = request.GET.get("bitbucket")
        dialog = Dialog(asked) if asked in set(Dialog) else dialog_of(record.server_version)
        pairs = record.key_pairs_in_use
        active, pending, replaced = pairs.active, pairs.pending, pairs.replaced
        new_link = pairs.pending_for_new_link
        people = integrations.identities(record).count()
        condition = events.condition_of(record)
        context = {
            **self._context(request, record, record.name),
            "dialog": dialog,
            "dialogs": list(Dialog),
            "active": active,
            "pending": pending,
            "refusal": _words(refusal) if refusal is not None else None,
            "is_unknown_key": refusal is not None and refusal.code == Code.SIGNATURE_INVALID,
            "is_unknown_link": refusal is not None
            and refusal.code == Code.CONSUMER_KEY_UNKNOWN
            and new_link is not None,
            "login_link": integrations.login_link(record) if condition.is_ready else "",
            "failing_since": condition.since,
            "failure": _words(PROBLEMS[condition.problem]) if condition.problem in PROBLEMS else None,
            "people": ngettext("%(count)d person has", "%(count)d people have", people) % {"count": people},
            "steps": integrations.worksheet_of(record, active, dialog) if active is not None else (),
            "steps_of_new_link": integrations.worksheet_of(record, new_link, dialog) if new_link is not None else (),
            "replaced": replaced,
            "old_link": {
                "name": integrations.application_link_name(record, replaced.link),
                "address": integrations.application_url(record, replaced.link),
            }
            if replaced is not None
            else None,
            "attempts": events.login_attempts(record.pk),
            "is_plain_http": record.server_url.scheme == "http",
        }
        return TemplateResponse(request, self.setup_template, context, status=422 if refusal is not None else 200)

    def _record(self, request: HttpRequest, integration_id: str, *, to_change: bool = True) -> AbstractIntegration:
        record = self.get_object(request, integration_id)
        if record is None:
            raise Http404
        is_allowed = self.has_change_permission if to_change else self.has_view_permission
        if not is_allowed(request, record):
            raise PermissionDenied
        return record

    def _context(self, request: HttpRequest, record: AbstractIntegration, title: str) -> dict[str, Any]:
        request.current_app = self.admin_site.name
        names = ("setup", "check-up", "new-key-pair", "verify-key-pair", "old-link-removed", "enable", "disable")
        return {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "media": self.media,
            "record": record,
            "addresses": {name.replace("-", "_"): self._address(name, record) for name in names},
            "can_change": self.has_change_permission(request, record),
            "application": configuration.application_name(),
        }

    def _changed(
        self, request: HttpRequest, record: AbstractIntegration, what: EventCode, message: str
    ) -> HttpResponse:
        """Add *what* was done to the integration's history, and go back to its page with *message*."""
        self.log_change(request, record, gettext(what.sentence))
        return self._back(request, record, message)

    def _back(
        self, request: HttpRequest, record: AbstractIntegration, message: str, level: int = messages.SUCCESS
    ) -> HttpResponse:
        self.message_user(request, message, level)
        return HttpResponseRedirect(self._address("setup", record), status=303)

    def _address(self, name: str, record: AbstractIntegration) -> str:
        return reverse(f"admin:{self._name(name)}", args=[record.pk], current_app=self.admin_site.name)

    def _name(self, name: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{name}"


def _words(problem: Problem) -> dict[str, str]:
    return {
        "title": gettext(problem.title),
        "meaning": gettext(problem.meaning),
        "remedy": gettext(problem.remedy),
        "who": "" if problem.who is Who.PERSON else gettext(problem.who.value),
    }


class _Events(ChangeList):
    """A page of events, with the names of the people they are about, asked for once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        names = events.user_names({event.user_id for event in self.result_list})
        for event in self.result_list:
            event.user_name = names.get(event.user_id, "")


@admin.register(Event)
class EventAdmin(_EventAdmin):
    """The list of events, newest first. Events are never changed or deleted here."""

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
        """Return the page of events that adds the names of people."""
        return _Events

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        """Add the names of the integrations."""
        names = integration_model()._default_manager.filter(pk=OuterRef("integration_id")).values("name")[:1]
        return super().get_queryset(request).annotate(name=Subquery(names))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Let nobody add an event."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Event | None = None) -> bool:
        """Let nobody change an event."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Event | None = None) -> bool:
        """Let nobody delete an event here. ``manage.py bitbucket_server prune`` deletes old ones."""
        return False


if integration_model() is Integration and configuration.has_integrations_in_database():
    admin.site.register(Integration, IntegrationAdmin)
