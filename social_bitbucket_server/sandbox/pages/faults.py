"""The switches for what goes wrong, as a page and for programs."""

from __future__ import annotations

from dataclasses import fields

from flask import Blueprint, jsonify, redirect, render_template, request
from flask.typing import ResponseReturnValue

from ..context import state
from ..state.faults import Faults
from .access import own_forms_only

blueprint = Blueprint("faults_page", __name__, url_prefix="/sandbox/faults")
programs = Blueprint("faults_for_programs", __name__)
blueprint.before_request(own_forms_only)


@blueprint.route("", methods=["GET", "POST"])
def page() -> ResponseReturnValue:
    """Show the switches, or set them.

    Everybody may, because a person who tries out a login is not logged in as an administrator.
    """
    faults = state().faults
    if request.method != "POST":
        return render_template("faults.html", values=faults.as_dict(), refusal="")
    if "reset" in request.form:
        faults.reset()
    else:
        try:
            faults.update(_typed())
        except ValueError as refusal:
            return render_template("faults.html", values=request.form, refusal=str(refusal)), 400
    return redirect(f"{state().context}/sandbox/faults", 303)


@programs.route("/sandbox/faults.json", methods=["GET", "PUT", "POST"])
def document() -> ResponseReturnValue:
    """Answer with the switches. POST changes those that are named; PUT also switches the others off."""
    faults = state().faults
    if request.method in {"POST", "PUT"}:
        # Other sites cannot send this type from a person's browser without being asked.
        values = request.get_json(silent=True) if request.mimetype == "application/json" else None
        if not isinstance(values, dict):
            return jsonify(error="Send a JSON object, with the content type application/json."), 400
        try:
            faults.update({**Faults().as_dict(), **values} if request.method == "PUT" else values)
        except ValueError as refusal:
            return jsonify(error=str(refusal)), 400
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
