"""One Django for the process, with a database that is emptied after each test; organizations; and their people."""

from __future__ import annotations

from tests.frameworks.django import project

project.set_up()

import re
from urllib.parse import urlsplit

import pytest
from django.contrib.auth import get_user_model
from django.test import Client, override_settings

from social_bitbucket_server.django import errors, integrations
from social_bitbucket_server.django.models import Event, Integration, KeyPair
from social_bitbucket_server.organizations import News
from social_bitbucket_server.sandbox import Consumer, Sandbox

PASSWORD = "correct horse battery staple"


@pytest.fixture(autouse=True)
def database():
    with project.tables():
        yield


@pytest.fixture(autouse=True)
def news(monkeypatch):
    monkeypatch.setattr(errors, "news", News())


@pytest.fixture(autouse=True)
def keys(spare_keys, monkeypatch):
    """The key pairs that integrations get, one after the other."""
    keys = [spare_keys.take() for _ in range(6)]
    left = iter(keys)
    monkeypatch.setattr(integrations, "make_private_key", lambda: next(left))
    return keys


@pytest.fixture
def other_sandbox():
    with Sandbox() as sandbox:
        yield sandbox


def make_integration(slug, sandbox, **fields):
    record = Integration(name=slug.title(), slug=slug, base_url=sandbox.url, **fields)
    record.full_clean()
    integrations.create(record)
    link(record, sandbox)
    return record


def link(record, sandbox):
    sandbox.link(
        consumer_key=record.consumer_key,
        public_key=record.active_key_pair.public_pem,
        application_url=integrations.login_link(record),
    )


def paste_public_key(sandbox, record, pem):
    """Enter the new public key *pem* in Bitbucket, as its admin does."""
    (link,) = [link for link in sandbox.links.all() if link.consumer and link.consumer.key == record.consumer_key]
    sandbox.links.set_consumer(link.id, Consumer(record.consumer_key, record.name, pem))


def use_another_link(record):
    """As if Bitbucket had forgotten its consumer key."""
    KeyPair.objects.filter(integration=record).update(link=integrations.add_link(record))


@pytest.fixture
def acme(bitbucket_sandbox):
    return make_integration("acme", bitbucket_sandbox)


@pytest.fixture
def globex(other_sandbox):
    return make_integration("globex", other_sandbox)


class Visitor:
    """One person's browser."""

    def __init__(self, **headers):
        self.client = Client(enforce_csrf_checks=True, headers=headers)

    def open(self, address):
        parts = urlsplit(address)
        return self.client.get(parts.path + (f"?{parts.query}" if parts.query else ""))

    def post(self, address, form_at=None, **fields):
        """Send a form with the token of the page *form_at*, by default at the same address."""
        page = self.open(form_at or address).content.decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
        return self.client.post(address, {"csrfmiddlewaretoken": token, **fields})

    def begin(self, record, **fields):
        return self.post(login_page(record), **fields)

    def log_in(self, record, sandbox, user="jane", **fields):
        begun = self.begin(record, **fields)
        assert begun.status_code == 303, begun.content.decode()
        return self.open(sandbox.authorize(begun["Location"], user=user))

    @property
    def name(self):
        return self.open("/").content.decode().removeprefix("Hello ")


@pytest.fixture
def visitor():
    return Visitor()


@pytest.fixture
def staff():
    """An administrator's browser."""
    get_user_model().objects.create_superuser("root", "root@app.example", PASSWORD)
    visitor = Visitor()
    assert visitor.client.login(username="root", password=PASSWORD)
    return visitor


def login_page(record):
    return f"/login/bitbucket-server/{record.slug}/"


def newest_event():
    return Event.objects.latest("id")


def happenings():
    return list(Event.objects.order_by("id").values_list("what", flat=True))


@pytest.fixture
def both():
    """A project whose integrations may be for either OAuth."""
    with override_settings(
        AUTHENTICATION_BACKENDS=[
            "social_bitbucket_server.backends.BitbucketServerOAuth1",
            "social_bitbucket_server.backends.BitbucketServerOAuth2",
            "django.contrib.auth.backends.ModelBackend",
        ],
        SOCIAL_AUTH_BITBUCKET_SERVER_OAUTH2_INTEGRATIONS="social_bitbucket_server.django.integrations.find_oauth2",
        SOCIAL_AUTH_BITBUCKET_SERVER_OAUTH2_CALLBACK_ORIGIN="http://127.0.0.1:8000",
    ):
        yield


@pytest.fixture
def single(bitbucket_sandbox, keys):
    """One server, by settings."""
    bitbucket_sandbox.link(consumer_key="packages", public_key=keys[0].public.pem)
    with override_settings(
        ROOT_URLCONF="tests.frameworks.django.single_urls",
        SOCIAL_AUTH_BITBUCKET_SERVER_INTEGRATIONS=None,
        SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN=None,
        SOCIAL_AUTH_BITBUCKET_SERVER_TEST_ADDRESSES=[],
        SOCIAL_AUTH_BITBUCKET_SERVER_URL=bitbucket_sandbox.url,
        SOCIAL_AUTH_BITBUCKET_SERVER_KEY="packages",
        SOCIAL_AUTH_BITBUCKET_SERVER_PRIVATE_KEY=keys[0].pem(),
    ):
        yield bitbucket_sandbox
