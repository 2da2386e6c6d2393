"""A Django project with many organizations as the rows want it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from tests.frameworks.django import project

project.set_up()

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.db import IntegrityError, connection
from django.db.models.signals import post_save
from django.test import RequestFactory, override_settings
from social_core.strategy import BaseStrategy
from social_django.models import Nonce, UserSocialAuth
from social_django.utils import Storage

from social_bitbucket_server.backends import BitbucketServerOAuth1
from social_bitbucket_server.crypto import KeyRing
from social_bitbucket_server.django import errors, integrations, key_rotation, middleware, sealed_keys, views
from social_bitbucket_server.django.checks import check_settings
from social_bitbucket_server.django.models import ApplicationLink, Event, Integration, KeyPair
from social_bitbucket_server.django.strategy import DjangoStrategy
from social_bitbucket_server.integration import integration as library
from social_bitbucket_server.organizations import EventCode, SealedKeys
from social_bitbucket_server.problems import BitbucketServerError
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
    writes_down_unopenable_keys: ClassVar[bool] = True
    hides_requests: ClassVar[bool] = True
    strategy: ClassVar[type[BaseStrategy[Any]]] = DjangoStrategy
    opens_keys: ClassVar[tuple[Any, str]] = (SealedKeys, "open_private_key")

    def make_place(self, slug: str, server: FakeBitbucket) -> DjangoPlace:
        record = Integration(name=f"Organization {slug.upper()}", slug=slug, base_url=server.url)
        record.full_clean()
        integrations.create(record)
        return DjangoPlace(slug, record.pk, record.namespace, server)

    def change_integration(self, place: Place, **fields: Any) -> None:
        consumer_key = fields.pop("consumer_key", None)
        if consumer_key is not None:
            link = ApplicationLink.objects.create(
                consumer_key=consumer_key, integration_id=place.integration_id, number=2
            )
            KeyPair.objects.filter(integration_id=place.integration_id).update(link=link)
        if fields:
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

    def enter(self, base_url: str, ca_certificates: str = "") -> bool:
        record = Integration(name="New", slug="new", base_url=base_url, ca_certificates=ca_certificates)
        try:
            record.full_clean()
        except ValidationError as error:
            if {"base_url", "ca_certificates"}.isdisjoint(error.message_dict):
                raise
            return False
        integrations.create(record)
        return True

    def allow_plain_http(self, host: str) -> None:
        self._set(HTTP_HOSTS=[host])

    def disable(self, user: Any) -> None:
        """Let a person in no more."""
        user.is_active = False
        user.save()

    def base_urls(self) -> list[str]:
        return list(Integration.objects.order_by("created_at").values_list("base_url", flat=True))

    def refusal(self, **settings: Any) -> str:
        # An address for tests is none of this application's.
        with override_settings(**{f"{OWN}TEST_ADDRESSES": []}, **settings):
            return "\n".join(found.msg for found in check_settings())

    def refusal_of_private_network(self, network: str) -> str:
        return self.refusal(**{f"{OWN}PRIVATE_NETWORKS": {"0" * 24: ["10.0.0.0/8", network]}})

    def wait_for_servers(self, seconds: float) -> None:
        self._set(REQUESTS_TIMEOUT=seconds)

    @property
    def identity_class(self) -> Any:
        return Storage.user

    def rotate(self, place: Place) -> None:
        """Make a key pair that waits."""
        key_rotation.begin(Integration.objects.get(pk=place.integration_id))

    def verify(self, place: Place) -> str:
        """Put the key pair that waits in use; returns the problem's code where Bitbucket does not let that be."""
        try:
            assert key_rotation.verify(Integration.objects.get(pk=place.integration_id))
        except BitbucketServerError as error:
            return error.code
        return ""

    def key_states(self, place: Place) -> list[tuple[str, str, bool]]:
        """State and public key of its key pairs, oldest first, and whether they have a private key."""
        pairs = KeyPair.objects.filter(integration_id=place.integration_id)
        return [(str(pair.state), pair.public_pem, bool(pair.sealed_private_key)) for pair in pairs]

    def refuses_twins(self, column: str) -> bool:
        """Whether the database itself keeps A's and B's integrations or key pairs from having the same *column*."""
        # A key pair is known by what its public key is known by.
        if column == "consumer_key":
            first_link, second_link = ApplicationLink.objects.all()
            try:
                ApplicationLink.objects.create(
                    consumer_key=first_link.consumer_key, integration_id=second_link.integration_id, number=2
                )
            except IntegrityError:
                return True
            return False
        model, field = (KeyPair, "fingerprint") if column == "public_key" else (Integration, column)
        first, second = model._default_manager.all()
        setattr(second, field, getattr(first, field))
        try:
            second.save()
        except IntegrityError:
            return True
        return False

    def allow_private_networks(self, **networks: str) -> None:
        ids = {place.slug: place.integration_id for place in (self.a, self.b)}
        self._set(PRIVATE_NETWORKS={ids[slug]: [network] for slug, network in networks.items()})

    def find(self, place: Place) -> library.Integration:
        found = integrations.find(place.integration_id)
        assert found is not None
        return found

    def backend(self, place: Place) -> BitbucketServerOAuth1[Any]:
        request = RequestFactory(SERVER_NAME=HOST).get(place.callback())
        request.session = SessionStore()
        strategy = DjangoStrategy(Storage, request, place.integration_id)
        return BitbucketServerOAuth1(strategy, place.callback())

    def holders(self, place: Place) -> tuple[Any, ...]:
        return Integration.objects.get(pk=place.integration_id), self._key_pair(place)

    @property
    def ring(self) -> str:
        return str(settings.SOCIAL_AUTH_BITBUCKET_SERVER_KEY_RING)

    def use_ring(self, ring: str) -> None:
        self._set(KEY_RING=ring)

    def rewrap(self) -> bool:
        try:
            # The command checks the settings, and an address for tests is none of this application's.
            with override_settings(**{f"{OWN}TEST_ADDRESSES": []}):
                call_command("bitbucket_server", "reseal-keys")
        except SystemExit:
            return False
        return True

    def sealed_keys(self) -> dict[str, str]:
        return dict(KeyPair.objects.values_list("integration_id", "sealed_private_key"))

    def sealed_for(self, place: Place) -> dict[str, str]:
        key_id = self._key_pair(place).pk
        return {"purpose": "integration-private-key:active", "integration_id": place.integration_id, "key_id": key_id}

    def change_states_by_hand(self, place: Place, **states: str) -> None:
        """Change the key pair in each named state to the given one, in the database alone."""
        for before, after in states.items():
            KeyPair.objects.filter(integration_id=place.integration_id, state=before).update(state=after)

    def seal_differently(self, place: Place, record: str) -> None:
        KeyPair.objects.filter(integration_id=place.integration_id).update(sealed_private_key=record)

    def forget_opened_keys(self) -> None:
        sealed_keys._sealed_with.cache_clear()

    def _key_pair(self, place: Place) -> KeyPair:
        return KeyPair.objects.get(integration_id=place.integration_id)

    def _set(self, **changed: Any) -> None:
        """Change settings until the world ends, whose own settings are put back then."""
        override_settings(**{f"{OWN}{name}": value for name, value in changed.items()}).enable()

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
    chosen = {
        "ALLOWED_HOSTS": [HOST],
        f"{OWN}CALLBACK_ORIGIN": ORIGIN,
        f"{OWN}KEY_RING": ring,
        f"{OWN}TEST_ADDRESSES": list(made_of.allowed),
        f"{OWN}VERIFY_SSL": made_of.bundle,
        # Test addresses of an application elsewhere, which logins are refused for.
        "SILENCED_SYSTEM_CHECKS": ["social_bitbucket_server.E010"],
    }
    with project.tables(), override_settings(**chosen):
        world = DjangoWorld(serving=Serving(WSGIHandler()), **made_of.world)
        world.canaries.values.add(ring.partition(":")[2])

        def tell(request: Any, error: Any, *arguments: Any) -> Any:
            world.audit.append(failure(error))
            return errors.show_error(request, error, *arguments)

        def write_down(instance: Event, **_: Any) -> None:
            if instance.what not in {EventCode.LOGIN_FAILURE, EventCode.LOGIN_MIXUP}:  # :func:`tell` says more
                about = {"user_id": instance.user_id, "integration_id": instance.integration_id}
                world.audit.append({"event": str(instance.what), **about})

        for module in (views, middleware):
            made_of.patch.setattr(module, "show_error", tell)
        post_save.connect(write_down, sender=Event)
        try:
            yield world
        finally:
            post_save.disconnect(write_down, sender=Event)
            connection.close()
