"""The version of the server, and the answer for resources that the sandbox does not have."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from ..context import state
from ..program_calls import json_error
from ..state.versions import version_numbers
from .caller import identify_caller

blueprint = Blueprint("rest_root", __name__)
identify_caller(blueprint)


@blueprint.get('/rest/api/<any("latest", "1.0"):_>/application-properties')
def application_properties(_: str) -> Response:
    """Answer with the server's version. Anonymous people may ask."""
    major, minor, patch = version_numbers(state().version)
    return jsonify(
        version=state().version,
        buildNumber=f"{major}{minor:03}{patch:03}",
        buildDate="1672975062662",
        displayName="Bitbucket",
    )


@blueprint.route("/rest/", defaults={"_": ""})
@blueprint.route("/rest/<path:_>")
def nothing_else(_: str) -> Response:
    """Refuse requests for resources that the sandbox does not have."""
    return json_error(404, "The sandbox has no such resource.", "NoSuchResourceException")
