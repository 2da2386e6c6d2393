"""The field that a failed stage of the check-up is about, by the label that the person sees."""

from __future__ import annotations

from dataclasses import dataclass

from ...problems import Code


@dataclass(frozen=True)
class Field:
    """A field by its *label*. *place* says where in Bitbucket it is; empty for a field of the integration's form."""

    label: str
    place: str = ""


_INCOMING = "the application link's Incoming Authentication"
_BASE_URL = Field("Base URL")
_CA_CERTIFICATE = Field("CA certificate")
_CLIENT_CERTIFICATE = Field("Client certificate")
_CONNECT_TO = Field("Connect to")
_CONSUMER_KEY = Field("Consumer Key", _INCOMING)
_PUBLIC_KEY = Field("Public Key", _INCOMING)

_FIELDS: dict[str, Field] = {
    Code.INVALID_BASE_URL: _BASE_URL,
    Code.CONNECTION_FAILED: _BASE_URL,
    Code.ADDRESS_BLOCKED: _BASE_URL,
    Code.NAME_NOT_FOUND: _BASE_URL,
    Code.TLS_MISSING: _BASE_URL,
    Code.CERTIFICATE_FOR_ANOTHER_NAME: _BASE_URL,
    Code.REDIRECTED: _BASE_URL,
    Code.CONTEXT_PATH_MISSING: _BASE_URL,
    Code.NOT_BITBUCKET: _BASE_URL,
    Code.OAUTH_MISSING: _BASE_URL,
    Code.CONNECT_TO_INVALID: _CONNECT_TO,
    Code.CONNECT_TO_NOT_FOUND: _CONNECT_TO,
    Code.CONNECT_TO_CLOSED: _CONNECT_TO,
    Code.CONNECT_TO_SILENT: _CONNECT_TO,
    Code.CA_CERTIFICATE_INVALID: _CA_CERTIFICATE,
    Code.CERTIFICATE_SELF_SIGNED: _CA_CERTIFICATE,
    Code.CERTIFICATE_AUTHORITY_UNKNOWN: _CA_CERTIFICATE,
    Code.CLIENT_CERTIFICATE_INVALID: _CLIENT_CERTIFICATE,
    Code.CLIENT_CERTIFICATE_MISSING: _CLIENT_CERTIFICATE,
    Code.CLIENT_CERTIFICATE_REFUSED: _CLIENT_CERTIFICATE,
    Code.CONSUMER_KEY_UNKNOWN: _CONSUMER_KEY,
    Code.CONSUMER_KEY_REFUSED: _CONSUMER_KEY,
    Code.PUBLIC_KEY_DIFFERS: _PUBLIC_KEY,
    Code.PUBLIC_KEY_UNUSABLE: _PUBLIC_KEY,
    Code.SIGNATURE_INVALID: _PUBLIC_KEY,
    Code.CLIENT_REFUSED: Field("Client ID and Client secret"),
}


def field_to_mend(code: str) -> Field | None:
    """Return the field that the problem with this *code* is about; ``None`` if it is about no single one."""
    return _FIELDS.get(code)
