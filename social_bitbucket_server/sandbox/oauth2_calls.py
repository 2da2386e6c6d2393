"""The address where programs exchange codes and refresh tokens for access tokens by OAuth 2."""

from __future__ import annotations

from flask import Blueprint, Response, abort, g, jsonify, request

from .calls import prepare
from .context import state
from .grants import ACCESS_TOKEN_LIFETIME
from .oauth2 import OAuth2Error, token

blueprint = Blueprint("oauth2_calls", __name__)
prepare(blueprint)


@blueprint.post('/rest/oauth2/<any("latest", "1.0"):_>/token')
def ask_for_token(_: str) -> Response:
    """An access token and a refresh token, for a code or for an older refresh token."""
    if not state().new_dialog:
        abort(404)
    g.consumer_key = request.form.get("client_id")
    try:
        grant = token(dict(request.form.lists()), state())
    except OAuth2Error as refusal:
        response = jsonify(error=refusal.error, error_description=refusal.description)
        response.status_code = refusal.status
    else:
        response = jsonify(
            access_token=grant.access_token,
            token_type="bearer",  # noqa: S106  # a kind of token
            expires_in=ACCESS_TOKEN_LIFETIME,
            refresh_token=grant.refresh_token,
            scope=" ".join(grant.scopes),
            created_at=int(state().wall_time()),
        )
    response.headers["Cache-Control"] = "no-store"
    return response
