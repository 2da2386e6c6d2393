"""The demo application with the protocol handled in the obvious way. The key's PEM text is parsed for each signature,
and ``requests.request`` opens a connection for each call."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import requests
import urllib3
from flask import Flask
from requests_oauthlib import OAuth1

from social_bitbucket_server.backends import BitbucketServerOAuth1
from social_bitbucket_server.crypto import PrivateKey
from social_bitbucket_server.integration import Integration
from social_bitbucket_server.oauth import Client, Request
from social_bitbucket_server.transport import Answer
from tests import flask_app


class ObviousClient(Client):
    """The three calls and the signed ones, as one writes them first."""

    def _send(self, request: Request, **parameters: str) -> Answer:
        signed = OAuth1(
            self.integration.consumer_key,
            rsa_key=_pem(self.integration.private_key),
            signature_method="RSA-SHA1",
            resource_owner_key=parameters.get("token"),
            callback_uri=parameters.get("callback"),
            verifier=parameters.get("verifier"),
        )
        verify = self.integration.server.verify
        answer = requests.request(request.method, request.url, auth=signed, verify=verify, timeout=10)
        return Answer(answer.status_code, urllib3.HTTPHeaderDict(answer.headers), answer.content)


@lru_cache(maxsize=1024)
def _pem(key: PrivateKey) -> str:
    """Return the text, as a setting would hold it."""
    return key.pem()


class ObviousBackend(BitbucketServerOAuth1[Any]):
    """The backend on that client."""

    def client(self, integration: Integration) -> ObviousClient:
        return ObviousClient(integration)


def create_app() -> Flask:
    """Return the tests' application on the obvious client."""
    return flask_app.create_app({"SOCIAL_AUTH_AUTHENTICATION_BACKENDS": [f"{__name__}.{ObviousBackend.__name__}"]})
