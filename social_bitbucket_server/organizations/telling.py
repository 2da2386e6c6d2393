"""The application's own function that is told of each event, by the setting ``…_ON_EVENT``."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from typing import Any

from ..integration import listener_of
from .events import EventCode

_LOG = logging.getLogger(__name__)


def tell(configured: Any, event: EventCode, details: Mapping[str, Any]) -> None:
    """Call the function that *configured*, the value of the setting, is or names. Do nothing if it is empty. *details*
    without a value are left out, and the others become texts.

    An error there changes nothing for the login. It goes to the log without its text, which may be about a person.
    """
    if not configured:
        return
    told = {name: str(value) for name, value in details.items() if value is not None and value != ""}
    try:
        listener_of(configured)(event, told)
    except Exception as error:  # noqa: BLE001  # the application's own may raise anything
        place = "".join(traceback.format_tb(error.__traceback__))
        _LOG.error("ON_EVENT failed at %s: %s at\n%s", event.value, type(error).__qualname__, place)
