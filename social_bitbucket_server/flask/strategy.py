"""The strategy by which social-core 7 works in Flask.

social-auth-app-flask 1.0.0's own fails with core 7 when a login comes back.
"""

from __future__ import annotations

from typing import Any

from flask import current_app, has_request_context, redirect, request
from social_core.strategy import BaseStrategy
from social_flask.strategy import FlaskStrategy as StockFlaskStrategy
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from ..crypto import Secret, opaque, plain
from ..login import LONGEST_NEXT, may_name_halted_login


class FlaskStrategy(StockFlaskStrategy):  # type: ignore[misc]  # untyped
    """The stock strategy with what core 7 asks of it. The route variable ``integration`` counts as a parameter that
    no query or form field of the same name can override."""

    request_data = BaseStrategy.request_data

    def get_setting(self, name: str) -> Any:
        """Return the setting *name*. Raises KeyError if it is not set."""
        # A login looks up hundreds of names. Flask's proxy would take ten times as long for each.
        return current_app._get_current_object().config[name]  # type: ignore[attr-defined]  # a proxy's method

    @opaque
    def get_request_data(self, merge: bool = True) -> MultiDict[str, str]:
        """Return form and query of the current request; without *merge* those of its method alone. A form that is sent
        with a GET is ignored."""
        data: MultiDict[str, str] = MultiDict()
        if not has_request_context():
            return data
        if request.method == "POST":
            data.update(_hidden(request.form))
        if merge or request.method != "POST":
            data.update(_hidden(request.args))
        chosen = (request.view_args or {}).get("integration")
        if chosen is not None:
            data["integration"] = chosen
        if len(data.get("next", "")) > LONGEST_NEXT:
            data.poplist("next")
        if not may_name_halted_login(self):
            data.pop("partial_token", None)
        return data

    def session_set(self, name: str, value: Any) -> None:
        """Keep *value* in the session, in plain texts."""
        super().session_set(name, plain(value))

    def session_setdefault(self, name: str, value: Any) -> Any:
        """Return what the session keeps under *name*, which is *value* in plain texts where there was nothing."""
        return super().session_setdefault(name, plain(value))

    def to_session_value(self, val: Any) -> Any:
        """Return *val* for a halted pipeline, in plain texts."""
        return plain(val)

    def build_absolute_uri(self, path: str | None = None) -> str:
        """Return *path* on this application's host, or *path* alone without a request, such as in a background job."""
        return super().build_absolute_uri(path) if has_request_context() else path or ""

    def redirect(self, url: str) -> Response:
        """Send the browser to *url* by GET, also after a POST, with a body that does not repeat the address: there
        may be a token in it."""
        response = redirect(url, 303)
        response.set_data(b"")
        return response


def _hidden(values: MultiDict[str, str]) -> MultiDict[str, str]:
    """Return *values* as secrets, which do not show themselves: a callback's address holds the verifier."""
    return MultiDict((name, Secret(value)) for name, value in values.items(multi=True))
