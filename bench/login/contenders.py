"""One login, done in four ways: ours, social-core's obvious subclass, Authlib's session, and the least it can cost."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from authlib.integrations.requests_client import OAuth1Session
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from requests_oauthlib import OAuth1
from social_core.backends.oauth import BaseOAuth1
from social_core.storage import BaseStorage, NonceMixin, UserMixin
from social_core.strategy import BaseStrategy

from social_bitbucket_server.backends import BitbucketServerOAuth1
from social_bitbucket_server.transport import Transport, use_transport

CONSUMER_KEY = "bench"
VERIFIER = "AbC123"
APPLICATION = "https://app.example"
CALLBACK = f"{APPLICATION}/complete/bitbucket-server/"
REQUEST_TOKEN = "/plugins/servlet/oauth/request-token"
ACCESS_TOKEN = "/plugins/servlet/oauth/access-token"
PROPERTIES = "/rest/api/latest/application-properties"


class _Nonces(NonceMixin):
    """core's nonces, in a set."""

    known: set[tuple[str, int, str]]

    @classmethod
    def use(cls, server_url: str, timestamp: int, salt: str) -> bool:
        if (server_url, timestamp, salt) in cls.known:
            return False
        cls.known.add((server_url, timestamp, salt))
        return True

    @classmethod
    def get(cls, server_url: str, salt: str) -> Any:
        return None

    @classmethod
    def consume(cls, server_url: str, timestamp: int, salt: str) -> bool:
        cls.known.remove((server_url, timestamp, salt))
        return True


class _Person(UserMixin):
    """Nobody is a user: the pipeline returns something else."""

    @classmethod
    def user_model(cls) -> type[Any]:
        return cls

    @classmethod
    def get_social_auth(cls, provider: str, uid: str, id_key: str | None = None) -> None:  # core's signature
        return None


class _Storage(BaseStorage):
    user = _Person
    nonce = _Nonces


class _Strategy(BaseStrategy[Any]):
    """A framework that costs nothing: settings, parameters and session are dictionaries, and the pipeline is empty."""

    def __init__(self, settings: Mapping[str, Any], session: dict[str, Any], data: Mapping[str, str]) -> None:
        super().__init__(_Storage)
        self._settings = {"SOCIAL_AUTH_PIPELINE": ("bench.login.contenders.whoever_it_is",), **settings}
        self._session, self._data = session, data

    def get_setting(self, name: str) -> Any:
        return self._settings[name]

    def request_data(self, merge: bool = True) -> Any:
        return self._data

    get_request_data = request_data

    def build_absolute_uri(self, path: str | None = None) -> str:
        return f"{APPLICATION}{path or ''}"

    def session_get(self, name: str, default: Any = None) -> Any:
        return self._session.get(name, default)

    def session_set(self, name: str, value: Any) -> None:
        self._session[name] = value

    def session_pop(self, name: str) -> Any:
        return self._session.pop(name, None)


def whoever_it_is(response: Mapping[str, Any], **_kwargs: Any) -> dict[str, Any]:
    """Return the person: the pipeline's only step."""
    return {"user": SimpleNamespace(name=response["name"], is_active=lambda: True)}


class Contender:
    """One way to log in at the server at *url*, whose certificate the file *ca* verifies, with the key *pem*."""

    def __init__(self, url: str, pem: str, ca: str) -> None:
        self.url, self.pem, self.ca = url, pem, ca

    def login(self) -> str:
        """Do it once, and say who it is."""
        raise NotImplementedError

    def hang_up(self) -> None:
        """Close what stays open from one login to the next."""


class Ours(Contender):
    """This package's backend."""

    def __init__(self, url: str, pem: str, ca: str) -> None:
        super().__init__(url, pem, ca)
        self._settings = {
            "SOCIAL_AUTH_BITBUCKET_SERVER_URL": url,
            "SOCIAL_AUTH_BITBUCKET_SERVER_KEY": CONSUMER_KEY,
            "SOCIAL_AUTH_BITBUCKET_SERVER_PRIVATE_KEY": pem,
            "SOCIAL_AUTH_BITBUCKET_SERVER_VERIFY_SSL": ca,
            "SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN": APPLICATION,
        }
        _Nonces.known = set()

    def login(self) -> str:
        session: dict[str, Any] = {}
        begun = BitbucketServerOAuth1(_Strategy(self._settings, session, {}), urlsplit(CALLBACK).path).auth_url()
        data = {"oauth_token": parse_qs(urlsplit(begun).query)["oauth_token"][0], "oauth_verifier": VERIFIER}
        backend = BitbucketServerOAuth1(_Strategy(self._settings, session, data), urlsplit(CALLBACK).path)
        return _name_of(backend.auth_complete())

    def hang_up(self) -> None:
        use_transport(Transport())


def _name_of(person: Any) -> str:
    return str(person.name)


class _ObviousBackend(BaseOAuth1[Any]):
    """The obvious backend: core's OAuth 1 with the PEM's text and requests."""

    name = "obvious"
    REQUEST_TOKEN_METHOD = "POST"
    ACCESS_TOKEN_METHOD = "POST"
    server = ""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        url = str(self.setting("URL"))
        self.REQUEST_TOKEN_URL = url + REQUEST_TOKEN
        self.ACCESS_TOKEN_URL = url + ACCESS_TOKEN
        self.AUTHORIZATION_URL = url + "/plugins/servlet/oauth/authorize"

    def _auth(self, **options: Any) -> OAuth1:
        return OAuth1(self.setting("KEY"), rsa_key=self.setting("RSA"), signature_method="RSA-SHA1", **options)

    def unauthorized_token(self) -> str:
        answer = self.request(
            self.REQUEST_TOKEN_URL,
            method="POST",
            auth=self._auth(callback_uri=self.redirect_uri, decoding=None),
            stage="begin",
        )
        return answer.content.decode()

    def oauth_auth(self, token: Any = None, oauth_verifier: Any = None, *_arguments: Any, **_options: Any) -> OAuth1:
        token = token or {}
        return self._auth(
            resource_owner_key=token.get("oauth_token"),
            resource_owner_secret=token.get("oauth_token_secret"),
            verifier=oauth_verifier or self.data.get("oauth_verifier"),
            decoding=None,
        )

    def user_data(self, access_token: Any, *_arguments: Any, **_options: Any) -> dict[str, Any]:
        auth = self.oauth_auth(access_token)
        answer = self.request(f"{self.setting('URL')}{PROPERTIES}", auth=auth, stage="user_info")
        name = quote(answer.headers["X-AUSERNAME"])
        url = f"{self.setting('URL')}/rest/api/latest/users/{name}?avatarSize=48"
        found: dict[str, Any] = self.request(url, auth=self.oauth_auth(access_token), stage="user_info").json()
        return found

    def get_user_details(self, response: Mapping[str, Any]) -> dict[str, Any]:
        return {"username": response["name"], "email": response["emailAddress"]}


class Obvious(Contender):
    """social-core's obvious subclass."""

    def __init__(self, url: str, pem: str, ca: str) -> None:
        super().__init__(url, pem, ca)
        self._settings = {
            "SOCIAL_AUTH_OBVIOUS_URL": url,
            "SOCIAL_AUTH_OBVIOUS_KEY": CONSUMER_KEY,
            "SOCIAL_AUTH_OBVIOUS_SECRET": "",
            "SOCIAL_AUTH_OBVIOUS_RSA": pem,
            "SOCIAL_AUTH_OBVIOUS_VERIFY_SSL": ca,
        }

    def login(self) -> str:
        session: dict[str, Any] = {}
        begun = _ObviousBackend(_Strategy(self._settings, session, {}), "/complete/obvious/").auth_url()
        token = parse_qs(urlsplit(begun).query)["oauth_token"][0]
        data = {"oauth_token": token, "oauth_verifier": VERIFIER}
        backend = _ObviousBackend(_Strategy(self._settings, session, data), "/complete/obvious/")
        return _name_of(backend.auth_complete())


_new_session: Any = OAuth1Session  # its types do not know that it can be entered


class Authlib(Contender):
    """Authlib's session, one for each login."""

    def login(self) -> str:
        options: dict[str, Any] = {"client_id": CONSUMER_KEY, "rsa_key": self.pem, "signature_method": "RSA-SHA1"}
        with _new_session(redirect_uri=CALLBACK, **options) as session:
            session.verify = self.ca
            begun = session.fetch_request_token(self.url + REQUEST_TOKEN)
        with _new_session(
            token=begun["oauth_token"], token_secret=begun["oauth_token_secret"], verifier=VERIFIER, **options
        ) as session:
            session.verify = self.ca
            session.fetch_access_token(self.url + ACCESS_TOKEN)
            name = session.get(self.url + PROPERTIES).headers["X-AUSERNAME"]
            found = session.get(f"{self.url}/rest/api/latest/users/{quote(name)}?avatarSize=48").json()
            return str(found["name"])


class Floor(Contender):
    """Four signatures of a parsed key, and four requests on a kept connection, with headers made beforehand."""

    def __init__(self, url: str, pem: str, ca: str) -> None:
        super().__init__(url, pem, ca)
        self._key: Any = load_pem_private_key(pem.encode(), None)
        self._context = ssl.create_default_context(cafile=ca)
        self._connection: http.client.HTTPSConnection | None = None
        self._headers = {"Authorization": "OAuth " + "x" * 700, "Accept": "*/*"}
        self._text = b"POST&" + b"x" * 400

    def sign(self) -> bytes:
        """Sign once."""
        signature: bytes = self._key.sign(self._text, padding.PKCS1v15(), hashes.SHA1())
        return signature

    def login(self) -> str:
        if self._connection is None:
            parts = urlsplit(self.url)
            self._connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, context=self._context)
        answers = []
        for method, path in (
            ("POST", REQUEST_TOKEN),
            ("POST", ACCESS_TOKEN),
            ("GET", PROPERTIES),
            ("GET", "/rest/api/latest/users/jane?avatarSize=48"),
        ):
            self.sign()
            self._connection.request(method, path, headers=self._headers)
            answers.append(self._connection.getresponse().read())
        return str(json.loads(answers[-1])["name"])

    def hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


CONTENDERS: dict[str, type[Contender]] = {"ours": Ours, "obvious": Obvious, "Authlib": Authlib, "floor": Floor}
