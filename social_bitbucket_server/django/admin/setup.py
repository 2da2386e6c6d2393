"""The page of an integration with its worksheet, check-up, key pairs, moves, and whether people may log in."""

from __future__ import annotations

from functools import partial

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from social_core.exceptions import SocialAuthBaseException

from ...onboarding import Dialog, dialog_of, first_failure
from ...organizations import EventCode, Limited, SetupStep, ending_certificates
from ...problems import PROBLEMS, BitbucketServerError, Code, Problem
from .. import events, integrations, key_rotation, limits, moves, trials
from ..errors import show_error, words_of, words_of_code
from ..models import AbstractIntegration
from .pages import IntegrationPages


class SetupPages(IntegrationPages):
    """Pages for all that an integration needs until people log in, and for what stops them from it."""

    setup_template = "admin/social_bitbucket_server/setup.html"
    check_up_template = "admin/social_bitbucket_server/check_up.html"
    trial_template = "admin/social_bitbucket_server/trial.html"

    def setup_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Show the state of the integration, its worksheet and key pairs, and the last logins."""
        return self._setup_page(request, self._record(request, integration_id, to_change=False))

    def check_up_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Test the connection, and show what each stage found."""
        record = self._record(request, integration_id)
        limits.count(request, Limited.TESTS, record.pk)
        oauth = record.oauth_versions.choose(request.POST.get("oauth"))
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
        oauth = record.oauth_versions.choose(request.POST.get("oauth"))
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

    def try_move_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Send the browser to the server's new address and back, as a trial that decides."""
        record = self._record(request, integration_id)
        if not record.moving_to:
            return self._back(request, record, gettext("No new base URL waits for a trial login."), messages.WARNING)
        if not record.enabled:
            message = gettext("A disabled integration cannot be tried. Enable it first.")
            return self._back(request, record, message, messages.WARNING)
        return trials.begin(request, record, self._address("trial", record), at_new_address=True)

    def give_up_move_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Stay at the old address."""
        message = gettext("The base URL stays as it was.")
        return self._do(request, integration_id, moves.give_up, EventCode.INTEGRATION_MOVE_GIVEN_UP, message)

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

    def new_key_pair_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Make a key pair that waits until Bitbucket has its public key, for the old application link or a new one."""
        record = self._record(request, integration_id)
        if record.oauth1_ended_at is not None:
            message = gettext("People log in by OAuth 2, which needs no key pair.")
            return self._back(request, record, message, messages.WARNING)
        limits.count(request, Limited.KEY_PAIRS, record.pk)
        try:
            has_begun = key_rotation.begin(record, request.user, with_new_link=request.POST.get("link") == "new")
        except integrations.ChangedMeanwhileError:
            raise Http404 from None
        if not has_begun:
            message = gettext("An old application link waits for its removal. Say first that it is removed.")
            return self._back(request, record, message, messages.WARNING)
        message = gettext("The new key pair is made. The old one stays in use until Bitbucket has the new public key.")
        return self._changed(request, record, EventCode.KEY_CREATED, message)

    def verify_key_pair_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Use the new key pair from now on, if Bitbucket accepts it."""
        record = self._record(request, integration_id)
        limits.count(request, Limited.TESTS, record.pk)
        try:
            is_in_use = key_rotation.verify(record, request.user)
        except BitbucketServerError as error:
            return self._setup_page(request, record, refusal=error.problem)
        if not is_in_use:
            return self._back(request, record, gettext("There is no new key pair to verify."), messages.WARNING)
        if record.replaced_key_pair is not None:
            message = gettext("Bitbucket accepts the new link. Logins go through it, and the old link can be removed.")
            return self._changed(request, record, EventCode.CONSUMER_KEY_REPLACED, message)
        message = gettext(
            "Bitbucket accepts the new key pair. Logins are signed with it, and the old private key is erased."
        )
        return self._changed(request, record, EventCode.KEY_PROMOTED, message)

    def old_link_removed_view(self, request: HttpRequest, integration_id: str) -> HttpResponse:
        """Note that the old application link was removed, and erase its private key."""
        record = self._record(request, integration_id)
        if not key_rotation.note_removal(record, request.user):
            return self._back(request, record, gettext("There is no old application link."), messages.WARNING)
        return self._changed(request, record, EventCode.KEY_RETIRED, gettext("The old link's private key is erased."))

    def _setup_page(
        self, request: HttpRequest, record: AbstractIntegration, refusal: Problem | None = None
    ) -> HttpResponse:
        """Return the page of *record*. *refusal* is the problem that keeps the new key pair from being used.

        A last test that did not find the application link says only that Bitbucket does not have it yet."""
        asked = request.GET.get("bitbucket")
        dialog = Dialog(asked) if asked in set(Dialog) else dialog_of(record.server_version)
        pairs = record.key_pairs_in_use
        active, replaced, new_link = pairs.active, pairs.replaced, pairs.pending_for_new_link
        refused = refusal.code if refusal is not None else None
        people = integrations.identities(record).count()
        condition = events.condition_of(record)
        test = events.last_test(record)
        is_to_mend = test is not None and test.problem not in {"", Code.CONSUMER_KEY_UNKNOWN}
        context = {
            **self._context(request, record, record.name),
            "dialog": dialog,
            "dialogs": list(Dialog),
            "active": active,
            "is_for_oauth2": record.oauth1_ended_at is not None,
            "has_credentials": record.client_credentials is not None,
            "is_upgrade_begun": condition.is_upgrade_begun,
            "pending": pairs.pending,
            "refusal": words_of(refusal) if refusal is not None else None,
            "is_unknown_key": refused == Code.SIGNATURE_INVALID,
            "is_unknown_link": refused == Code.CONSUMER_KEY_UNKNOWN and new_link is not None,
            "test_to_mend": words_of_code(test.problem) if test is not None and is_to_mend else None,
            "can_delete": self.has_delete_permission(request, record),
            "login_link": integrations.login_link(record) if condition.is_ready else "",
            "failing_since": condition.since,
            "ending": ending_certificates(record, timezone.now()) if record.enabled else (),
            "failure": words_of(PROBLEMS[condition.problem]) if condition.problem in PROBLEMS else None,
            "people": ngettext("%(count)d person has", "%(count)d people have", people) % {"count": people},
            "steps": integrations.worksheet_of(record, active, dialog) if active is not None else (),
            "steps_of_new_link": integrations.worksheet_of(record, new_link, dialog) if new_link is not None else (),
            "replaced": replaced,
            "attempts": events.login_attempts(record.pk),
            "is_plain_http": record.server_url.scheme == "http",
        }
        if replaced is not None:
            context["old_link"] = {
                "name": integrations.application_link_name(record, replaced.link),
                "address": integrations.application_url(record, replaced.link),
            }
        return TemplateResponse(request, self.setup_template, context, status=422 if refusal is not None else 200)
