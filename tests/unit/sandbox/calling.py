"""A program that signs its calls with Authlib, rightly or, on demand, wrongly."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

import requests
from authlib.oauth1 import ClientAuth
from authlib.oauth1.rfc5849.signature import SIGNATURE_TYPE_HEADER

REQUEST_TOKEN = "/plugins/servlet/oauth/request-token"
ACCESS_TOKEN = "/plugins/servlet/oauth/access-token"
AUTHORIZE = "/plugins/servlet/oauth/authorize"
WHOAMI = "/plugins/servlet/applinks/whoami"
PROPERTIES = "/rest/api/latest/application-properties"
USERS = "/rest/api/latest/users"
CALLBACK = "https://app.example/complete/?integration=acme-1"


class _Auth(ClientAuth):
    """Authlib's client with *changes*: parameters replaced before signing, or left out where they are ``None``."""

    def __init__(self, *arguments, changes, signature, **keywords):
        super().__init__(*arguments, **keywords)
        self.changes = changes
        self.signature = signature

    def get_oauth_params(self, nonce, timestamp):
        parameters = dict(super().get_oauth_params(nonce, timestamp)) | self.changes
        return [(name, value) for name, value in parameters.items() if value is not None]

    def get_oauth_signature(self, method, uri, headers, body):
        return super().get_oauth_signature(method, uri, headers, body) if self.signature is None else self.signature


@dataclass(frozen=True)
class Caller:
    """Calls the sandbox at *url* as the consumer *key*."""

    url: str
    key: str
    private_key: str

    def sign(
        self,
        method,
        path,
        *,
        token=None,
        signature=None,
        signature_type=SIGNATURE_TYPE_HEADER,
        method_name="RSA-SHA1",
        body="",
        headers=(),
        **changes,
    ):
        """Return address, headers and body of a signed request.

        *changes* are OAuth parameters by name; *signature* replaces the right one.
        """
        auth = _Auth(
            self.key,
            token=token,
            rsa_key=self.private_key,
            signature_type=signature_type,
            signature_method=method_name,
            changes=changes,
            signature=signature,
        )
        return auth.prepare(method, self.url + path, dict(headers), body)

    def call(self, method, path, **options):
        """Send a request that is signed with the *options* of :meth:`sign`."""
        uri, headers, content = self.sign(method, path, **options)
        return send(method, uri, headers=headers, data=content)

    def request_token(self, **changes):
        """Return the value of a new request token."""
        return answer(self.call("POST", REQUEST_TOKEN, **({"oauth_callback": CALLBACK} | changes)))["oauth_token"]

    def authorize_url(self, token):
        return f"{self.url}{AUTHORIZE}?oauth_token={token}"

    def allowed_token(self, sandbox, user="jane", **changes):
        """Return a request token that *user* allowed, and its verifier."""
        token = self.request_token(**changes)
        callback = sandbox.authorize(self.authorize_url(token), user=user)
        return token, dict(parse_qsl(callback.partition("?")[2]))["oauth_verifier"]

    def granted(self, sandbox, user="jane"):
        """Return the whole answer with an access token of *user*."""
        token, verifier = self.allowed_token(sandbox, user)
        return answer(self.call("POST", ACCESS_TOKEN, token=token, oauth_verifier=verifier))

    def access_token(self, sandbox, user="jane"):
        """Return the value of an access token of *user*."""
        return self.granted(sandbox, user)["oauth_token"]


def send(method, uri, **keywords):
    """Send a request without cookies, proxies and redirects."""
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, uri, allow_redirects=False, timeout=120, **keywords)


def answer(response):
    """Return the parameters in the body of an answer, which must be a success."""
    assert response.status_code == 200, response.text
    return dict(parse_qsl(response.text, keep_blank_values=True))


def problem(response):
    """Return status and ``oauth_problem`` of a refusal."""
    return response.status_code, dict(parse_qsl(response.text)).get("oauth_problem")
