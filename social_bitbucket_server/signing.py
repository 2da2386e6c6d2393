"""RSA-SHA1 signatures (RFC 5849) by oauthlib, with a private key that was parsed once.

oauthlib parses and checks the PEM again for every signature, which costs a hundred times the signature itself; its
own ``SIGNATURE_METHODS`` is the place to say how to sign instead.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import urlsplit

from oauthlib.oauth1 import SIGNATURE_RSA_SHA1, Client
from oauthlib.oauth1.rfc5849 import CONTENT_TYPE_FORM_URLENCODED, signature

from .secret import Secret, opaque

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from oauthlib.common import Request

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
        signed = base_string(request.http_method, uri, headers, body)
        return self.SIGNATURE_METHODS[self.signature_method](signed, self)


def base_string(method: str, url: str, headers: Mapping[str, str], body: object = None) -> str:
    """The text that the signature in *headers* is made of (RFC 5849, section 3.4.1)."""
    parameters = signature.collect_parameters(uri_query=urlsplit(url).query, body=body, headers=headers)
    return str(
        signature.signature_base_string(
            method, signature.base_string_uri(url, headers.get("Host")), signature.normalize_parameters(parameters)
        )
    )


@opaque
def authorization(
    method: Literal["GET", "POST", "PUT", "DELETE"],
    url: str,
    consumer_key: str,
    private_key: PrivateKey,
    *,
    token: str | None = None,
    callback: str | None = None,
    verifier: str | None = None,
    form: str | None = None,
    timestamp: int | None = None,
) -> Secret:
    """The ``Authorization`` header that signs one request, with a nonce of its own: never send it twice.

    *token* is the request or access token that the call is made with. *callback* belongs to the call for a request
    token alone, *verifier* to the one for an access token. *form* is the body where it is form-encoded; bodies of
    other kinds are not part of the signature. *timestamp*: seconds since 1970 by the server's clock; this
    machine's unless given.
    """
    client = RSAClient(
        consumer_key,
        private_key,
        resource_owner_key=token,
        callback_uri=callback,
        verifier=verifier,
        timestamp=None if timestamp is None else str(timestamp),
    )
    headers = {"Content-Type": CONTENT_TYPE_FORM_URLENCODED} if form is not None else {}
    _, signed, _ = client.sign(url, method, form, headers)
    return Secret(signed["Authorization"])
