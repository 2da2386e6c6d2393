"""Changes by an organization's admin while a login is under way, in the way of each application."""

from __future__ import annotations

import dataclasses
import importlib
from abc import ABC, abstractmethod
from typing import Any

from social_bitbucket_server.crypto import new_consumer_key
from social_bitbucket_server.integration import NO_ROLES, Admission
from tests.security.world import Place, World


class Changes(ABC):
    """The changes that every application with integrations has."""

    def __init__(self, world: Any) -> None:
        self.world = world

    @abstractmethod
    def correct(self, place: Place, base_url: str, *, same_server: bool = False) -> Place:
        """Enter the *base_url* of another server, or of the *same_server*; returns the place as it is afterwards."""

    @abstractmethod
    def disable_and_enable(self, place: Place) -> None:
        """Disable the integration, and enable it at once."""

    @abstractmethod
    def admit(self, place: Place, project: str) -> None:
        """Let those log in who can see this *project*, and nobody else."""

    @abstractmethod
    def rotate(self, place: Place) -> None:
        """Put a new key pair in use, which Bitbucket has already."""

    def trust(self, place: Place, ca_certificates: str) -> None:
        """Enter other CA certificates."""
        self.world.change_integration(place, ca_certificates=ca_certificates)


class OrganizationsChanges(Changes):
    """On the owner's pages."""

    def correct(self, place: Any, base_url: str, *, same_server: bool = False) -> Place:
        from tests.flask_app.models import models

        assert not same_server, "a trial login decides on that"
        name = f"Bitbucket {place.slug.upper()}"
        form = {"name": name, "base_url": base_url, "server": "another"}
        owner = self.world.stranger()
        owner.log_owner_in(place)
        path = f"{place.settings_path}/edit"
        page = owner.post(path, form, token_from=path)
        assert page.status == 303, page.text
        record = self._read(models.integration, place.integration_id)
        assert record.base_url == base_url
        return _moved(self.world, place, base_url, record.namespace)

    def disable_and_enable(self, place: Place) -> None:
        from social_bitbucket_server.flask.organizations.current import store
        from tests.flask_app import database
        from tests.flask_app.models import models

        for enabled in (False, True):
            with self.world.context():
                record = database.session.get_one(models.integration, place.integration_id)
                store.integrations.set_enabled(record, enabled=enabled)

    def admit(self, place: Place, project: str) -> None:
        from social_bitbucket_server.flask.organizations.current import store
        from tests.flask_app import database
        from tests.flask_app.models import models

        with self.world.context():
            record = database.session.get_one(models.integration, place.integration_id)
            store.integrations.change_admission(record, Admission(projects=(project,)), NO_ROLES)

    def rotate(self, place: Place) -> None:
        self.world.rotate(place)
        assert self.world.verify(place) == ""

    def close_link(self, place: Any) -> None:
        """Close the organization's login link."""
        self._with_organization(place, "close_link")

    def close_and_open_link(self, place: Any) -> None:
        """Close it, and open it again."""
        self._with_organization(place, "close_link", "open_link")

    def replace_link(self, place: Any) -> None:
        """Make a new login link in its place."""
        self._with_organization(place, "replace_link")

    def enforce_another(self, place: Any) -> None:
        """Make another integration of the organization its only way in."""
        from social_bitbucket_server.flask.organizations.current import store
        from tests.flask_app import database
        from tests.flask_app.models import models

        other = self.world.another_integration(place, self.world.fa)
        with self.world.context():
            store.ways_in.enforce(database.session.get_one(models.integration, other.integration_id))

    def enforce_another_and_lift(self, place: Any) -> None:
        """Make another integration of the organization its only way in, and open all ways again."""
        self.enforce_another(place)
        self._with_organization(place, "lift")

    def disable_and_enable_organization(self, place: Any) -> None:
        """The operator disables the organization, and enables it again."""
        for verb in ("disable", "enable"):
            assert self.world.command("organizations", verb, place.slug).exit_code == 0

    def _with_organization(self, place: Any, *changes: str) -> None:
        from social_bitbucket_server.flask.organizations.current import store
        from tests.flask_app import database
        from tests.flask_app.models import Organization

        for change in changes:
            with self.world.context():
                getattr(store.ways_in, change)(database.session.get_one(Organization, place.organization_id))

    def _read(self, model: Any, key: Any) -> Any:
        from tests.flask_app import database

        with self.world.context():
            record = database.session.get_one(model, key)
            database.session.expunge_all()
            return record


class DjangoChanges(Changes):
    """By what the administration calls."""

    def correct(self, place: Place, base_url: str, *, same_server: bool = False) -> Place:
        from social_bitbucket_server.django import integrations

        record = self._record(place)
        record.base_url = base_url
        record.full_clean()
        (integrations.move if same_server else integrations.change)(record)
        return _moved(self.world, place, base_url, self._record(place).namespace)

    def disable_and_enable(self, place: Place) -> None:
        from social_bitbucket_server.django import integrations

        for enabled in (False, True):
            integrations.enable(self._record(place), enabled=enabled)

    def admit(self, place: Place, project: str) -> None:
        from social_bitbucket_server.django import integrations

        record = self._record(place)
        record.allow_projects = [project]
        record.full_clean()
        integrations.change(record)

    def rotate(self, place: Place) -> None:
        self.world.rotate(place)
        assert self.world.verify(place) == ""

    def close_link(self, place: Place) -> None:
        """Close the integration's login link."""
        self._change_ways(place, "close_link")

    def close_and_open_link(self, place: Place) -> None:
        """Close it, and open it again."""
        self._change_ways(place, "close_link", "open_link")

    def replace_link(self, place: Place) -> None:
        """Make a new login link in its place."""
        self._change_ways(place, "replace_link")

    def enforce_another(self, place: Place) -> None:
        """Make another integration of the organization its only way in."""
        from social_bitbucket_server.django import login_ways
        from social_bitbucket_server.django.models import Integration

        Integration.objects.update(organization="one")
        login_ways.enforce(Integration.objects.exclude(pk=place.integration_id).get())

    def enforce_another_and_lift(self, place: Place) -> None:
        """Make another integration of the organization its only way in, and open all ways again."""
        self.enforce_another(place)
        self._change_ways(place, "lift")

    def _change_ways(self, place: Place, *changes: str) -> None:
        from social_bitbucket_server.django import login_ways

        for change in changes:
            getattr(login_ways, change)(self._record(place))

    def _record(self, place: Place) -> Any:
        from social_bitbucket_server.django.models import Integration

        return Integration.objects.get(pk=place.integration_id)


class StorageChanges(Changes):
    """As docs/many-organizations.md asks applications to do it."""

    def correct(self, place: Place, base_url: str, *, same_server: bool = False) -> Place:
        namespace = place.namespace if same_server else new_consumer_key()
        self.world.change_integration(place, base_url=base_url, namespace=namespace)
        return _moved(self.world, place, base_url, namespace)

    def disable_and_enable(self, place: Place) -> None:
        fields = self.world.integrations.rows[place.integration_id].fields
        fields["revision"] = fields.get("revision", "") + "x"

    def admit(self, place: Place, project: str) -> None:
        self.world.change_integration(place, admission=Admission(projects=(project,)))

    def rotate(self, place: Place) -> None:
        rows = self.world.integrations.rows
        fields = rows[place.integration_id].fields
        self.world.integrations.add(self.world.made_of.make_private_key(), **fields)


def changes_of(world: World) -> Any:
    """Return the changes in the way of the application that *world* is made with."""
    module = importlib.import_module(type(world).__module__)
    kinds = {"organizations_world": OrganizationsChanges, "django_world": DjangoChanges}
    return kinds.get(module.__name__.rpartition(".")[2], StorageChanges)(world)


def _moved(world: World, place: Place, base_url: str, namespace: str) -> Place:
    (server,) = [server for server in (world.fa, world.fb) if server.url == base_url]
    return dataclasses.replace(place, server=server, namespace=namespace)
