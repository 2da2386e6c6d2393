"""A login comes back: it is compared with what it began with, and used up, before anything is sent."""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic

from social_core.storage import UserProtocol

from ..crypto import Secret
from ..integration import Admission, Roles
from ..oauth import AccessToken
from ..problems import BitbucketServerError, Code
from ..transport import CALLBACK, Budget, default_transport
from .choice import IntegrationT, chosen_id
from .digests import binding_of, configuration_of
from .logged_in_person import id_of
from .pending import PendingLogin, PendingLogins
from .purpose import TO_LOG_IN, Intent, Purpose
from .roles import roles_at
from .social_errors import problems_at

if TYPE_CHECKING:
    from .backend import LoginBackend


@dataclass(frozen=True, slots=True)
class Callback:
    """The message that Bitbucket sends by way of the browser: the *token* by which the login is pending, and the
    *proof* that the person agreed, a verifier or a code. If they did not, *refusal* is the problem, and there is no
    proof.
    """

    token: Secret
    proof: Secret = field(default_factory=Secret)
    refusal: BitbucketServerError | None = None


@dataclass(frozen=True, slots=True)
class ReturnedLogin(Generic[IntegrationT]):
    """A login on its way from the callback to the account.

    *integration* has the credentials that the login began with, *admission* says who may log in, and *roles* are those
    that people may have. *configuration* is the digest of all of this. *budget* is for what has to be asked now; its
    holder ends it. *intent* says why the login began.
    """

    integration: IntegrationT
    admission: Admission
    roles: Roles
    configuration: str
    budget: Budget
    intent: Intent = TO_LOG_IN


@contextmanager
def granted_login(
    backend: LoginBackend[Any, IntegrationT], user: UserProtocol | None, purposes: Container[Purpose]
) -> Iterator[tuple[ReturnedLogin[IntegrationT], AccessToken]]:
    """Finish the login that comes back while *user* is logged in, for one of *purposes*; yields it with its access
    token, within its budget. Raises social errors."""
    with problems_at("callback", backend):
        callback = backend.read_callback()
        login, pending = finish_login(backend, callback, user, purposes)
    with login.budget:
        with problems_at("token_exchange", backend):
            integration, access_token = backend.exchange(login, callback, pending)
        yield replace(login, integration=integration), access_token


def login_by_token(backend: LoginBackend[Any, IntegrationT]) -> ReturnedLogin[IntegrationT]:
    """Return a login whose access token the application got by itself, at the integration that the request names."""
    integration = backend.chosen_integration()
    admission = backend.get_admission(integration)
    configuration = configuration_of(integration, admission)
    roles = roles_at(backend, integration, admission)
    return ReturnedLogin(integration, admission, roles, configuration, backend.budget(integration, CALLBACK))


def finish_login(
    backend: LoginBackend[Any, IntegrationT],
    callback: Callback,
    user: UserProtocol | None,
    purposes: Container[Purpose],
) -> tuple[ReturnedLogin[IntegrationT], PendingLogin]:
    """Take out the login that comes back while *user* is logged in, for one of *purposes*. Compare everything that must
    be as it was when the login began.

    The login stays pending at another integration's address, while there are too many steps at the server, and while
    the server is left alone because it failed. Then the right address, or the next attempt, still finishes it.

    Raises the refusal of the *callback*, ``login_mixed_up``, ``server_busy``, ``server_overloaded``,
    ``integration_changed``, ``person_changed`` and the problems of a login that is not pending.
    """
    pending = PendingLogins(backend.strategy, backend.name).find(callback.token)
    if pending is None:
        raise BitbucketServerError(Code.LOGIN_NOT_PENDING)
    if pending.integration_id != chosen_id(backend) or pending.intent.purpose not in purposes:
        raise BitbucketServerError(Code.LOGIN_MIXED_UP)
    integration = backend.chosen_integration()
    admission = backend.get_admission(integration)
    if callback.refusal is not None:
        _, _, pending = _take_out(backend, callback.token, integration, admission, user)
        if pending.intent.purpose is not Purpose.LOG_IN:
            callback.refusal.facts["purpose"] = pending.intent.purpose.value
        raise callback.refusal
    roles = roles_at(backend, integration, admission)
    budget = backend.budget(integration, CALLBACK)
    try:
        server = integration.server
        default_transport().admit(server.url.origin, server.route_for(integration.id), budget)
        begun, configuration, pending = _take_out(backend, callback.token, integration, admission, user)
        return ReturnedLogin(begun, admission, roles, configuration, budget, pending.intent), pending
    except BaseException:
        budget.end()
        raise


def _take_out(
    backend: LoginBackend[Any, IntegrationT],
    token: str,
    integration: IntegrationT,
    admission: Admission,
    user: UserProtocol | None,
) -> tuple[IntegrationT, str, PendingLogin]:
    """Use the login up. Return *integration* with the credentials that the login began with, the digest of that and of
    its *admission*, and the login."""
    pending = PendingLogins(backend.strategy, backend.name).finish(token)
    address = backend.callback_url(integration)
    known = ((one, configuration_of(one, admission)) for one in backend.may_have_begun_with(integration))
    begun = next(((one, digest) for one, digest in known if binding_of(digest, address) == pending.binding), None)
    if begun is None:
        raise BitbucketServerError(Code.INTEGRATION_CHANGED)
    is_bound_to_person = pending.intent.purpose is not Purpose.LOG_IN
    if is_bound_to_person and id_of(backend.strategy.storage.user, user) != pending.intent.person:
        raise BitbucketServerError(Code.PERSON_CHANGED)
    return *begun, pending
