"""The choice of a login's integration: the one server of plain settings, or the one of many that the request names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from social_core.utils import setting_name

from ..integration import SINGLE_INTEGRATION_ID, AnyIntegration
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
    needs no setting for it; otherwise raises ``setting_missing``. For the rest see
    :meth:`.LoginBackend.chosen_integration`."""
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
