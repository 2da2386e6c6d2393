"""Application links by REST, for administrators' programs: XML unless JSON is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from xml.sax.saxutils import escape

from flask import Blueprint, Response, g, jsonify, request

from ..context import message, state
from ..oauth1.public_keys import UnreadablePublicKeyError, read_public_key
from ..oauth1.rules import signed_user
from ..program_calls import json_error, prepare
from ..state.external_applications import closure
from ..state.links import Consumer, LinkRefusedError
from .authentication import not_permitted, user_by_bearer_token, user_by_password

blueprint = Blueprint("applinks_rest", __name__, url_prefix="/rest")
prepare(blueprint)

_LINKS = '/applinks/<any("latest", "3.0"):_>/applicationlink'
_CONSUMER = '/applinks-oauth/<any("latest", "1.0"):_>/applicationlink/<link_id>/authentication/consumer'


@blueprint.before_request
def admins_only() -> Response | None:
    """Keep the caller as ``g.user``, and refuse callers who are not administrators with 401 or 403."""
    g.user = signed_user(message(), state()) or user_by_password(state())
    if g.user is None:
        g.user, scopes = user_by_bearer_token(state())
        if g.user is not None and "ADMIN_WRITE" not in closure(scopes):  # an HTTP access token never has it
            return not_permitted()
    if g.user is None:
        return json_error(401, "Authentication is required.", "AuthorisationException")
    return None if g.user.admin else json_error(403, "You are not an administrator.", "AuthorisationException")


@blueprint.get(_LINKS)
def listing(_: str) -> Response:
    """Answer with every link."""
    links = [
        {
            "id": link.id,
            "name": link.name,
            "typeId": "generic",
            "displayUrl": link.application_url,
            "rpcUrl": link.application_url,
        }
        for link in state().links.all()
    ]
    xml = "".join(f"<applicationLinks>{_elements(fields)}</applicationLinks>" for fields in links)
    document = {"list": [{"application": fields} for fields in links]}
    return _answer(200, document, f"<applicationLinks>{xml}</applicationLinks>")


@blueprint.put(_LINKS)
def create(_: str) -> Response:
    """Make a link; the answer says where it is."""
    fields = _body()
    try:
        link = state().links.add(str(fields.get("name", "")), str(fields.get("rpcUrl", "")))
    except LinkRefusedError as refusal:
        return _refused(409 if "already" in str(refusal) else 400, str(refusal))
    address = f"{state().base_url}/rest/applinks/3.0/applicationlink/{link.id}"
    document = {"status-code": 201, "resources-created": {"link": [{"href": address, "rel": "self"}]}}
    xml = f'<resources-created><link href="{escape(address)}" rel="self"/></resources-created>'
    return _answer(201, document, f"<status><status-code>201</status-code>{xml}</status>")


@blueprint.delete(f"{_LINKS}/<link_id>")
def remove(_: str, link_id: str) -> Response:
    """Delete a link."""
    try:
        state().links.remove(link_id)
    except KeyError:
        return _refused(404, "There is no such application link.")
    return Response(status=204)


@blueprint.put(_CONSUMER)
def set_consumer(_: str, link_id: str) -> Response:
    """Fill in the incoming authentication, or replace it."""
    fields, link = _body(), state().links.get(link_id)
    if link is None:
        return _refused(404, "There is no such application link.")
    consumer = Consumer(
        key=str(fields.get("key") or ""),
        name=str(fields.get("name") or ""),
        public_key=str(fields.get("publicKey") or ""),
        description=str(fields.get("description") or ""),
        two_legged_allowed=bool(fields.get("twoLOAllowed")),
        execute_as=str(fields.get("executingTwoLOUser") or ""),
        impersonation_allowed=bool(fields.get("twoLOImpersonationAllowed")),
    )
    if link.consumer is not None:
        consumer = replace(consumer, callback_url=link.consumer.callback_url)
    if "CERTIFICATE" in consumer.public_key:
        return _refused(400, "A certificate is not taken here.")
    try:
        read_public_key(consumer.public_key)
        state().links.set_consumer(link_id, consumer)
    except UnreadablePublicKeyError as refusal:
        return _refused(400, str(refusal))
    except LinkRefusedError as refusal:
        return _refused(409, str(refusal))
    return Response(status=201)


def _body() -> dict[str, Any]:
    body = request.get_json(silent=True)
    return body if isinstance(body, dict) else {}


def _refused(status: int, text: str) -> Response:
    fields = {"status-code": status, "message": text}
    return _answer(status, fields, f"<status>{_elements(fields)}</status>")


def _elements(fields: Mapping[str, object]) -> str:
    return "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in fields.items())


def _answer(status: int, document: dict[str, Any], xml: str) -> Response:
    """Answer with *document* if the caller asks for JSON, otherwise with *xml*."""
    if "json" in request.headers.get("Accept", ""):
        response = jsonify(document)
        response.status_code = status
        return response
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    return Response(head + xml, status, content_type="application/xml;charset=UTF-8")
