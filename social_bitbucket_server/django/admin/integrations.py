"""The list of integrations, the form of one, and its deletion."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, cast

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import Exists, OuterRef, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from ...organizations import KeyState, OAuth, SetupStep, State
from .. import configuration, events, integrations, moves
from ..errors import words_of_code
from ..forms import IntegrationForm
from ..models import AbstractIntegration, KeyPair
from .links import LinkPages
from .oauth2 import OAuth2Pages
from .people import PeoplePages
from .setup import SetupPages

_APART = (
    (_("Who may log in"), ("allow_groups", "allow_projects", "allow_repositories")),
    (_("Roles"), ("role_conditions",)),
    (_("How Bitbucket is reached"), ("ca_certificates", "client_certificate", "client_key", "connect_to")),
)
_WAITS = "has_key_pair_that_waits"
_FAILS = "is_failing"


class _Integrations(ChangeList):
    """A page of integrations, with those of all pages that fail or whose certificates end soon."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        address = partial(cast("IntegrationAdmin", self.model_admin)._address, "setup")
        failing = events.failing(self.root_queryset)
        self.notices = [
            {
                "record": record,
                "since": condition.since,
                "words": words_of_code(condition.problem or ""),
                "address": address(record),
            }
            for record, condition in failing
        ]
        self.ending = [
            {"record": record, "notice": notice, "address": address(record)}
            for record, notice in events.notices_of_certificates(self.root_queryset)
        ]
        ids = {record.pk for record, _condition in failing}
        for record in self.result_list:
            setattr(record, _FAILS, record.pk in ids)


class IntegrationAdmin(SetupPages, LinkPages, OAuth2Pages, PeoplePages):
    """The administration of integrations. Register a model of your own with it, or with a class derived from it."""

    form = IntegrationForm
    tabs = (
        ("setup", _("Set-up and keys")),
        ("setup-link", _("Set-up link")),
        ("login-link", _("Login link")),
        ("people", _("People")),
        ("oauth2", _("OAuth 2")),
    )
    list_display: tuple[str, ...] = ("name", "setup_link", "base_url", "state", "last_login_at")
    search_fields: ClassVar[tuple[str, ...]] = ("name", "slug", "base_url", "application_links__consumer_key")
    readonly_fields: ClassVar[tuple[str, ...]] = (
        "consumer_key",
        "state",
        "server_version",
        "last_login_at",
        "created_at",
    )
    delete_confirmation_template = "admin/social_bitbucket_server/delete_confirmation.html"
    change_list_template = "admin/social_bitbucket_server/change_list.html"
    object_history_template = "admin/social_bitbucket_server/object_history.html"
    change_form_template = "admin/social_bitbucket_server/change_form.html"

    def pages(self) -> dict[str, Callable[..., HttpResponse]]:
        """Return the views by name, which is the last part of the address. Each action is a POST of its own."""
        return {
            "setup": require_GET(self.setup_view),
            "check-up": require_POST(self.check_up_view),
            "try": require_POST(self.try_view),
            "trial": require_GET(self.trial_view),
            "enable": require_POST(self.enable_view),
            "disable": require_POST(self.disable_view),
            "new-key-pair": require_POST(self.new_key_pair_view),
            "verify-key-pair": require_POST(self.verify_key_pair_view),
            "old-link-removed": require_POST(self.old_link_removed_view),
            "try-move": require_POST(self.try_move_view),
            "give-up-move": require_POST(self.give_up_move_view),
            "people": require_GET(self.people_view),
            "disable-person": require_POST(self.disable_person_view),
            "enable-person": require_POST(self.enable_person_view),
            "log-out-person": require_POST(self.log_out_person_view),
            "confirm-disabling": require_GET(self.confirm_disabling_view),
            "oauth2": require_GET(self.oauth2_view),
            "keep-credentials": sensitive_post_parameters("client_secret")(require_POST(self.keep_credentials_view)),
            "go-back": require_POST(self.go_back_view),
            "setup-link": require_GET(self.setup_link_view),
            "make-setup-link": require_POST(self.make_setup_link_view),
            "revoke-setup-link": require_POST(self.revoke_setup_link_view),
            "link-script": require_GET(self.link_script_view),
            "login-link": require_GET(self.login_link_view),
            "login-qr": require_GET(self.login_qr_view),
            "replace-login-link": require_POST(self.replace_login_link_view),
            "close-login-link": require_POST(self.close_login_link_view),
            "open-login-link": require_POST(self.open_login_link_view),
            "enforce": require_POST(self.enforce_view),
            "lift": require_POST(self.lift_view),
        }

    # The columns

    @admin.display(description=_("state"))
    def state(self, record: AbstractIntegration) -> str:
        """Return the state in words: whether people can log in, and what is next."""
        if not record.enabled:
            return gettext("Disabled")
        if getattr(record, _FAILS) if hasattr(record, _FAILS) else events.condition_of(record).state is State.FAILING:
            return gettext("Failing")
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

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        """Return the page of integrations that begins with a notice about each one that fails."""
        return _Integrations

    def get_queryset(self, request: HttpRequest) -> QuerySet[AbstractIntegration]:
        """Add whether a new key pair waits, so that the list needs one query for all."""
        waiting = KeyPair.objects.filter(integration_id=OuterRef("pk"), state=KeyState.PENDING)
        return super().get_queryset(request).annotate(**{_WAITS: Exists(waiting)})

    # The form

    def get_fields(self, request: HttpRequest, obj: AbstractIntegration | None = None) -> Any:
        """Return the few fields of a new integration, or those of one that exists."""
        without = {*self.readonly_fields, "same_server", "revision", "oauth"}
        if not configuration.role_names():
            without.add("role_conditions")
        own = [field for field in super().get_fields(request, obj) if field not in without]
        if {"client_certificate", "client_key"} <= set(own):
            own.remove("client_key")
            own.insert(own.index("client_certificate") + 1, "client_key")
        if obj is None:
            if "base_url" in own and configuration.has_oauth2_in_database():
                own.insert(own.index("base_url") + 1, "oauth")
            return own
        if "base_url" in own:
            own.insert(own.index("base_url") + 1, "same_server")
        return [*own, *self.readonly_fields]

    def get_fieldsets(self, request: HttpRequest, obj: AbstractIntegration | None = None) -> Any:
        """Keep what few integrations need apart."""
        fields = self.get_fields(request, obj)
        apart = [(title, [field for field in fields if field in names]) for title, names in _APART]
        others = [field for field in fields if not any(field in names for _title, names in apart)]
        closed = [(title, {"fields": names, "classes": ["collapse"]}) for title, names in apart if names]
        return [(None, {"fields": others}), *closed]

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

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *arguments: Any, **options: Any) -> Any:
        """Add the steps on the way to the login link."""
        record = options.get("obj")
        step = SetupStep.SERVER if record is None else events.next_step_of(record)
        context["steps_on_the_way"] = self._steps(record, step)
        return super().render_change_form(request, context, *arguments, **options)

    def save_model(
        self, request: HttpRequest, obj: AbstractIntegration, form: ModelForm[AbstractIntegration], change: bool
    ) -> None:
        """Keep the changes; a new integration gets its key pair."""
        if change:
            integrations.change(obj, request.user)
            moving_to = getattr(form, "moving_to", "")
            if moving_to:
                moves.begin(obj, moving_to, request.user)
        else:
            oauth = form.cleaned_data.get("oauth") if configuration.has_oauth2_in_database() else None
            integrations.create(obj, request.user, oauth=OAuth(oauth or OAuth.ONE))

    def response_add(
        self, request: HttpRequest, obj: AbstractIntegration, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Go on to the worksheet if the administrator may see it."""
        stays_here = "_addanother" in request.POST or "_popup" in request.POST
        if stays_here or not self.has_view_permission(request, obj):
            return super().response_add(request, obj, post_url_continue)
        self.message_user(request, gettext("The integration is saved. Next, set it up in Bitbucket."), messages.SUCCESS)
        return HttpResponseRedirect(self._address("setup" if obj.oauth1_ended_at is None else "oauth2", obj))

    def response_change(self, request: HttpRequest, obj: AbstractIntegration) -> HttpResponse:
        """Go on to the trial login at a new base URL."""
        if "same_server" not in request.POST or not obj.moving_to:
            return super().response_change(request, obj)
        message = gettext("The new base URL waits for a trial login. Until then people log in at the old one.")
        return self._back(request, obj, message)

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
