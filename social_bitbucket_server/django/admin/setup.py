"""The page of an integration with its worksheet, its check-up, and whether people may log in."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_GET, require_POST
from social_core.exceptions import SocialAuthBaseException

from ...onboarding import Dialog, dialog_of, first_failure
from ...organizations import EventCode, Limited, OAuth, SetupStep, ending_certificates
from ...problems import PROBLEMS, Code, Problem
from .. import events, integrations, limits, trials
from ..errors import show_error
from ..models import AbstractIntegration
from .pages import IntegrationPages, words_of, words_of_code


class SetupPages(IntegrationPages):
    """Pages for all that an integration needs until people log in, and for what stops them from it."""

    setup_template = "admin/social_bitbucket_server/setup.html"
    check_up_template = "admin/social_bitbucket_server/check_up.html"
    trial_template = "admin/social_bitbucket_server/trial.html"

    def pages(self) -> dict[str, Callable[..., HttpResponse]]:
        """Add the page itself, the test of the connection, and the switch."""
        return {
            **super().pages(),
            "setup": require_GET(self.setup_view),
            "check-up": require_POST(self.check_up_view),
            "try": require_POST(self.try_view),
            "trial": require_GET(self.trial_view),
            "enable": require_POST(self.enable_view),
            "disable": require_POST(self.disable_view),
        }

    def setup_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Show the state of the integration, its worksheet and key pairs, and the last logins."""
        return self._setup_page(request, self._record(request, integration_id, to_change=False))

    def check_up_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Test the connection, and show what each stage found."""
        record = self._record(request, integration_id)
        limits.count(request, Limited.TESTS, record.pk)
        oauth = self._wanted(request, record)
        results = list(integrations.check_up(record, request.user, oauth=oauth))
        context = self._context(request, record, gettext("Check-up of %(name)s") % {"name": record.name})
        has_passed = all(result.outcome.lets_logins_work for result in results)
        failed = first_failure(results)
        problem = failed.problem.code if failed is not None and failed.problem is not None else None
        context |= {
            "results": results,
            "oauth": oauth,
            "has_passed": has_passed,
            "is_link_to_enter": context["step"] is SetupStep.BITBUCKET and problem == Code.CONSUMER_KEY_UNKNOWN,
            "login_link": integrations.login_link(record) if has_passed and record.enabled else "",
        }
        return TemplateResponse(request, self.check_up_template, context)

    def try_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Send the browser to Bitbucket and back, as a trial."""
        record = self._record(request, integration_id)
        if not record.enabled:
            message = gettext("A disabled integration cannot be tried. Enable it first.")
            return self._back(request, record, message, messages.WARNING)
        oauth = self._wanted(request, record)
        try:
            return trials.begin(request, record, self._address("trial", record), oauth)
        except SocialAuthBaseException as error:
            return show_error(request, error, record, oauth, back=self._address("setup", record))

    def trial_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Show the result of the trial."""
        record = self._record(request, integration_id)
        trial = trials.result_of(request, record)
        if trial is None:
            return HttpResponseRedirect(self._address("setup", record))
        context = {
            **self._context(request, record, gettext("Trial login at %(name)s") % {"name": record.name}),
            "trial": trial,
            "failure": words_of_code(trial["problem"]) if trial["problem"] else None,
            "may_enter": not trial.get("findings") or any(holds for _kind, _name, holds in trial["findings"]),
        }
        return TemplateResponse(request, self.trial_template, context)

    def enable_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Let people log in."""
        message = gettext("People can log in through this integration again.")
        enable = partial(integrations.enable, enabled=True)
        return self._do(request, integration_id, enable, EventCode.INTEGRATION_ENABLED, message)

    def disable_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Let nobody log in any more."""
        message = gettext("Nobody can log in through this integration any more.")
        disable = partial(integrations.enable, enabled=False)
        return self._do(request, integration_id, disable, EventCode.INTEGRATION_DISABLED, message)

    def _wanted(self, request: HttpRequest, record: AbstractIntegration) -> OAuth | None:
        """Return the version that the form wants, or else the one that is known to work; ``None`` if there is none."""
        return record.oauth_versions.choose(request.POST.get("oauth"))

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
            "is_for_oauth2": record.oauth1_ended_at is not None,
            "has_credentials": record.client_credentials is not None,
            "is_upgrade_begun": condition.is_upgrade_begun,
            "pending": pending,
            "refusal": words_of(refusal) if refusal is not None else None,
            "is_unknown_key": refusal is not None and refusal.code == Code.SIGNATURE_INVALID,
            "is_unknown_link": refusal is not None
            and refusal.code == Code.CONSUMER_KEY_UNKNOWN
            and new_link is not None,
            "test_to_mend": _test_to_mend(record),
            "can_delete": self.has_delete_permission(request, record),
            "login_link": integrations.login_link(record) if condition.is_ready else "",
            "failing_since": condition.since,
            "ending": ending_certificates(record, timezone.now()) if record.enabled else (),
            "failure": words_of(PROBLEMS[condition.problem]) if condition.problem in PROBLEMS else None,
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


def _test_to_mend(record: AbstractIntegration) -> dict[str, str] | None:
    """Return the words about what the last test found; ``None`` if it passed, or found only that Bitbucket does not
    have the application link yet."""
    test = events.last_test(record)
    if test is None or test.problem in {"", Code.CONSUMER_KEY_UNKNOWN}:
        return None
    return words_of_code(test.problem)
