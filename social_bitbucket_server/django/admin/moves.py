"""A server that moved: the trial login at its new address, and staying at the old one."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from ...organizations import EventCode
from .. import moves, trials
from .pages import IntegrationPages


class MovePages(IntegrationPages):
    """Pages of a new base URL that waits for its proof."""

    def pages(self) -> dict[str, Callable[..., HttpResponse]]:
        """Add both actions."""
        return {
            **super().pages(),
            "try-move": require_POST(self.try_move_view),
            "give-up-move": require_POST(self.give_up_move_view),
        }

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
