"""The page of a set-up link: a Bitbucket admin without an account sets one integration up."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext
from django.views.decorators.debug import sensitive_post_parameters
from social_core.exceptions import SocialAuthBaseException

from ..onboarding import Dialog, Step, advice_for, dialog_of, oauth2_advice_for
from ..organizations import Limited, SetupLinkCondition
from . import configuration, integrations, limits, setup_links
from .errors import show_error
from .forms import ClientCredentialsForm, ServerForm
from .forms import server_form as make_server_form
from .models import AbstractIntegration, KeyPair, SetupLink
from .views import PublicView


class SetupView(PublicView):
    """One page below a set-up link. *link* and *record* are there while it opens."""

    link: SetupLink
    record: AbstractIntegration

    def setup(self, request: HttpRequest, *arguments: Any, **route: Any) -> None:
        """Keep the token out of Django's log, which names the paths of refused requests."""
        request.path = request.path.replace(route["token"], "…")
        super().setup(request, *arguments, **route)

    def get(self, request: HttpRequest, token: str) -> HttpResponse:  # noqa: ARG002  # it is in self.kwargs
        """Answer if the link opens. Otherwise say why it ended, and nothing about the integration.

        The token in the address is kept from search engines and other sites. Django tells by the referrer that a form
        is its own.
        """
        try:
            limits.count(request, Limited.SETUP_LINKS)
            response = self.refusal(request) or self.answer(request)
        except SocialAuthBaseException as error:
            record = getattr(self, "record", None)
            response = show_error(request, error, record, back=self.addresses()["page"])
        response["X-Robots-Tag"] = "noindex, nofollow"
        response["Referrer-Policy"] = "same-origin"
        return response

    post = get  # each view takes one of the two methods

    def answer(self, request: HttpRequest) -> HttpResponse:
        """Return the answer while the link opens."""
        raise NotImplementedError

    def refusal(self, request: HttpRequest) -> HttpResponse | None:
        """Read the link and its integration. Return the page that says why the link ended, or ``None`` if it opens.

        Raises Http404 if there is no such link.
        """
        found = setup_links.find(self.kwargs["token"])
        if found is None:
            raise Http404
        link, condition, record = found
        if record is None or condition is not SetupLinkCondition.LIVE:
            context = {"why": condition.value}
            return render(request, "social_bitbucket_server/setup_over.html", context, status=410)
        self.link, self.record = link, record
        return None

    def addresses(self) -> dict[str, str]:
        """Return the addresses of the page and what is done there, by name."""
        routes = {name: f"setup-{name}" for name in ("test", "credentials", "server", "script")} | {"page": "setup"}
        arguments = [self.kwargs["token"]]
        return {name: reverse(f"social_bitbucket_server:{route}", args=arguments) for name, route in routes.items()}

    def page(
        self,
        request: HttpRequest,
        *,
        credentials_form: ClientCredentialsForm | None = None,
        server_form: ServerForm | None = None,
        error: str = "",
        status: int = 200,
    ) -> HttpResponse:
        """Return the page. *credentials_form* and *server_form*: forms that were sent with something wrong in them;
        ``None`` for fresh ones. *error*: why nothing was done."""
        record, pair = self.record, _pair_to_set_up(self.record)
        is_for_oauth2 = record.oauth_versions.is_oauth1_ended
        pending = None if is_for_oauth2 else record.pending_key_pair
        asked = request.GET.get("bitbucket")
        dialog = Dialog(asked) if asked in set(Dialog) else dialog_of(record.server_version)
        if credentials_form is None and setup_links.takes_credentials(record):
            credentials_form = ClientCredentialsForm()
        if server_form is None and setup_links.takes_corrections(record):
            server_form = make_server_form(record)
        advice = ""
        if pending is None:  # otherwise the version was chosen before
            advise = oauth2_advice_for if record.oauth_versions.is_oauth1_ended else advice_for
            advice = advise(record.server_version)
        context = {
            "link": self.link,
            "record": record,
            "addresses": self.addresses(),
            "application": configuration.application_name(),
            "dialog": dialog,
            "dialogs": [each for each in Dialog if not (is_for_oauth2 and each is Dialog.UP_TO_7_19)],
            "steps": _steps(record, pair, dialog),
            "is_for_oauth2": is_for_oauth2,
            "can_test": pair is not None or record.client_credentials is not None,
            "has_script": pair is not None,
            "credentials_form": credentials_form,
            "has_credentials": record.client_credentials is not None,
            "public_key_to_paste": pending if pending is not None and not _is_for_new_link(record) else None,
            "is_new_link": _is_for_new_link(record),
            "advice": advice,
            "is_plain_http": record.server_url.scheme == "http",
            "keeps_tokens": bool(configuration.setting("STORE_ACCESS_TOKEN")),
            "server_form": server_form,
            "is_corrected": "corrected" in request.GET,
            "error": error,
        }
        return render(request, "social_bitbucket_server/setup.html", context, status=status)

    def too_often(self, request: HttpRequest) -> HttpResponse | None:
        """Count a test of the connection. Return the page that refuses it if there were too many, or else ``None``.

        Raises ``too_often`` as core's error if the project's own limit refuses it.
        """
        limits.count(request, Limited.SETUP_TESTS, self.record.pk)
        if not setup_links.is_asked_too_often(self.record):
            return None
        error = gettext("The connection was tested too often with this set-up link. Try again in an hour.")
        response = self.page(request, error=error, status=429)
        response["Retry-After"] = "3600"
        return response

    def test(self, request: HttpRequest) -> HttpResponse:
        """Test the connection, and return what each stage found."""
        pending = None if self.record.oauth_versions.is_oauth1_ended else self.record.pending_key_pair
        results = list(integrations.check_up(self.record, pending=pending))
        context = {
            "record": self.record,
            "addresses": self.addresses(),
            "results": results,
            "has_passed": all(result.outcome.lets_logins_work for result in results),
            "is_new_key": pending is not None,
            "is_new_link": _is_for_new_link(self.record),
        }
        return render(request, "social_bitbucket_server/setup_test.html", context)


class SetupPage(SetupView):
    """The page that says what to do in Bitbucket: the worksheet, the script, and the forms that complete the set-up."""

    http_method_names = ("get", "head")

    def answer(self, request: HttpRequest) -> HttpResponse:
        setup_links.note_opening(request, self.link)
        return self.page(request)


class SetupTest(SetupView):
    """The test of the connection, with the key pair that waits if there is one."""

    http_method_names = ("post",)

    def answer(self, request: HttpRequest) -> HttpResponse:
        if _pair_to_set_up(self.record) is None and self.record.client_credentials is None:
            raise Http404
        return self.too_often(request) or self.test(request)


@method_decorator(sensitive_post_parameters("client_secret"), name="dispatch")
class SetupCredentials(SetupView):
    """The credentials for OAuth 2, which Bitbucket shows to its admin. They are kept, and the connection is tested."""

    http_method_names = ("post",)

    def answer(self, request: HttpRequest) -> HttpResponse:
        if not setup_links.takes_credentials(self.record):
            raise Http404
        refused = self.too_often(request)
        if refused is not None:
            return refused
        form = ClientCredentialsForm(request.POST)
        if not form.is_valid():
            return self.page(request, credentials_form=form, status=422)
        if setup_links.keep_credentials(self.link, self.record, **form.cleaned_data):
            return self.test(request)
        over = self.refusal(request)
        if over is None:
            raise Http404
        return over


class SetupServer(SetupView):
    """The correction of base URL and CA certificates. Another host is another server, which ends the link."""

    http_method_names = ("post",)

    def answer(self, request: HttpRequest) -> HttpResponse:
        if not setup_links.takes_corrections(self.record):
            raise Http404
        refused = self.too_often(request)
        if refused is not None:
            return refused
        host = self.record.server_url.host
        form = make_server_form(self.record, request.POST)
        if not form.is_valid():
            return self.refusal(request) or self.page(request, server_form=form, status=422)
        try:
            is_saved = setup_links.correct(self.link, self.record, is_same_server=self.record.server_url.host == host)
        except integrations.ChangedMeanwhileError:
            is_saved = False
        if not is_saved:
            error = gettext("The integration was changed meanwhile, so the correction is not saved.")
            return self.refusal(request) or self.page(request, error=error, status=409)
        return redirect(f"{self.addresses()['page']}?corrected")


class SetupScript(SetupView):
    """The script as a file."""

    http_method_names = ("get",)

    def answer(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002  # the script is the same for everybody
        pair = _pair_to_set_up(self.record)
        if pair is None:
            raise Http404
        return script_file(self.record, pair)


def script_file(record: AbstractIntegration, pair: KeyPair) -> HttpResponse:
    """Return the script for the application link of *pair* as a file."""
    return HttpResponse(
        integrations.script_of(record, pair),
        content_type="text/plain; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="link.sh"'},
    )


def _pair_to_set_up(record: AbstractIntegration) -> KeyPair | None:
    """Return the key pair that Bitbucket has to get now; ``None`` for OAuth 2."""
    if record.oauth_versions.is_oauth1_ended:
        return None
    return record.pending_key_pair or record.active_key_pair


def _steps(record: AbstractIntegration, pair: KeyPair | None, dialog: Dialog) -> tuple[Step, ...]:
    if record.oauth_versions.is_oauth1_ended:
        return integrations.oauth2_worksheet_of(record, dialog)[:-1]  # the form takes the place of the last step
    return integrations.worksheet_of(record, pair, dialog) if pair is not None else ()


def _is_for_new_link(record: AbstractIntegration) -> bool:
    return not record.oauth_versions.is_oauth1_ended and record.key_pairs_in_use.pending_for_new_link is not None
