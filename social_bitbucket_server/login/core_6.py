"""The parts of social-auth-core 7 that this package uses, for an installed social-auth-core 6.

With core 7 the names are core's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from social_core import strategy
from social_core.backends import base, bitbucket_datacenter, oauth
from social_core.storage import BaseStorage, NonceMixin


class _Generic:
    """A class that takes the type of the framework's responses as a parameter, and does nothing with it."""

    def __class_getitem__(cls, _response: object) -> type:
        return cls


if TYPE_CHECKING or hasattr(base, "ResponseT_co"):
    from social_core.backends.base import ResponseT_co as ResponseT_co
    from social_core.backends.bitbucket_datacenter import BitbucketDataCenterOAuth2 as BitbucketDataCenterOAuth2
    from social_core.backends.oauth import BaseOAuth1 as BaseOAuth1
    from social_core.backends.oauth import OAuthAuth as OAuthAuth
    from social_core.strategy import BaseStrategy as BaseStrategy
else:
    ResponseT_co = TypeVar("ResponseT_co", covariant=True)

    class OAuthAuth(oauth.OAuthAuth, _Generic):
        def authenticate(self, *args: Any, **kwargs: Any) -> Any:
            """Run the pipeline with the backend among the arguments, which Django did not make by itself."""
            backend = kwargs.get("backend")
            if backend is None or backend.name != self.name or not {"strategy", "response"} <= kwargs.keys():
                return None
            return backend.run_authentication(*args, **kwargs)

        def run_authentication(self, *args: Any, **kwargs: Any) -> Any:
            """Run core's pipeline with this backend."""
            return super().authenticate(*args, **kwargs)

        def auth_allowed(self, response: Any, details: dict[str, Any]) -> bool:
            """Refuse people without an e-mail address, too, if only listed addresses or domains are allowed."""
            is_listed = any(self.setting(name) for name in ("WHITELISTED_EMAILS", "WHITELISTED_DOMAINS"))
            return not (is_listed and not details.get("email")) and super().auth_allowed(response, details)

    class BaseOAuth1(oauth.BaseOAuth1, _Generic):
        pass

    class BitbucketDataCenterOAuth2(bitbucket_datacenter.BitbucketDataCenterOAuth2, _Generic):
        pass

    class BaseStrategy(strategy.BaseStrategy, _Generic):
        pass


def nonces_of(storage: type[BaseStorage]) -> Any:
    """Return the nonces of *storage*, each of which can be consumed once."""
    nonce = storage.nonce
    consume = getattr(nonce, "consume", None)
    # From core 6.2 on there is one that raises NotImplementedError.
    by_core = getattr(NonceMixin, "consume", None)
    is_by_core = by_core is not None and getattr(consume, "__func__", None) is getattr(by_core, "__func__", None)
    return _Nonces(nonce) if consume is None or is_by_core else nonce


class _Nonces:
    """The nonces of a storage that has no ``consume`` of its own, such as those of social-auth-app-django 7.1."""

    def __init__(self, nonce: Any) -> None:
        self._nonce = nonce
        self.use = nonce.use

    def get(self, server_url: str, salt: str) -> Any:
        """Return the nonce, or ``None``."""
        return self._rows(server_url=server_url, salt=salt).first()

    def consume(self, server_url: str, timestamp: int, salt: str) -> bool:
        """Delete the nonce by one statement. Returns whether it was there."""
        deleted, _ = self._rows(server_url=server_url, timestamp=timestamp, salt=salt).delete()
        return bool(deleted == 1)

    def _rows(self, **values: Any) -> Any:
        """Raise NotImplementedError for other storages than Django's."""
        if not hasattr(self._nonce, "objects"):
            raise NotImplementedError
        return self._nonce.objects.filter(**values)
