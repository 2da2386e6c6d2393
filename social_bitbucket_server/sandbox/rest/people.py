"""The part of Bitbucket's REST about people: users, their pictures, and ``whoami``."""

from __future__ import annotations

from urllib.parse import quote

from flask import Blueprint, Response, g, jsonify, request
from werkzeug.wrappers import Response as AnyResponse

from ..context import state
from ..pages.access import log_in_page
from ..program_calls import empty, json_error
from ..state.avatars import avatar
from ..state.users import User
from .caller import identify_caller, not_permitted
from .paging import page_of

blueprint = Blueprint("rest_people", __name__)
identify_caller(blueprint)


@blueprint.get('/rest/api/<any("latest", "1.0"):_>/users')
def users(_: str) -> Response:
    """Answer with one page of the users that *filter* finds."""
    if g.user is None:
        return not_permitted()
    found = state().users.search(request.args.get("filter", ""))
    group = request.args.get("group")
    if group is not None:
        if state().faults.groups_closed:
            return not_permitted()
        members = state().projects.members(group) or ()
        found = [user for user in found if user.name in members]
    return page_of(found, _user_json)


@blueprint.get('/rest/api/<any("latest", "1.0"):_>/users/<slug>')
def one_user(_: str, slug: str) -> Response:
    """Answer with the user with this slug."""
    if g.user is None:
        return not_permitted()
    user = state().users.by_slug(slug)
    if user is None:
        return json_error(404, f"User {slug} does not exist.", "user.NoSuchUserException")
    return jsonify(_user_json(user))


@blueprint.get("/plugins/servlet/applinks/whoami")
def whoami() -> AnyResponse:
    """Answer with the user's name as text. It is empty for anonymous people."""
    if g.user is None and request.headers.get("Authorization", "").lower().startswith("bearer "):
        return log_in_page()
    if state().faults.whoami_closed:
        return empty(401)
    return Response(g.user.name if g.user else "", content_type="text/plain")


@blueprint.get("/users/<slug>/avatar.png")
def picture(slug: str) -> Response:
    """Draw a plain square in a colour of the user's own."""
    user = state().users.by_slug(slug)
    if user is None:
        return Response(status=404)
    return Response(avatar(user.id, request.args.get("s", 48, type=int)), content_type="image/png")


def _user_json(user: User) -> dict[str, object]:
    page = f"/users/{quote(user.slug, safe='')}"
    answer: dict[str, object] = {"name": user.name}
    if user.email is not None:
        answer["emailAddress"] = user.email
    answer |= {
        "id": user.id,
        "displayName": user.display_name,
        "active": user.active,
        "slug": user.slug,
        "type": user.type,
        "links": {"self": [{"href": state().base_url + page}]},
    }
    size = request.args.get("avatarSize", type=int)
    if size is not None:
        # Bitbucket gives absolute and relative addresses; both occur here.
        root = state().context if user.email is None else state().base_url
        answer["avatarUrl"] = f"{root}{page}/avatar.png?s={size}"
    return answer
