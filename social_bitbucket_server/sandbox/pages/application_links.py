"""The administration pages on which application links are made, in Bitbucket's words and order.

Bitbucket's dialogs are pages here, one after the other; what was typed before travels along in hidden fields.
"""

from __future__ import annotations

from dataclasses import replace

from flask import Blueprint, Response, abort, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from ..context import state
from ..oauth1.public_keys import UnreadablePublicKeyError, read_public_key
from ..state.links import Consumer, Link, LinkRefusedError
from .access import admin_only
from .forms import confirmation_refusal, protect

LIST = "/plugins/servlet/applinks/listApplicationLinks"

blueprint = Blueprint("application_links", __name__, url_prefix=LIST)
protect(blueprint)


@blueprint.get("")
@admin_only
def listing() -> str:
    """Show every link, and the way to make one."""
    return _listing()


@blueprint.route("/create", methods=["GET", "POST"])
@admin_only
def create() -> AnyResponse | str:
    """Take the first step: *Create link* since 7.20, the address alone before."""
    if request.method == "GET":
        return render_template("links/create.html", refusal="", typed={}) if state().new_dialog else _to_list()
    if state().new_dialog and request.form.get("application_type") == "external":
        return _external_application()
    if state().has_three_types and request.form.get("application_type") == "atlassian_oauth2":
        return _create_again(
            "This type is only for Atlassian's own products. For an application that logs in by OAuth 1, "
            "choose Atlassian product via OAuth 1.0. For one that logs in by OAuth 2, choose External application."
        )
    address = request.form.get("application_url", "").strip()
    if state().new_dialog and request.form.get("application_type") != "atlassian":
        return _create_again("Choose an Application type.")
    try:
        state().links.check_application_url(address)
    except LinkRefusedError as refusal:
        return _create_again(str(refusal)) if state().new_dialog else Response(_listing(str(refusal), address), 400)
    return render_template("links/no_response.html", entered=address, typed=address, refusal="")


@blueprint.post("/address")
@admin_only
def confirm_address() -> AnyResponse | str:
    """Take the second step: the person has read the harmless warning and confirms the address."""
    address = request.form.get("new_url", "").strip()
    try:
        state().links.check_application_url(address)
    except LinkRefusedError as refusal:
        entered = request.form.get("entered_url", "")
        page = render_template("links/no_response.html", entered=entered, typed=address, refusal=str(refusal))
        return Response(page, 400)
    return _link_form(address)


@blueprint.post("/link")
@admin_only
def link_applications() -> AnyResponse | str:
    """Take the third step, *Link applications*: make the link, or ask for the consumer first."""
    address, name = request.form.get("application_url", "").strip(), request.form.get("name", "").strip()
    try:
        state().links.check(name, address)
        if "create_incoming" in request.form:
            return _incoming_step(address, name)
        state().links.add(name, address)
    except LinkRefusedError as refusal:
        return Response(_link_form(address, str(refusal)), 400)
    return _to_list()


@blueprint.post("/incoming")
@admin_only
def incoming_step() -> AnyResponse | str:
    """Take the step that follows a ticked *Create incoming link*."""
    address, name = request.form.get("application_url", "").strip(), request.form.get("name", "").strip()
    try:
        state().links.add(name, address, _typed_consumer())
    except LinkRefusedError as refusal:
        return Response(_incoming_step(address, name, str(refusal)), 400)
    return _to_list()


@blueprint.route("/<link_id>/incoming", methods=["GET", "POST"])
@admin_only
def incoming_authentication(link_id: str) -> AnyResponse | str:
    """Show *Incoming Authentication* of one link, or save it."""
    link = _link(link_id)
    if request.method == "GET":
        return _incoming_form(link)
    try:
        consumer = _typed_consumer(link.consumer)
        state().links.set_consumer(link_id, consumer)
    except LinkRefusedError as refusal:
        return Response(_incoming_form(link, str(refusal)), 400)
    if link.consumer is not None and link.consumer.key != consumer.key:
        state().tokens.forget_consumer(link.consumer.key)
    return _incoming_form(_link(link_id), saved=True)


@blueprint.route("/<link_id>/incoming/delete", methods=["GET", "POST"])
@admin_only
def delete_incoming_authentication(link_id: str) -> AnyResponse | str:
    """Empty *Incoming Authentication*, after a question."""
    link = _link(link_id)
    refusal = confirmation_refusal(link.name)
    if refusal is not None:
        return _question(link, "links/delete_incoming.html", refusal)
    _forget_consumer(link)
    state().links.set_consumer(link_id, None)
    return redirect(f"{_address()}/{link_id}/incoming", 303)


@blueprint.route("/<link_id>/delete", methods=["GET", "POST"])
@admin_only
def delete(link_id: str) -> AnyResponse | str:
    """Delete a link, after a question."""
    link = _link(link_id)
    refusal = confirmation_refusal(link.name)
    if refusal is not None:
        return _question(link, "links/delete.html", refusal)
    _forget_consumer(link)
    state().links.remove(link_id)
    return _to_list()


def _link(link_id: str) -> Link:
    return state().links.get(link_id) or abort(404)


def _address() -> str:
    return state().context + LIST


def _to_list() -> AnyResponse:
    return redirect(_address(), 303)


def _listing(refusal: str = "", typed: str = "") -> str:
    applications = state().applications.all()
    return render_template(
        "links/list.html", links=state().links.all(), applications=applications, refusal=refusal, typed=typed
    )


def _external_application() -> AnyResponse:
    match request.form.get("direction"):
        case "incoming":
            return redirect(f"{state().context}/plugins/servlet/oauth2/provider", 303)
        case "outgoing":
            return _create_again("The sandbox has no outgoing links. Choose Incoming.")
    return _create_again("Choose a Direction.")


def _create_again(refusal: str) -> AnyResponse:
    return Response(render_template("links/create.html", refusal=refusal, typed=request.form), 400)


def _link_form(address: str, refusal: str = "") -> str:
    return render_template("links/link.html", application_url=address, typed=request.form, refusal=refusal)


def _incoming_step(address: str, name: str, refusal: str = "") -> str:
    return render_template(
        "links/incoming_step.html", application_url=address, name=name, typed=request.form, refusal=refusal
    )


def _incoming_form(link: Link, refusal: str = "", *, saved: bool = False) -> str:
    return render_template(
        "links/incoming.html",
        link=link,
        consumer=_unchecked_consumer() if refusal else link.consumer,
        refusal=refusal,
        saved=saved,
    )


def _unchecked_consumer() -> Consumer:
    callback_url = request.form.get("consumer_callback_url", "").strip()
    return Consumer(
        key=request.form.get("consumer_key", "").strip(),
        name=request.form.get("consumer_name", "").strip(),
        # Not stripped: a certificate must start with its BEGIN line. Browsers send line ends as CR LF.
        public_key=request.form.get("public_key", "").replace("\r\n", "\n"),
        description=request.form.get("description", "").strip(),
        callback_url=callback_url,
        two_legged_allowed="two_legged_allowed" in request.form,
        execute_as=request.form.get("execute_as", "").strip(),
        impersonation_allowed="impersonation_allowed" in request.form,
    )


def _typed_consumer(stored: Consumer | None = None) -> Consumer:
    consumer = _unchecked_consumer()
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


def _question(link: Link, template: str, refusal: str) -> AnyResponse:
    tokens = state().tokens.granted(consumer_key=link.consumer.key) if link.consumer else []
    people = {token.user_id for token in tokens}
    page = render_template(template, link=link, tokens=len(tokens), people=len(people), refusal=refusal)
    return Response(page, 400 if refusal else 200)


def _forget_consumer(link: Link) -> None:
    if link.consumer is not None:
        state().tokens.forget_consumer(link.consumer.key)
