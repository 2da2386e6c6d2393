"""The administration pages on which application links are made, in Bitbucket's words and order.

Bitbucket's dialogs are pages here, one after the other; what was typed before travels along in hidden fields.
"""

from __future__ import annotations

from dataclasses import replace

from flask import Blueprint, abort, redirect, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from ..context import state
from ..oauth1.public_keys import UnreadablePublicKeyError, read_public_key
from ..state.links import Consumer, Link, LinkRefusedError
from ..state.oauth1_tokens import AccessToken
from .access import admins_only, own_forms_only, question

LIST = "/plugins/servlet/applinks/listApplicationLinks"

blueprint = Blueprint("application_links", __name__, url_prefix=LIST)
blueprint.before_request(own_forms_only)
blueprint.before_request(admins_only)


@blueprint.get("")
def listing(refusal: str = "", typed: str = "") -> str:
    """Show every link, and the way to make one."""
    links, applications = state().links.all(), state().applications.all()
    return render_template("links/list.html", links=links, applications=applications, refusal=refusal, typed=typed)


@blueprint.route("/create", methods=["GET", "POST"])
def create() -> ResponseReturnValue:
    """Take the first step: *Create link* since 7.20, the address alone before."""
    if request.method != "POST":
        return render_template("links/create.html", refusal="", typed={}) if state().new_dialog else _to_list()
    address, refusal = _typed("application_url"), ""
    if state().new_dialog:
        match request.form.get("application_type"), request.form.get("direction"):
            case "external", "incoming":
                return redirect(f"{state().context}/plugins/servlet/oauth2/provider", 303)
            case "external", "outgoing":
                refusal = "The sandbox has no outgoing links. Choose Incoming."
            case "external", _:
                refusal = "Choose a Direction."
            case "atlassian_oauth2", _ if state().has_three_types:
                refusal = (
                    "This type is only for Atlassian's own products. For an application that logs in by OAuth 1, "
                    "choose Atlassian product via OAuth 1.0. For one that logs in by OAuth 2, choose External "
                    "application."
                )
            case kind, _ if kind != "atlassian":
                refusal = "Choose an Application type."
    try:
        if not refusal:
            state().links.check_application_url(address)
            return render_template("links/no_response.html", entered=address, typed=address, refusal="")
    except LinkRefusedError as error:
        refusal = str(error)
    if state().new_dialog:
        return render_template("links/create.html", refusal=refusal, typed=request.form), 400
    return listing(refusal, address), 400


@blueprint.post("/address")
def confirm_address() -> ResponseReturnValue:
    """Take the second step: the person has read the harmless warning and confirms the address."""
    address = _typed("new_url")
    try:
        state().links.check_application_url(address)
    except LinkRefusedError as refusal:
        entered = request.form.get("entered_url", "")
        return render_template("links/no_response.html", entered=entered, typed=address, refusal=str(refusal)), 400
    return _link_form(address)


@blueprint.post("/link")
def link_applications() -> ResponseReturnValue:
    """Take the third step, *Link applications*: make the link, or ask for the consumer first."""
    address, name = _typed("application_url"), _typed("name")
    try:
        state().links.check(name, address)
        if "create_incoming" in request.form:
            return _incoming_step(address, name)
        state().links.add(name, address)
    except LinkRefusedError as refusal:
        return _link_form(address, str(refusal)), 400
    return _to_list()


@blueprint.post("/incoming")
def incoming_step() -> ResponseReturnValue:
    """Take the step that follows a ticked *Create incoming link*."""
    address, name = _typed("application_url"), _typed("name")
    try:
        state().links.add(name, address, _checked_consumer())
    except LinkRefusedError as refusal:
        return _incoming_step(address, name, str(refusal)), 400
    return _to_list()


@blueprint.route("/<link_id>/incoming", methods=["GET", "POST"])
def incoming_authentication(link_id: str) -> ResponseReturnValue:
    """Show *Incoming Authentication* of one link, or save it."""
    link = _link(link_id)
    page = "links/incoming.html"
    if request.method != "POST":
        return render_template(page, link=link, consumer=link.consumer, refusal="", saved=False)
    try:
        consumer = _checked_consumer(link.consumer)
        state().links.set_consumer(link_id, consumer)
    except LinkRefusedError as refusal:
        return render_template(page, link=link, consumer=_typed_consumer(), refusal=str(refusal), saved=False), 400
    if link.consumer is not None and link.consumer.key != consumer.key:
        state().tokens.forget_consumer(link.consumer.key)
    return render_template(page, link=_link(link_id), consumer=consumer, refusal="", saved=True)


@blueprint.route("/<link_id>/incoming/delete", methods=["GET", "POST"])
def delete_incoming_authentication(link_id: str) -> ResponseReturnValue:
    """Empty *Incoming Authentication*, after a question."""
    link = _link(link_id)
    asked = question("links/delete_incoming.html", link, _tokens(link))
    if asked is None:
        _forget_consumer(link)
        state().links.set_consumer(link_id, None)
    return asked or redirect(f"{state().context}{LIST}/{link_id}/incoming", 303)


@blueprint.route("/<link_id>/delete", methods=["GET", "POST"])
def delete(link_id: str) -> ResponseReturnValue:
    """Delete a link, after a question."""
    link = _link(link_id)
    asked = question("links/delete.html", link, _tokens(link))
    if asked is None:
        _forget_consumer(link)
        state().links.remove(link_id)
    return asked or _to_list()


def _typed(name: str) -> str:
    return request.form.get(name, "").strip()


def _link(link_id: str) -> Link:
    return state().links.get(link_id) or abort(404)


def _to_list() -> Response:
    return redirect(state().context + LIST, 303)


def _link_form(address: str, refusal: str = "") -> str:
    return render_template("links/link.html", application_url=address, typed=request.form, refusal=refusal)


def _incoming_step(address: str, name: str, refusal: str = "") -> str:
    return render_template(
        "links/incoming_step.html", application_url=address, name=name, typed=request.form, refusal=refusal
    )


def _typed_consumer() -> Consumer:
    return Consumer(
        key=_typed("consumer_key"),
        name=_typed("consumer_name"),
        # Not stripped: a certificate must start with its BEGIN line. Browsers send line ends as CR LF.
        public_key=request.form.get("public_key", "").replace("\r\n", "\n"),
        description=_typed("description"),
        callback_url=_typed("consumer_callback_url"),
        two_legged_allowed="two_legged_allowed" in request.form,
        execute_as=_typed("execute_as"),
        impersonation_allowed="impersonation_allowed" in request.form,
    )


def _checked_consumer(stored: Consumer | None = None) -> Consumer:
    consumer = _typed_consumer()
    try:
        read_public_key(consumer.public_key)
    except UnreadablePublicKeyError as reason:
        raise LinkRefusedError(f"The Public Key cannot be used. {reason}") from None
    if consumer.execute_as and state().users.by_name(consumer.execute_as) is None:
        raise LinkRefusedError(f"Execute as: there is no user called {consumer.execute_as}.")
    if not consumer.callback_url or (stored is not None and consumer.callback_url == stored.callback_url):
        return consumer
    # Bitbucket does this to whatever is typed, which spoils a callback address.
    return replace(consumer, callback_url=consumer.callback_url + "/")


def _tokens(link: Link) -> list[AccessToken]:
    return state().tokens.granted(consumer_key=link.consumer.key) if link.consumer else []


def _forget_consumer(link: Link) -> None:
    if link.consumer is not None:
        state().tokens.forget_consumer(link.consumer.key)
