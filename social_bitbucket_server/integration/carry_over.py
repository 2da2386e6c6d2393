"""The setting ``CARRY_OVER`` as a value: which older identities may be carried over at a person's next login."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ..problems import BitbucketServerError, Code
from .from_settings import SINGLE_INTEGRATION_ID, base_url
from .server_url import ServerURL
from .setting_names import BACKENDS

_FIELDS = {"provider", "key", "url", "without_email"}


class Key(StrEnum):
    """The part of a Bitbucket account that is the uid of older identities."""

    ID = "id"
    """The number, which never changes."""
    NAME = "name"
    """The user name, which may change hands."""
    SLUG = "slug"
    """The user name as it is in addresses, which may change hands, too."""


@dataclass(frozen=True, slots=True)
class CarryOver:
    """The older identities of one server.

    *provider*: the name of the backend that made them. *key*: what their uid is. *url*: the server's base URL; nothing
    is carried over while the integration has another one. *without_email*: whether a name alone is enough if there is
    no e-mail address to compare.
    """

    provider: str
    key: Key
    url: ServerURL
    without_email: bool = False

    @classmethod
    def read(cls, value: Any) -> CarryOver:
        """Return the value of a mapping with these fields. Raises ``setting_invalid``."""
        if not isinstance(value, Mapping) or not {"provider", "key", "url"} <= value.keys() <= _FIELDS:
            raise _invalid("It has the fields provider, key and url, and perhaps without_email.")
        provider, key, url = value["provider"], value["key"], value["url"]
        without_email = value.get("without_email", False)
        if not isinstance(provider, str) or not provider:
            raise _invalid("The field provider is the name of a backend.")
        if not isinstance(key, str) or key not in set(Key):
            raise _invalid("The field key is id, name or slug.")
        if provider in BACKENDS and key != Key.ID:
            raise _invalid(f"Identities of {provider} have the key id.")
        if not isinstance(without_email, bool):
            raise _invalid("The field without_email is True or False.")
        try:
            server = base_url({"url": str(url), "allow_http": True})
        except BitbucketServerError as error:
            raise _invalid(f"The field url is no base URL. {error.reason}") from None
        return cls(provider, Key(key), server, without_email)


def read_carry_over(value: Any, *, has_single_server: bool) -> dict[str, CarryOver]:
    """Return what the setting says, by the integration's id: the fields themselves for one server, or else a mapping of
    ids to them. Raises ``setting_invalid``."""
    if not value:
        return {}
    if has_single_server:
        return {SINGLE_INTEGRATION_ID: CarryOver.read(value)}
    if not isinstance(value, Mapping) or "provider" in value:
        raise _invalid("With many integrations, it maps the id of each one to its fields.")
    return {str(integration_id): CarryOver.read(fields) for integration_id, fields in value.items()}


def _invalid(reason: str) -> BitbucketServerError:
    return BitbucketServerError(Code.SETTING_INVALID, reason, parameter="CARRY_OVER")
