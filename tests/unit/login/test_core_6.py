"""Tests of this package's own part where social-auth-core 6.1 is installed; ``make test-lowest`` logs in with it."""

from types import SimpleNamespace

import pytest
from social_core.exceptions import AuthConfigurationError
from social_core.storage import NonceMixin

from social_bitbucket_server.login.core_6 import nonces_of
from social_bitbucket_server.login.pending import PendingLogins


class Rows(set):
    """The rows of a table, and the least of Django's manager and query set over them."""

    def filter(self, **values):
        found = Rows(row for row in self if values.items() <= dict(row).items())
        found.table = self
        return found

    def first(self):
        return next(iter(self), None)

    def delete(self):
        self.table -= self
        return len(self), {}


class NoncesOfDjango(NonceMixin):
    """Nonces of social-auth-app-django 7.1: they have no ``consume``, and ``get`` raises."""

    objects = Rows()

    @classmethod
    def use(cls, server_url, timestamp, salt):
        row = frozenset({"server_url": server_url, "timestamp": timestamp, "salt": salt}.items())
        is_new = row not in cls.objects
        cls.objects.add(row)
        return is_new

    @classmethod
    def get(cls, server_url, salt):
        raise LookupError


class OtherNonces:
    """Nonces of a storage for core 6.1 that is neither Django's nor ours."""

    @classmethod
    def use(cls, server_url, timestamp, salt):
        return True


def test_a_nonce_is_consumed_once():
    nonces = nonces_of(SimpleNamespace(nonce=NoncesOfDjango))
    assert nonces.get("scope", "salt") is None
    assert nonces.use("scope", 600, "salt")
    assert not nonces.use("scope", 600, "salt")
    assert nonces.get("scope", "salt") is not None
    assert not nonces.consume("scope", 1200, "salt")
    assert nonces.consume("scope", 600, "salt")
    assert not nonces.consume("scope", 600, "salt")


def test_nonces_that_can_be_consumed_are_taken_as_they_are():
    complete = SimpleNamespace(consume=print)
    assert nonces_of(SimpleNamespace(nonce=complete)) is complete


def test_a_storage_whose_nonces_cannot_be_consumed_begins_no_login():
    strategy = SimpleNamespace(storage=SimpleNamespace(nonce=OtherNonces))
    with pytest.raises(AuthConfigurationError) as caught:
        PendingLogins(strategy).begin("token", "default", "00")
    assert caught.value.parameter == "storage"
