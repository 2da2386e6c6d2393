"""The choice of a login's integration: the one server of plain settings, or the one of many that the request names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from social_core.utils import setting_name

from ..integration import SINGLE_INTEGRATION_ID, AnyIntegration, ServerURL, base_url
from ..problems import BitbucketServerError, Code
from .parameters import read_parameter

if TYPE_CHECKING:
    from .backend import LoginBackend

IntegrationT = TypeVar("IntegrationT", bound=AnyIntegration)


def chosen_id(backend: LoginBackend[Any, Any]) -> str:
    """Return the id of the integration that the request is about.

    Raises ``integration_missing`` if there are many and the request names none.
    """
    if backend.has_single_server:
        return SINGLE_INTEGRATION_ID
    return read_parameter(backend.data, "integration", absent=Code.INTEGRATION_MISSING)


def chosen(backend: LoginBackend[Any, IntegrationT], *, has_own_look_up: bool) -> IntegrationT:
    """Return the integration that the request is about. *has_own_look_up*: the application overrides the look-up, and
    needs no setting for it.

    Raises ``setting_missing``, ``integration_missing``, ``integration_unknown``, and the problems of a bad
    configuration.
    """
    if backend.has_single_server:
        return backend.single_integration()
    if backend.setting("INTEGRATIONS") is None and not has_own_look_up:
        url, integrations = setting_name(backend.name, "URL"), setting_name(backend.name, "INTEGRATIONS")
        raise BitbucketServerError(
            Code.SETTING_MISSING,
            f"Neither {url} nor {integrations} is configured.",
            parameter="URL",
            setting=url,
        )
    return by_id(backend, chosen_id(backend))


def by_id(backend: LoginBackend[Any, IntegrationT], integration_id: str) -> IntegrationT:
    """Return the integration of this id as it is now, without a look at the request. Raises ``integration_unknown``."""
    if not backend.has_single_server:
        integration = backend.get_integration(integration_id)
    else:
        integration = backend.single_integration() if integration_id == SINGLE_INTEGRATION_ID else None
    if integration is None:
        raise BitbucketServerError(Code.INTEGRATION_UNKNOWN, parameter="integration")
    return integration


def identity_space(backend: LoginBackend[Any, Any], integration_id: str) -> tuple[str, str] | None:
    """Return base URL and namespace of the integration of this id, or ``None`` if its uids cannot be compared."""
    if backend.has_single_server:
        return (str(_single_server_url(backend)), "") if integration_id == SINGLE_INTEGRATION_ID else None
    integration = backend.get_integration(integration_id)
    if integration is None or not integration.namespace:
        return None
    return str(integration.server.url), integration.namespace


def origin_of_single_server(backend: LoginBackend[Any, Any]) -> str:
    """Return scheme, host and port of the one server; empty if there are several servers, or none that can be used."""
    if not backend.has_single_server:
        return ""
    try:
        return _single_server_url(backend).origin
    except BitbucketServerError:
        return ""


def _single_server_url(backend: LoginBackend[Any, Any]) -> ServerURL:
    """Return the base URL of the one server, without its credentials. Raises ``invalid_base_url``."""
    return base_url({"url": backend.setting("URL"), "allow_http": backend.setting("ALLOW_HTTP", False)})
