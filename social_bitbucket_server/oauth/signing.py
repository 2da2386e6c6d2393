"""RSA-SHA1 signatures (RFC 5849, section 3.4) with a private key that was parsed once.

oauthlib parses and checks the PEM again for every signature, which costs a hundred times the signature itself, and
writes tokens and signatures to the log on the way.
"""

from __future__ import annotations

import base64
import re
import secrets
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal
from urllib.parse import quote, unquote_to_bytes, urlsplit

from ..crypto import PrivateKey, Secret, opaque

_NONCE_BYTES = 16
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]*")
_PARAMETER = re.compile(r'(oauth_[a-z_]+)="([^"]*)"')


def base_string(method: str, url: str, authorization: str, form: str = "") -> str:
    """Return the text that the signature in *authorization*, a header of ours, is made of (RFC 5849, section 3.4.1)."""
    parameters = [pair for pair in _PARAMETER.findall(authorization) if pair[0] != "oauth_signature"]
    return _base_string(method, url, parameters, form)


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
    """Return the ``Authorization`` header that signs one request, with a nonce of its own. Never send it twice.

    *token* is the request or access token that the call is made with. *callback* belongs to the call for a request
    token alone, *verifier* to the one for an access token. *form*: the body if it is form-encoded. Other bodies are not
    part of the signature. *timestamp*: seconds since 1970 by the server's clock, or ``None`` for this machine's.
    """
    wanted = {
        "oauth_consumer_key": consumer_key,
        "oauth_signature_method": "RSA-SHA1",
        "oauth_timestamp": str(int(time.time()) if timestamp is None else timestamp),
        "oauth_nonce": secrets.token_hex(_NONCE_BYTES),
        "oauth_version": "1.0",
        "oauth_token": token,
        "oauth_callback": callback,
        "oauth_verifier": verifier,
    }
    parameters = [(name, _escaped(value)) for name, value in wanted.items() if value is not None]
    signature = private_key.sign_sha1(_base_string(method, url, parameters, form or "").encode("ascii"))
    text = base64.b64encode(signature).decode("ascii")
    # As _escaped() does, and faster for a long text with few characters to encode.
    parameters.append(("oauth_signature", text.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")))
    return Secret("OAuth " + ", ".join(f'{name}="{value}"' for name, value in parameters))


def _base_string(method: str, url: str, parameters: Iterable[tuple[str, str]], form: str) -> str:
    """Return the text to sign. *parameters* are percent-encoded already."""
    address, query = _address_and_query(url)
    pairs = sorted((*parameters, *query, *_encoded_again(form)))
    text = "&".join(f"{name}={value}" for name, value in pairs)
    # As _escaped() does, and faster. Names and values are encoded already, and are encoded again.
    return "&".join((method, address, text.replace("%", "%25").replace("=", "%3D").replace("&", "%26")))


@lru_cache(maxsize=256)
def _address_and_query(url: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    parts = urlsplit(url)
    scheme, authority = parts.scheme.lower(), parts.netloc.lower()
    address = f"{scheme}://{authority.removesuffix(_DEFAULT_PORTS[scheme])}{parts.path or '/'}"
    return _escaped(address), tuple(_encoded_again(parts.query))


def _encoded_again(query: str) -> Iterable[tuple[str, str]]:
    """Yield the parameters of a query or a form (section 3.4.1.3.1), percent-encoded in the one way that counts."""
    for pair in filter(None, query.split("&")):
        name, _, value = pair.replace("+", " ").partition("=")
        yield _escaped(unquote_to_bytes(name)), _escaped(unquote_to_bytes(value))


def _escaped(text: str | bytes) -> str:
    """Return *text* percent-encoded (section 3.6). Most parameters have nothing to encode."""
    if isinstance(text, str) and _UNRESERVED.fullmatch(text):
        return text
    return quote(text, safe="")
