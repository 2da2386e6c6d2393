"""Bitbucket's REST about people, projects and the server, and the headers that name the caller."""

from __future__ import annotations

import colorsys
import secrets
import struct
import zlib
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, abort, g, jsonify, request
from werkzeug.wrappers import Response as AnyResponse

from ..context import message, signed_in, state
from ..oauth1.rules import signed_user
from ..pages.access import log_in_page
from ..program_calls import empty, json_error, prepare
from ..state.external_applications import closure
from ..state.projects import Permission, Project
from ..state.users import User
from ..state.versions import version_numbers
from .authentication import not_permitted, user_by_bearer_token, user_by_password

MOST_VALUES = 1000
"""The largest *limit*. Bitbucket cuts a larger one to it."""

LARGEST_AVATAR = 512
"""Pixels of the largest side."""

blueprint = Blueprint("rest_resources", __name__)
prepare(blueprint)

_API = '/rest/api/<any("latest", "1.0"):_>'


@blueprint.before_request
def identify_caller() -> None:
    """Identify the caller by signature, bearer token or password; in a browser, by the sign-in to the pages."""
    g.user = signed_user(message(), state())
    if g.user is None and (request.path.startswith("/rest/") or state().whoami_takes_bearer_tokens):
        g.user, g.scopes = user_by_bearer_token(state())
    g.user = g.user or user_by_password(state()) or signed_in()


@blueprint.after_request
def name_caller(response: Response) -> Response:
    """Name the user, and set a session cookie that nobody needs."""
    if "BITBUCKETSESSIONID" not in request.cookies:
        response.set_cookie("BITBUCKETSESSIONID", secrets.token_hex(16).upper(), path="/", httponly=True)
    user: User | None = g.get("user")
    if user is not None and not state().faults.user_headers_removed:
        response.headers["X-AUSERNAME"] = quote(user.name, safe="")
        response.headers["X-AUSERID"] = str(user.id)
    return response


@blueprint.get(f"{_API}/application-properties")
def application_properties(_: str) -> Response:
    """Answer with the server's version. Anonymous people may ask."""
    major, minor, patch = version_numbers(state().version)
    return jsonify(
        version=state().version,
        buildNumber=f"{major}{minor:03}{patch:03}",
        buildDate="1672975062662",
        displayName="Bitbucket",
    )


@blueprint.get(f"{_API}/users")
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
    return _page_of([_user_json(user) for user in found])


@blueprint.get(f"{_API}/users/<slug>")
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
    size = max(1, min(request.args.get("s", 48, type=int), LARGEST_AVATAR))
    colour = bytes(round(part * 255) for part in colorsys.hls_to_rgb(user.id * 0.381966 % 1, 0.4, 0.5))
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0),
        b"IDAT": zlib.compress((b"\0" + colour * size) * size),
        b"IEND": b"",
    }
    png = b"\x89PNG\r\n\x1a\n"
    for name, content in chunks.items():
        png += struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return Response(png, content_type="image/png")


@blueprint.get(f"{_API}/projects")
def projects(_: str) -> Response:
    """Answer with one page of the projects on which the person has *permission*, by a part of the *name*."""
    name = request.args.get("name", "").casefold()
    found = [project for project in _permitted("PROJECT") if name in project.name.casefold()]
    return _page_of([_project_json(project) for project in found])


@blueprint.get(f"{_API}/repos")
def repositories(_: str) -> Response:
    """Answer with one page of the repositories on which the person has *permission*."""
    name, project_name = (request.args.get(key, "").casefold() for key in ("name", "projectname"))
    found = [project for project in _permitted("REPO") if project_name in project.name.casefold()]
    return _page_of(
        [_repository_json(project, slug) for project in found for slug in project.repositories if name in slug]
    )


@blueprint.get(f"{_API}/projects/<key>/repos")
def repositories_of_project(_: str, key: str) -> Response:
    """Answer with one page of a project's repositories."""
    project = _visible_project(key)
    return _page_of([_repository_json(project, slug) for slug in project.repositories])


@blueprint.get(f"{_API}/projects/<key>")
def one_project(_: str, key: str) -> Response:
    """Answer with the project with this key, if the person can see it."""
    return jsonify(_project_json(_visible_project(key)))


@blueprint.get(f"{_API}/projects/<key>/repos/<slug>")
def one_repository(_: str, key: str, slug: str) -> Response:
    """Answer with the repository with this slug, if the person can see its project."""
    project = _visible_project(key)
    if slug.lower() not in project.repositories:
        return json_error(404, f"Repository {key}/{slug} does not exist.", "repository.NoSuchRepositoryException")
    return jsonify(_repository_json(project, slug.lower()))


@blueprint.route("/rest/", defaults={"_": ""})
@blueprint.route("/rest/<path:_>")
def nothing_else(_: str) -> Response:
    """Refuse requests for resources that the sandbox does not have."""
    return json_error(404, "The sandbox has no such resource.", "NoSuchResourceException")


def _page_of(values: list[dict[str, Any]]) -> Response:
    """Return the page of *values* that the request's ``start`` and ``limit`` ask for, or 400."""
    try:
        start, limit = int(request.args.get("start", 0)), int(request.args.get("limit", 25))
    except ValueError:
        start, limit = -1, 0
    if start < 0 or limit < 1:
        return json_error(400, "start and limit must be whole numbers, from 0 and from 1.", "BadRequestException")
    limit = min(limit, MOST_VALUES)
    shown, is_last = values[start : start + limit], start + limit >= len(values)
    return jsonify(
        size=len(shown),
        limit=limit,
        isLastPage=is_last,
        values=shown,
        start=start,
        nextPageStart=None if is_last else start + limit,
    )


def _user_json(user: User) -> dict[str, Any]:
    page = f"/users/{quote(user.slug, safe='')}"
    answer: dict[str, Any] = {"name": user.name}
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


def _visible_project(key: str) -> Project:
    project = state().projects.find(key)
    if project is None:
        abort(json_error(404, f"Project {key} does not exist.", "project.NoSuchProjectException"))
    if _permission(project, "REPO") < Permission.SEE:
        abort(not_permitted())
    return project


def _permitted(kind: str) -> list[Project]:
    """Return the projects on which the person has the permission that the request asks for, such as REPO_ADMIN; without
    one, those that they can see."""
    named = {f"{kind}_{permission.name}": permission for permission in Permission if permission > Permission.SEE}
    wanted = request.args.get("permission")
    least = Permission.SEE if wanted is None else named.get(wanted)
    if least is None:
        abort(json_error(400, "There is no such permission.", "BadRequestException"))
    return [project for project in state().projects.all() if _permission(project, kind) >= least]


def _permission(project: Project, kind: str) -> Permission:
    """Return what the person may do with *project* (*kind* PROJECT) or its repositories (REPO), as far as the scopes of
    an OAuth 2 token reach."""
    permission = state().projects.permission(g.user, project)
    scopes = closure(g.get("scopes", ()))
    if not scopes:
        return permission
    if "REPO_READ" not in scopes:
        return Permission.SEE if project.public else Permission.NONE
    if f"{kind}_ADMIN" in scopes:
        return permission
    return min(permission, Permission.WRITE if "REPO_WRITE" in scopes else Permission.READ)


def _project_json(project: Project) -> dict[str, Any]:
    return {"key": project.key, "name": project.name, "public": project.public, "type": "NORMAL"}


def _repository_json(project: Project, slug: str) -> dict[str, Any]:
    return {"slug": slug, "name": slug, "public": project.public, "project": _project_json(project)}
