"""People of an organization, for its admins: everybody who logged in, and who may not any more."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, redirect, url_for
from flask.typing import ResponseReturnValue

from ...account import roles_of
from .access import AdminPages
from .current import store
from .templating import render

blueprint = AdminPages("people", __name__)


@blueprint.get("")
def people_list(organization: Any) -> ResponseReturnValue:
    """Show everybody who ever logged in."""
    people = store.people.of(organization)
    roles = {person.key: sorted(set().union(*map(roles_of, person.identities))) for person in people}
    return render("people.html", people=people, roles=roles if store.role_names else None)


@blueprint.post("/<person>/<any(disable, enable, logout):action>")
def let_in_or_not(organization: Any, person: str, action: str) -> ResponseReturnValue:
    """Disable or enable one person, or end their sessions."""
    found = store.people.find(organization, person) or abort(404)
    if action == "disable":
        store.people.disable(organization, found)
        flash(f"{found.name} is disabled and logged out everywhere.")
    elif action == "logout":
        store.people.log_out(organization, found)
        flash(f"{found.name} is logged out everywhere, and can log in again.")
    else:
        store.people.enable(organization, found)
        flash(f"{found.name} can log in again.")
    return redirect(url_for("bitbucket.people.people_list", slug=organization.slug), 303)
