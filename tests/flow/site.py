"""The tests' application, and what its visitors do with a sandbox."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask

from social_bitbucket_server.sandbox import Sandbox
from tests.flask_app import database
from tests.visitor import InProcess, Page, Visitor

on_every_database = pytest.mark.parametrize(
    "database_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)


@dataclass
class Site:
    """The application, answering within this process."""

    app: Flask
    origin: str

    def visitor(self) -> Visitor:
        return Visitor(InProcess(self.app))

    def rows(self, *columns: Any) -> list[tuple[Any, ...]]:
        with self.app.app_context():
            return [tuple(row) for row in database.session.query(*columns).order_by(*columns)]


def connect(owner: Visitor, slug: str, sandbox: Sandbox, name: str = "Bitbucket") -> str:
    """Add an integration, and enter its worksheet's values in the sandbox; returns the integration's page."""
    path = owner.add_integration(slug, sandbox.url, name)
    page = owner.worksheet(path)
    sandbox.link(
        name=page.value_of("Application Name"),
        application_url=page.value_of("Application URL"),
        consumer_key=page.value_of("Consumer Key"),
        public_key=page.value_of("Public Key"),
    )
    return path


def log_in(visitor: Visitor, integration: str, sandbox: Sandbox, user: str = "jane", **fields: str) -> Page:
    """The whole way through Bitbucket and back; returns the callback's answer."""
    return visitor.get(sandbox.authorize(visitor.begin(integration, **fields).location, user=user))
