"""The strategy of the logins that begin at an integration's own address."""

from __future__ import annotations

import re
from functools import partial
from typing import Any, cast

from django.contrib.auth import REDIRECT_FIELD_NAME
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.utils.datastructures import MultiValueDict
from django.utils.http import url_has_allowed_host_and_scheme
from social_core.backends.base import BaseAuth
from social_core.storage import BaseStorage
from social_django.strategy import DjangoStrategy as StockDjangoStrategy
from social_django.utils import Storage

from ..crypto import Secret, opaque, plain
from ..integration import OAUTH2
from ..login import LONGEST_NEXT
from ..organizations import OAuth
from ..problems import BitbucketServerError, Code
from . import configuration, integrations, key_rotation, moves, upgrade
from .storage import has_similar_identity

_PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@-][A-Za-z0-9._~!$&'()*+,;=:@/-]*)?(?:\?[!-~]*)?")


class DjangoStrategy(StockDjangoStrategy):
    """The stock strategy for the integration that the address names. No field of the request can name another.

    *at_new_address*: the login is a trial at the integration's new base URL, which waits for it.
    """

    def __init__(
        self, storage: type[BaseStorage], request: HttpRequest, integration_id: str, *, at_new_address: bool = False
    ) -> None:
        self.integration_id = integration_id
        self.is_at_new_address = at_new_address
        self.session_revision = ""
        super().__init__(storage, request)

    def setting(self, name: str, default: Any = None, backend: BaseAuth[Any] | None = None) -> Any:
        """Return a setting. By default, a login that was signed with a waiting key pair puts it in use, if integrations
        are in the database. At a new address, integrations are looked up with that. Events are told by :mod:`.events`,
        and not by the backend. Accounts are connected by :func:`.login.connect` alone: a person of one organization may
        press the button of another one, whose server would then log in as them."""
        if name == "ON_EVENT":
            return None
        if name == "CONNECT_LOGGED_IN":
            return False
        if name == "INTEGRATIONS" and self.is_at_new_address and backend is not None:
            return partial(moves.find, oauth=OAuth.TWO if backend.name == OAUTH2 else OAuth.ONE)
        if name == "PENDING_KEY_ACCEPTED" and configuration.has_integrations_in_database():
            default = key_rotation.promote_after_a_login
        return super().setting(name, default, backend)

    @opaque
    def get_request_data(self, merge: bool = True) -> MultiValueDict[str, str]:  # noqa: ARG002  # core's signature
        """Return the form of a POST, or else the query. Tracebacks do not show their values: a callback's address holds
        the verifier. The page to go to afterwards counts only as a path of this site, and only when a login begins."""
        request = self._require_request()
        given = request.POST if request.method == "POST" else request.GET
        data: MultiValueDict[str, str] = MultiValueDict(
            {name: [Secret(value) for value in values] for name, values in given.lists()}
        )
        data["integration"] = self.integration_id
        if request.method != "POST" or not is_own_path(given.get(REDIRECT_FIELD_NAME, "")):
            data.pop(REDIRECT_FIELD_NAME, None)
        else:
            data[REDIRECT_FIELD_NAME] = str(given[REDIRECT_FIELD_NAME])
        return data

    def session_set(self, name: str, value: Any) -> None:
        """Keep *value* in the session, in plain texts."""
        super().session_set(name, plain(value))  # type: ignore[no-untyped-call]

    def session_setdefault(self, name: str, value: Any) -> Any:
        """Return what the session keeps under *name*. If it keeps nothing, keep *value* there, in plain texts."""
        return super().session_setdefault(name, plain(value))  # type: ignore[no-untyped-call]

    def to_session_value(self, val: Any) -> Any:
        """Return *val* for a halted pipeline, in plain texts."""
        return plain(super().to_session_value(val))

    def authenticate(self, backend: BaseAuth[Any], **kwargs: Any) -> Any:
        """Run core's pipeline, all of it or nothing. Raises ``person_inactive`` and ``identity_similar`` as core's
        errors."""
        try:
            with integrations.all_or_nothing():
                if configuration.has_oauth2_in_database():
                    upgrade.recognize_by_either_oauth(backend.name, kwargs["response"]["uid"], self.integration_id)
                user: Any = super().authenticate(backend, **kwargs)
        except IntegrityError as error:
            if has_similar_identity(Storage, backend.name, kwargs["response"]["uid"]):
                problem = BitbucketServerError(Code.IDENTITY_SIMILAR, parameter="namespace")
                raise problem.as_social_error(backend, "pipeline") from error
            raise
        is_person = isinstance(user, self.storage.user.user_model())
        if is_person and not user.is_active and not self.setting("ALLOW_INACTIVE_USERS_LOGIN", False, backend):
            raise BitbucketServerError(Code.PERSON_INACTIVE).as_social_error(backend, "pipeline")
        return user

    def hold_integration(self, integration_id: str) -> None:
        """Let nobody change the integration until the login is written, and note what its session is bound to."""
        record = integrations.lock(integration_id)
        self.session_revision = record.session_revision if record is not None else ""

    def redirect(self, url: str) -> HttpResponse:
        """Send the browser to *url* by GET, also after a POST."""
        return _SeeOther(url)


class _SeeOther(HttpResponseRedirect):
    """A redirect whose address tracebacks do not show, because it may hold a request token."""

    status_code = 303

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


@opaque
def hide_query(request: HttpRequest) -> None:
    """Let *request* show nothing of its query from now on, neither in a traceback nor in a report of one: the query of
    a callback holds the verifier."""
    hidden = QueryDict(mutable=True)
    for name, values in request.GET.lists():
        hidden.setlist(name, [Secret(value) for value in values])
    request.GET = cast("Any", hidden)
    request.META["QUERY_STRING"] = ""


def is_own_path(text: str) -> bool:
    """Return whether *text* is a path of this site, in a form that no browser takes for anything else."""
    return (
        len(text) <= LONGEST_NEXT
        and _PATH.fullmatch(text) is not None
        and url_has_allowed_host_and_scheme(text, allowed_hosts=None)
    )
