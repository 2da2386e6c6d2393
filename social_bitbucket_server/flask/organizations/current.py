"""The organizations of the application that handles the request."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from flask import current_app
from sqlalchemy.orm import Session
from werkzeug.local import LocalProxy

from ...sqlalchemy.organizations import Store

if TYPE_CHECKING:
    from .extension import Organizations

EXTENSION = "bitbucket_organizations"
"""Name under which Flask keeps the extension."""


def extension() -> Organizations:
    """Return the extension of the application that handles the request."""
    found: Organizations = current_app.extensions[EXTENSION]
    return found


store: Store = cast("Store", LocalProxy(lambda: extension().store))
"""The storage of the application that handles the request."""
session: Session = cast("Session", LocalProxy(lambda: extension().store.models.session()))
"""The database session of the application that handles the request."""
