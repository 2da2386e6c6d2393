"""The part of Bitbucket's REST about projects and their repositories."""

from __future__ import annotations

from flask import Blueprint, Response, g, jsonify, request

from ..context import state
from ..program_calls import json_error
from ..state.external_applications import closure
from ..state.projects import Permission, Project
from .caller import identify_caller, not_permitted
from .paging import page_of

blueprint = Blueprint("rest_projects", __name__)
identify_caller(blueprint)


@blueprint.get('/rest/api/<any("latest", "1.0"):_>/projects')
def projects(_: str) -> Response:
    """Answer with one page of the projects on which the person has *permission*, by a part of the *name*."""
    found = _permitted("PROJECT")
    if found is None:
        return _unknown_permission()
    name = request.args.get("name", "").casefold()
    return page_of([project for project in found if name in project.name.casefold()], _project_json)


@blueprint.get('/rest/api/<any("latest", "1.0"):_>/repos')
def repositories(_: str) -> Response:
    """Answer with one page of the repositories on which the person has *permission*."""
    found = _permitted("REPO")
    if found is None:
        return _unknown_permission()
    name, project_name = (request.args.get(key, "").casefold() for key in ("name", "projectname"))
    pairs = [(project, slug) for project in found for slug in project.repositories]
    pairs = [(project, slug) for project, slug in pairs if name in slug and project_name in project.name.casefold()]
    return page_of(pairs, lambda pair: _repository_json(*pair))


@blueprint.get('/rest/api/<any("latest", "1.0"):_>/projects/<key>/repos')
def repositories_of_project(_: str, key: str) -> Response:
    """Answer with one page of a project's repositories."""
    project, refusal = _visible_project(key)
    if project is None:
        return refusal
    return page_of(project.repositories, lambda slug: _repository_json(project, slug))


@blueprint.get('/rest/api/<any("latest", "1.0"):_>/projects/<key>')
def one_project(_: str, key: str) -> Response:
    """Answer with the project with this key, if the person can see it."""
    project, refusal = _visible_project(key)
    return refusal if project is None else jsonify(_project_json(project))


@blueprint.get('/rest/api/<any("latest", "1.0"):_>/projects/<key>/repos/<slug>')
def one_repository(_: str, key: str, slug: str) -> Response:
    """Answer with the repository with this slug, if the person can see its project."""
    project, refusal = _visible_project(key)
    if project is None:
        return refusal
    if slug.lower() not in project.repositories:
        return json_error(404, f"Repository {key}/{slug} does not exist.", "repository.NoSuchRepositoryException")
    return jsonify(_repository_json(project, slug.lower()))


def _visible_project(key: str) -> tuple[Project | None, Response]:
    """Return the project, or ``None`` and the refusal."""
    project = state().projects.find(key)
    if project is None:
        return None, json_error(404, f"Project {key} does not exist.", "project.NoSuchProjectException")
    if _permission(project, "REPO") < Permission.SEE:
        return None, not_permitted()
    return project, Response()


def _permitted(kind: str) -> list[Project] | None:
    """Return the projects on which the person has the permission that the request asks for, such as REPO_ADMIN; without
    one, those that they can see.

    ``None`` if there is no such permission.
    """
    named = {f"{kind}_{permission.name}": permission for permission in Permission if permission > Permission.SEE}
    wanted = request.args.get("permission")
    least = Permission.SEE if wanted is None else named.get(wanted)
    if least is None:
        return None
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


def _unknown_permission() -> Response:
    return json_error(400, "There is no such permission.", "BadRequestException")


def _project_json(project: Project) -> dict[str, object]:
    return {"key": project.key, "name": project.name, "public": project.public, "type": "NORMAL"}


def _repository_json(project: Project, slug: str) -> dict[str, object]:
    return {"slug": slug, "name": slug, "public": project.public, "project": _project_json(project)}
