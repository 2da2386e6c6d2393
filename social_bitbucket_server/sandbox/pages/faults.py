"""The switches for what goes wrong, as a page and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from flask import Blueprint, Response, jsonify, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from ..context import state
from ..state.faults import Faults
from .forms import protect

blueprint = Blueprint("faults_page", __name__, url_prefix="/sandbox/faults")
programs = Blueprint("faults_for_programs", __name__)
protect(blueprint)


@blueprint.route("", methods=["GET", "POST"])
def page() -> AnyResponse | str:
    """Show the switches, or set them.

    Everybody may, because a person who tries out a login is not logged in as an administrator.
    """
    if request.method == "GET":
        return _page(state().faults.as_dict(), "")
    if "reset" in request.form:
        state().faults.reset()
        return redirect(f"{state().context}/sandbox/faults", 303)
    try:
        state().faults.update(_typed())
    except ValueError as refusal:
        return Response(_page(request.form, str(refusal)), 400)
    return redirect(f"{state().context}/sandbox/faults", 303)


@programs.route("/sandbox/faults.json", methods=["GET", "PUT", "POST"])
def document() -> Response:
    """Answer with the switches. POST changes those that are named; PUT also switches the others off."""
    faults = state().faults
    if request.method != "GET":
        # Other sites cannot send this type from a person's browser without being asked.
        values = request.get_json(silent=True) if request.mimetype == "application/json" else None
        if not isinstance(values, dict):
            return _refuse("Send a JSON object, with the content type application/json.")
        try:
            faults.update({**Faults().as_dict(), **values} if request.method == "PUT" else values)
        except ValueError as refusal:
            return _refuse(str(refusal))
    return jsonify(faults.as_dict())


def _typed() -> dict[str, object]:
    values: dict[str, object] = {}
    for field in fields(Faults):
        text = request.form.get(field.name, "").strip()
        if isinstance(field.default, bool):
            values[field.name] = field.name in request.form
        elif isinstance(field.default, str):
            values[field.name] = text
        else:
            values[field.name] = _number(text)
    return values


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text or 0)
        except ValueError:
            continue
    return text


def _page(values: Mapping[str, object], refusal: str) -> str:
    return render_template("faults.html", values=values, refusal=refusal)


def _refuse(text: str) -> Response:
    response = jsonify(error=text)
    response.status_code = 400
    return response
