"""Access tokens that are kept after the login: sealed, and used to call Bitbucket as their person."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from social_core.exceptions import SocialAuthBaseException
from social_core.storage import BaseStorage, UserMixin

from ..account import (
    EXTRA_DATA_KEY,
    IdentityToken,
    Recheck,
    RestClient,
    Standing,
    StoredToken,
    ask_whether_admitted,
    erase,
    keep_roles,
    roles_of,
)
from ..crypto import KeyRing
from ..integration import BACKENDS
from ..oauth import AccessToken, OAuth2Client
from ..problems import BitbucketServerError, Code
from ..transport import BEGIN, WHOLE
from .choice import IntegrationT, by_id
from .roles import roles_at

if TYPE_CHECKING:
    from .backend import LoginBackend


_LOG = logging.getLogger(__name__)


def keeps_tokens(backend: LoginBackend[Any, Any]) -> bool:
    """Return whether access tokens are kept, by the setting ``…_STORE_ACCESS_TOKEN``."""
    return bool(backend.setting("STORE_ACCESS_TOKEN", False))


def key_ring_of(backend: LoginBackend[Any, Any]) -> KeyRing:
    """Return the key ring of the setting ``…_KEY_RING``. Raises ``setting_missing`` and ``key_ring_invalid``."""
    text = backend.setting("KEY_RING")
    if not text:
        raise BitbucketServerError(
            Code.SETTING_MISSING, "Access tokens are kept sealed, and need a key ring.", parameter="KEY_RING"
        )
    return KeyRing.parse(text)


def sealed_token(
    backend: LoginBackend[Any, IntegrationT], access_token: AccessToken, integration: IntegrationT, uid: str
) -> str:
    """Return the record to keep of *access_token*, which the server of *integration* has just issued."""
    stored = StoredToken.granted(access_token, integration, backend.scope_for(integration))
    return stored.seal(key_ring_of(backend), integration, uid)


def rest_client(backend: LoginBackend[Any, Any], identity: UserMixin, *, sleep: Callable[[float], None]) -> RestClient:
    """Do what :meth:`.LoginBackend.rest_client` says."""
    integration = _integration_of(backend, identity)
    store = _stored_token(backend, identity, integration)
    return RestClient(backend.client(integration), store, sleep=sleep, limits=backend.limits)


def recheck(backend: LoginBackend[Any, Any], identity: UserMixin, *, sleep: Callable[[float], None]) -> Recheck:
    """Do what :meth:`.LoginBackend.recheck` says. If the roles are unknown, the identity keeps those from before."""
    try:
        integration = _integration_of(backend, identity)
        admission = backend.get_admission(integration)
        roles = roles_at(backend, integration, admission)
        store, scope = _stored_token(backend, identity, integration), backend.scope_for(integration)
        with backend.budget(integration, WHOLE) as budget:
            _, given = backend.ask(
                integration,
                lambda client: ask_whether_admitted(
                    RestClient(client, store, sleep=sleep, budget=budget), identity.uid, admission, roles, scope
                ),
                budget,
            )
        result = Recheck(Standing.ADMITTED, roles=tuple(given))
    except BitbucketServerError as error:
        result = Recheck.failed(error)
    _keep_roles(backend, identity, result)
    return result


def revoke(backend: LoginBackend[Any, Any], identity: UserMixin) -> bool:
    """Do what :meth:`.LoginBackend.revoke_access_token` says."""
    if EXTRA_DATA_KEY not in identity.extra_data:
        return False
    is_revoked = False
    try:
        integration = _integration_of(backend, identity)
        client = backend.client(integration)
        if isinstance(client, OAuth2Client):
            token = _stored_token(backend, identity, integration).load()
            with backend.budget(integration, BEGIN) as budget:
                client.within(budget).revoke(token.access_token())
            is_revoked = True
    except BitbucketServerError as error:
        _LOG.warning("An access token was erased, but could not be revoked at the server: %s", error.code)
    newest = _newest(backend, identity)
    if newest is not None:  # it may have been disconnected meanwhile, and would be stored anew
        erase(newest)
    return is_revoked


def revoke_at_logout(
    user: Any, storage: type[BaseStorage], backend_of: Callable[[str], LoginBackend[Any, Any]]
) -> None:
    """Revoke the access tokens of *user*, who logs out, as :func:`revoke` does, for each backend with
    ``…_REVOKE_AT_LOGOUT``. *backend_of* returns the backend of a name. A backend that is no longer configured keeps
    nobody from logging out, so its tokens are left as they are."""
    for identity in storage.user.get_social_auth_for_user(user):
        if identity.provider in BACKENDS and EXTRA_DATA_KEY in identity.extra_data:
            try:
                backend = backend_of(identity.provider)
            except SocialAuthBaseException:
                continue
            if backend.setting("REVOKE_AT_LOGOUT", False):
                revoke(backend, identity)


def _keep_roles(backend: LoginBackend[Any, Any], identity: UserMixin, result: Recheck) -> None:
    if result.roles is None or roles_of(identity) == set(result.roles):
        return
    newest = _newest(backend, identity)
    if newest is not None:
        keep_roles(newest, list(result.roles))


def _newest(backend: LoginBackend[Any, Any], identity: UserMixin) -> UserMixin | None:
    """Return the row of *identity* as it is stored now, perhaps with a renewed token; ``None`` if it is gone."""
    return cast("UserMixin | None", backend.strategy.storage.user.get_social_auth(backend.name, identity.uid))


def _integration_of(backend: LoginBackend[Any, IntegrationT], identity: UserMixin) -> IntegrationT:
    if EXTRA_DATA_KEY not in identity.extra_data:
        raise BitbucketServerError(Code.TOKEN_MISSING)
    return by_id(backend, identity.extra_data.get("integration", ""))


def _stored_token(
    backend: LoginBackend[Any, IntegrationT], identity: UserMixin, integration: IntegrationT
) -> IdentityToken:
    return IdentityToken(partial(_newest, backend, identity), key_ring_of(backend), integration, identity.uid)
