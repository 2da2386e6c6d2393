"""The part of Bitbucket's REST that says who somebody is, and what they can see; and ``whoami``."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING
from urllib.parse import quote

from flask import Blueprint, Response, g, jsonify, request
from werkzeug.wrappers import Response as AnyResponse

from ..context import message, signed_in, state
from ..oauth1.rules import signed_user
from ..pages.forms import log_in_page
from ..program_calls import empty, json_error, prepare
from ..state.avatars import avatar
from ..state.projects import Permission
from ..state.versions import version_numbers
from .authentication import report_refused_logins, user_by_bearer_token, user_by_password
from .paging import page_of

if TYPE_CHECKING:
    from ..state.projects import Project
    from ..state.users import User

blueprint = Blueprint("rest", __name__)
prepare(blueprint)
report_refused_logins(blueprint)


@blueprint.before_request
def find_out_who() -> None:
    """By the signature, or by a bearer token or password; in a browser, by the sign-in to the pages."""
    g.user = signed_user(message(), state()) or _bearer() or user_by_password(state()) or signed_in()


def _bearer() -> User | None:
    if not request.path.startswith("/rest/") and not state().whoami_takes_bearer_tokens:
        return None
    user, g.scopes = user_by_bearer_token(state())
    return user


@blueprint.after_request
def add_headers(response: Response) -> Response:
    """Name the user, and set a session cookie that nobody needs."""
    if "BITBUCKETSESSIONID" not in request.cookies:
        response.set_cookie("BITBUCKETSESSIONID", secrets.token_hex(16).upper(), path="/", httponly=True)
    user: User | None = g.get("user")
    if user is not None and not state().faults.user_headers_removed:
        response.headers["X-AUSERNAME"] = quote(user.name, safe="")
        response.headers["X-AUSERID"] = str(user.id)
    return response


@blueprint.get('/rest/api/<any("latest", "1.0"):_>/application-properties')
def application_properties(_: str) -> Response:
    """The server's version; anonymous people may ask."""
    major, minor, patch = version_numbers(state().version)
    return jsonify(
        version=state().version,
        buildNumber=f"{major}{minor:03}{patch:03}",
        buildDate="1672975062662",
        displayName="Bitbucket",
    )


@blueprint.get('/rest/api/<any("latest", "1.0"):_>/users')
def users(_: str) -> Response:
    """One page of the users that *filter* finds."""
    if g.user is None:
        return _not_permitted()
    found = state().users.search(request.args.get("filter", ""))
    group = request.args.get("group")
    if group is not None:
        if state().faults.groups_closed:
            return _not_permitted()
        members = state().projects.members(group) or ()
        found = [user for user in found if user.name in members]
    return page_of(found, _user_json)


@blueprint.get('/rest/api/<any("latest", "1.0"):_>/users/<slug>')
def one_user(_: str, slug: str) -> Response:
    """The user with this slug."""
    if g.user is None:
        return _not_permitted()
    user = state().users.by_slug(slug)
    if user is None:
        return json_error(404, f"User {slug} does not exist.", "user.NoSuchUserException")
    return jsonify(_user_json(user))


@blueprint.get('/rest/api/<any("latest", "1.0"):_>/projects')
def projects(_: str) -> Response:
    """One page of the projects on which the person has *permission*, by a part of the *name*."""
    found = _permitted("PROJECT")
    if found is None:
        return _unknown_permission()
    name = request.args.get("name", "").casefold()
    return page_of([project for project in found if name in project.name.casefold()], _project_json)


@blueprint.get('/rest/api/<any("latest", "1.0"):_>/repos')
def repositories(_: str) -> Response:
    """One page of the repositories on which the person has *permission*, by parts of *projectname* and *name*."""
    found = _permitted("REPO")
    if found is None:
        return _unknown_permission()
    name, project_name = (request.args.get(key, "").casefold() for key in ("name", "projectname"))
    pairs = [(project, slug) for project in found for slug in project.repositories]
    pairs = [(project, slug) for project, slug in pairs if name in slug and project_name in project.name.casefold()]
    return page_of(pairs, lambda pair: _repository_json(*pair))


@blueprint.get('/rest/api/<any("latest", "1.0"):_>/projects/<key>/repos')
def repositories_of_project(_: str, key: str) -> Response:
    """One page of a project's repositories."""
    project, refusal = _visible_project(key)
    if project is None:
        return refusal
    return page_of(project.repositories, lambda slug: _repository_json(project, slug))


@blueprint.get('/rest/api/<any("latest", "1.0"):_>/projects/<key>')
def one_project(_: str, key: str) -> Response:
    """The project with this key, for whoever can see it."""
    project, refusal = _visible_project(key)
    return refusal if project is None else jsonify(_project_json(project))


@blueprint.get('/rest/api/<any("latest", "1.0"):_>/projects/<key>/repos/<slug>')
def one_repository(_: str, key: str, slug: str) -> Response:
    """The repository with this slug, for whoever can see its project."""
    project, refusal = _visible_project(key)
    if project is None:
        return refusal
    if slug.lower() not in project.repositories:
        return json_error(404, f"Repository {key}/{slug} does not exist.", "repository.NoSuchRepositoryException")
    return jsonify(_repository_json(project, slug.lower()))


@blueprint.route("/rest/", defaults={"_": ""})
@blueprint.route("/rest/<path:_>")
def nothing_else(_: str) -> Response:
    """Refuse requests for resources that the sandbox does not have."""
    return json_error(404, "The sandbox has no such resource.", "NoSuchResourceException")


@blueprint.get("/plugins/servlet/applinks/whoami")
def whoami() -> AnyResponse:
    """The user's name as text; empty for anonymous people."""
    if g.user is None and request.headers.get("Authorization", "").lower().startswith("bearer "):
        return log_in_page()
    if state().faults.whoami_closed:
        return empty(401)
    return Response(g.user.name if g.user else "", content_type="text/plain")


@blueprint.get("/users/<slug>/avatar.png")
def picture(slug: str) -> Response:
    """A plain square in a colour of the user's own."""
    user = state().users.by_slug(slug)
    if user is None:
        return Response(status=404)
    return Response(avatar(user.id, request.args.get("s", 48, type=int)), content_type="image/png")


def _visible_project(key: str) -> tuple[Project | None, Response]:
    """The project, or why it is not shown."""
    project = state().projects.find(key)
    if project is None:
        return None, json_error(404, f"Project {key} does not exist.", "project.NoSuchProjectException")
    if state().projects.permission(g.user, project, public_only=_public_only()) < Permission.READ:
        return None, _not_permitted()
    return project, Response()


def _permitted(kind: str) -> list[Project] | None:
    """Return the projects on which the person has the permission that the request asks for, such as REPO_ADMIN.

    ``None`` if there is no such permission.
    """
    wanted = request.args.get("permission", f"{kind}_READ")
    if wanted not in {f"{kind}_{permission.name}" for permission in Permission if permission}:
        return None
    least = Permission[wanted.removeprefix(f"{kind}_")]
    known, public_only = state().projects, _public_only()
    return [project for project in known.all() if known.permission(g.user, project, public_only=public_only) >= least]


def _public_only() -> bool:
    scopes: tuple[str, ...] = g.get("scopes", ())
    return scopes == ("PUBLIC_REPOS",)


def _unknown_permission() -> Response:
    return json_error(400, "There is no such permission.", "BadRequestException")


def _project_json(project: Project) -> dict[str, object]:
    return {"key": project.key, "name": project.name, "public": project.public, "type": "NORMAL"}


def _repository_json(project: Project, slug: str) -> dict[str, object]:
    return {"slug": slug, "name": slug, "public": project.public, "project": _project_json(project)}


def _not_permitted() -> Response:
    return json_error(401, "You are not permitted to access this resource", "AuthorisationException")


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
