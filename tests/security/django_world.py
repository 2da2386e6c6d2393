"""A Django project with many organizations as the rows want it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from tests.frameworks.django import project

project.set_up()

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection
from django.db.models.signals import post_save
from django.test import override_settings
from social_django.models import Nonce, UserSocialAuth

from social_bitbucket_server.django import errors, integrations, middleware, views
from social_bitbucket_server.django.models import Event, Happening, Integration
from social_bitbucket_server.key_ring import KeyRing
from tests.security.failures import failure
from tests.security.world import HOST, ORIGIN, FakeBitbucket, Ingredients, Place, Serving, World

OWN = "SOCIAL_AUTH_BITBUCKET_SERVER_"


class DjangoPlace(Place):
    """An organization's integration with its login link."""

    @property
    def login_path(self) -> str:
        return f"/login/bitbucket-server/{self.slug}/"

    @property
    def begin_path(self) -> str:
        return self.login_path

    @property
    def account_path(self) -> str:
        return "/account/"

    @property
    def declined_path(self) -> str:
        return f"{self.login_path}?declined"


@dataclass(kw_only=True)
class DjangoWorld(World):
    """The project's database."""

    # Others are missing where Django itself answers that a session ended in another request meanwhile.
    security_headers: ClassVar[dict[str, str]] = {"X-Content-Type-Options": "nosniff"}
    tells_apart: ClassVar[frozenset[str]] = frozenset({"login.mixup"})

    def make_place(self, slug: str, server: FakeBitbucket) -> DjangoPlace:
        record = Integration(name=f"Organization {slug.upper()}", slug=slug, base_url=server.url)
        record.full_clean()
        integrations.create(record)
        return DjangoPlace(slug, record.pk, record.namespace, server)

    def change_integration(self, place: Place, **fields: Any) -> None:
        Integration.objects.filter(pk=place.integration_id).update(**fields)

    def take_away(self, place: Place, *, delete: bool) -> None:
        record = Integration.objects.get(pk=place.integration_id)
        if delete:
            integrations.delete(record)
        else:
            integrations.enable(record, enabled=False)

    def users(self) -> list[Any]:
        return list(get_user_model().objects.order_by("id"))

    def identities(self) -> dict[str, int]:
        return dict(UserSocialAuth.objects.values_list("uid", "user_id"))

    def counts(self) -> tuple[int, int, int]:
        people = [session for session in Session.objects.all() if "_auth_user_id" in session.get_decoded()]
        return get_user_model().objects.count(), UserSocialAuth.objects.count(), len(people)

    def transactions(self) -> int:
        return Nonce.objects.count()

    def everything_stored(self) -> str:
        models = [model for model in apps.get_models() if model is not Session]
        rows = [row for model in models for row in model._default_manager.values()]
        # Django finds a session by the cookie's value; what is in it counts.
        return "\n".join(map(str, [*rows, *(session.get_decoded() for session in Session.objects.all())]))


@contextlib.contextmanager
def start(made_of: Ingredients) -> Iterator[DjangoWorld]:
    """The project on a socket, with a database of its own."""
    ring = KeyRing.generate()
    made_of.patch.setattr(integrations, "make_private_key", made_of.make_private_key)
    settings = {
        "ALLOWED_HOSTS": [HOST],
        f"{OWN}CALLBACK_ORIGIN": ORIGIN,
        f"{OWN}KEY_RING": ring,
        f"{OWN}TEST_ADDRESSES": list(made_of.allowed),
        f"{OWN}VERIFY_SSL": made_of.bundle,
    }
    with project.tables(), override_settings(**settings):
        world = DjangoWorld(serving=Serving(WSGIHandler()), **made_of.world)
        world.canaries.values.add(ring.partition(":")[2])

        def tell(request: Any, error: Any, *arguments: Any) -> Any:
            world.audit.append(failure(error))
            return errors.show_error(request, error, *arguments)

        def write_down(instance: Event, **_: Any) -> None:
            if instance.what not in {Happening.LOGIN_FAILURE, Happening.LOGIN_MIXUP}:  # :func:`tell` says more
                world.audit.append({"event": str(instance.what), "user_id": instance.user_id})

        for module in (views, middleware):
            made_of.patch.setattr(module, "show_error", tell)
        post_save.connect(write_down, sender=Event)
        try:
            yield world
        finally:
            post_save.disconnect(write_down, sender=Event)
            connection.close()
