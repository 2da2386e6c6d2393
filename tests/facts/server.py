"""The Bitbucket that the facts are tried on: the sandbox, or a server whose administrator runs the suite."""

from __future__ import annotations

import os
import secrets
from contextlib import closing, contextmanager
from functools import cached_property
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from social_bitbucket_server.sandbox import Sandbox
from social_bitbucket_server.sandbox.state.versions import version_numbers
from tests.unit.sandbox.calling import ACCESS_TOKEN, CALLBACK, PROPERTIES, REQUEST_TOKEN, Caller, answer, send

from .person import Person

LINKS = "/rest/applinks/3.0/applicationlink"
CONSUMER = "/rest/applinks-oauth/1.0/applicationlink/{}/authentication/consumer"
REDIRECT_URL = "https://facts.example/complete/"


class Bitbucket:
    """A server with an application link for the suite. *sandbox* is ``None`` for a real one.

    *client*: client ID, client secret and Redirect URL of an External application, or ``None``.
    """

    def __init__(self, url, public_pem, private_pem, *, name, password, token="", client=None, sandbox=None):
        self.url, self.sandbox, self.client = url.rstrip("/"), sandbox, client
        self._name, self._password, self._token = name, password, token
        self._public_pem, self._private_pem = public_pem, private_pem
        self.bits = load_pem_private_key(private_pem.encode(), None).key_size
        self._made = []
        found = send("GET", self.url + PROPERTIES).json()
        self.version = version_numbers(".".join(str(found["version"]).split(".")[:3]))
        self.person = Person(self.url, name, password)
        self.name = name

    def close(self):
        """Remove the links that were made, and let the person go."""
        self.person.close()
        for link_id in self._made:
            self.rest("DELETE", f"{LINKS}/{link_id}")
        self._made.clear()

    def only_in_the_sandbox(self, why):
        """Skip the test on a real server."""
        if self.sandbox is None:
            pytest.skip(f"Not tried on a real server: {why}.")
        return self.sandbox

    def let_pass(self, seconds):
        """Let tokens grow *seconds* older. Skip the test on a real server."""
        self.only_in_the_sandbox("its clock cannot be moved").clock.advance(seconds)
        self.__dict__.pop("signed_in", None)

    def rest(self, method, path, document=None, **headers):
        """Call REST as the administrator."""
        token = self._admin_token()
        given = {"Accept": "application/json", **headers}
        if token:
            given["Authorization"] = f"Bearer {token}"
        auth = None if token else (self._name, self._password)
        return send(method, self.url + path, json=document, headers=given, auth=auth)

    def make_link(self, **changes):
        """Make an application link without a consumer; return the answer and the id of the link."""
        tag = secrets.token_hex(8)
        url = f"https://facts-{tag}.example"
        fields = {"id": None, "name": f"facts {tag}", "rpcUrl": url, "displayUrl": url, "typeId": "generic"}
        made = self.rest("PUT", LINKS, fields | changes)
        if made.status_code in {401, 403}:
            pytest.skip(f"The server does not let this administrator make application links ({made.status_code}).")
        link_id = ""
        if made.status_code == 201:
            link_id = _created(made.json())
            self._made.append(link_id)
        return made, link_id

    def forget(self, link_id):
        """Do not remove the link at the end, because the test has done so."""
        self._made.remove(link_id)

    def set_consumer(self, link_id, key, public_key=None):
        """Fill in the incoming authentication of a link."""
        fields = {
            "key": key,
            "name": key,
            "description": "",
            "publicKey": public_key or self._public_pem,
            "sharedSecret": None,
            "outgoing": False,
            "twoLOAllowed": False,
            "executingTwoLOUser": None,
            "twoLOImpersonationAllowed": None,
        }
        return self.rest("PUT", CONSUMER.format(link_id), fields)

    def caller(self):
        """Return a program with an application link of its own."""
        _, link_id = self.make_link()
        key = f"facts-{secrets.token_hex(8)}"
        assert self.set_consumer(link_id, key).status_code == 201
        return FactCaller(self.url, key, self._private_pem, self)

    @cached_property
    def linked(self):
        """A program with an application link, for tests that change nothing about it."""
        return self.caller()

    @cached_property
    def signed_in(self):
        """The answer with an access token of that program."""
        return self.linked.session()

    def _admin_token(self):
        """Return a bearer token with the admin permission: a new one of the sandbox's, which may have grown old."""
        if self.sandbox is None or self.client is None:
            return self._token
        grants = self.sandbox._state.grants
        grant = grants.grant(self.client[0], ("SYSTEM_ADMIN",), 1, self.sandbox.clock.now(), "")
        return grant.access_token


class FactCaller(Caller):
    """Signs with Authlib; a person allows what it asks for."""

    def __init__(self, url, key, private_key, bitbucket):
        super().__init__(url, key, private_key)
        object.__setattr__(self, "bitbucket", bitbucket)

    def begun(self, **changes):
        """Return a request token."""
        return answer(self.call("POST", REQUEST_TOKEN, **{"oauth_callback": CALLBACK} | changes))

    def back(self, token, *, allow=True):
        """Return the parameters of the callback."""
        address = self.bitbucket.person.callback(self.authorize_url(token), allow=allow)
        return dict(parse_qsl(urlsplit(address).query))

    def exchange(self, token, **changes):
        """Ask for an access token."""
        return self.call("POST", ACCESS_TOKEN, token=token, **changes)

    def session(self):
        """Return the whole answer with an access token."""
        token = self.begun()["oauth_token"]
        return answer(self.exchange(token, oauth_verifier=self.back(token)["oauth_verifier"]))


@contextmanager
def sandbox_as_bitbucket(version, public_pem, private_pem):
    """Serve a sandbox below a context path, and yield it as a Bitbucket with an External application from 7.20 on."""
    with Sandbox(version=version, context="/bitbucket") as sandbox:
        client = None
        if version_numbers(version) >= (7, 20, 0):
            link = sandbox.link_external_application(redirect_url=REDIRECT_URL, permissions=("REPO_READ",))
            client = link.client_id, link.client_secret, REDIRECT_URL
        admin = {"name": "admin", "password": "admin"}
        with closing(
            Bitbucket(sandbox.url, public_pem, private_pem, **admin, client=client, sandbox=sandbox)
        ) as server:
            yield server


@contextmanager
def real_bitbucket(url, public_pem, private_pem):
    """Yield the server at *url*, with what the environment says about it."""
    given = os.environ.get
    if not given("BITBUCKET_TOKEN") and not (given("BITBUCKET_USER") and given("BITBUCKET_PASSWORD")):
        pytest.skip("Set BITBUCKET_USER and BITBUCKET_PASSWORD, or BITBUCKET_TOKEN, to an administrator's.")
    names = ("BITBUCKET_CLIENT_ID", "BITBUCKET_CLIENT_SECRET", "BITBUCKET_REDIRECT_URL")
    client = tuple(map(given, names)) if all(map(given, names)) else None
    bitbucket = Bitbucket(
        url,
        public_pem,
        private_pem,
        name=given("BITBUCKET_USER", ""),
        password=given("BITBUCKET_PASSWORD", ""),
        token=given("BITBUCKET_TOKEN", ""),
        client=client,
    )
    with closing(bitbucket):
        yield bitbucket


def _created(document):
    """Return the id in the address of what was made. The addresses are an object or a list."""
    found = document["resources-created"]
    if isinstance(found, dict):
        found = found.get("link", found)
    first = found[0] if isinstance(found, list) else found
    return first["href"].rstrip("/").rpartition("/")[2]
