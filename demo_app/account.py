"""The page after the login: who one is here."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from . import access, integrations
from .models import Organization

blueprint = Blueprint("account", __name__, url_prefix="/o/<slug>")


@blueprint.get("/account")
@access.for_members
def account(organization: Organization) -> ResponseReturnValue:
    """Who is logged in, where, and since when."""
    return render_template("account.html", organization=organization, server_url=integrations.server_url)
