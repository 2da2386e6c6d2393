"""A new key pair for an integration."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from ...organizations import EventCode, Limited
from ...problems import BitbucketServerError
from .. import integrations, key_rotation, limits
from .setup import SetupPages


class KeyPairPages(SetupPages):
    """Pages of an integration's key pairs."""

    def pages(self) -> dict[str, Callable[..., HttpResponse]]:
        """Add the steps of a key rotation."""
        return {
            **super().pages(),
            "new-key-pair": require_POST(self.new_key_pair_view),
            "verify-key-pair": require_POST(self.verify_key_pair_view),
            "old-link-removed": require_POST(self.old_link_removed_view),
        }

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
        limits.count(request, Limited.TESTS, record.pk)
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
