"""RSA-SHA1 signatures (RFC 5849) by oauthlib, with a private key that was parsed once.

oauthlib parses and checks the PEM again for every signature, which costs a hundred times the signature itself; its
own ``SIGNATURE_METHODS`` is the place to say how to sign instead.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from oauthlib.oauth1 import SIGNATURE_RSA_SHA1, Client
from oauthlib.oauth1.rfc5849 import signature
from requests.auth import AuthBase

if TYPE_CHECKING:
    from collections.abc import Callable

    from oauthlib.common import Request
    from requests import PreparedRequest

    from .keys import PrivateKey


def _sign(base_string: str, client: RSAClient) -> str:
    return base64.b64encode(client.private_key.sign_sha1(base_string.encode())).decode("ascii")


class RSAClient(Client):  # type: ignore[misc]  # untyped
    """oauthlib's client, signing with *private_key*; secrets play no part in it."""

    SIGNATURE_METHODS: ClassVar[dict[str, Callable[[str, RSAClient], str]]] = {SIGNATURE_RSA_SHA1: _sign}

    def __init__(self, consumer_key: str, private_key: PrivateKey, **options: Any) -> None:
        super().__init__(consumer_key, signature_method=SIGNATURE_RSA_SHA1, **options)
        self.private_key = private_key

    def __repr__(self) -> str:
        return f"<RSAClient {self.client_key}>"

    def get_oauth_signature(self, request: Request) -> str:
        """As oauthlib's, which writes token and signature to the log on the way."""
        uri, headers, body = self._render(request)
        parameters = signature.collect_parameters(uri_query=urlsplit(uri).query, body=body, headers=headers)
        base_string = signature.signature_base_string(
            request.http_method,
            signature.base_string_uri(uri, headers.get("Host")),
            signature.normalize_parameters(parameters),
        )
        return self.SIGNATURE_METHODS[self.signature_method](base_string, self)


class Signature(AuthBase):
    """Signs one request: pass it as ``auth`` to requests.

    *token* is the request or access token that the call is made with. *callback* belongs to the call for a request
    token alone, *verifier* to the one for an access token.
    """

    def __init__(
        self,
        consumer_key: str,
        private_key: PrivateKey,
        *,
        token: str | None = None,
        callback: str | None = None,
        verifier: str | None = None,
    ) -> None:
        self._client = RSAClient(
            consumer_key,
            private_key,
            resource_owner_key=token,
            callback_uri=callback,
            verifier=verifier,
        )

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the ``Authorization`` header. A body that is not a form is not part of the signature."""
        is_form = request.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded")
        _, headers, _ = self._client.sign(
            str(request.url), str(request.method), request.body if is_form else None, dict(request.headers)
        )
        request.headers["Authorization"] = headers["Authorization"]
        return request
