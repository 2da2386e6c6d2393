"""Settings that would take a protection away: an application refuses to start with them.

Each refusal is one sentence that says what to do instead. The settings come as a mapping, so no framework is needed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from operator import is_
from typing import Any

from social_core.backends.base import BaseAuth

from ..crypto import refuse_forbidden_sha1
from ..problems import BitbucketServerError, Code
from ..transport import Limits
from .from_settings import base_url, callback_origin
from .integration import Integration, OAuth2Integration
from .setting_names import BACKENDS, SettingsOf

__all__ = ["UnsafeConfigurationError", "refuse_unsafe_settings", "unsafe_settings"]

_LOG = logging.getLogger(__name__)
_SERVERS = ("URL", "INTEGRATIONS")


class UnsafeConfigurationError(RuntimeError):
    """The application must not start: its settings are unsafe, or no login could work with them. The message is for
    the operator, and names the settings."""


def refuse_unsafe_settings(settings: Mapping[str, Any]) -> None:
    """Check an application's *settings*, by their full names. Raises :class:`UnsafeConfigurationError`."""
    for _, check in _checks_of(settings):
        check()


def unsafe_settings(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield all that is unsafe about an application's *settings*: the name of each check that refuses them, and its
    sentence, for frameworks that collect such sentences before they start."""
    told = set()
    for name, check in _checks_of(settings):
        try:
            check()
        except UnsafeConfigurationError as error:
            if str(error) not in told:
                yield name, str(error)
            told.add(str(error))


def _checks_of(settings: Mapping[str, Any]) -> Iterator[tuple[str, Callable[[], None]]]:
    for found in _configured(settings):
        for check in _CHECKS:
            yield check.__name__.lstrip("_"), partial(check, found)
    yield "signatures_forbidden", partial(_signatures_forbidden, settings)


def pipelines_without_names(settings: Mapping[str, Any], user_model: Any) -> Iterator[str]:
    """Yield a sentence for each pipeline that finds out no first and last names although *user_model* has them, as
    pipelines from before social-core 7 do."""
    if not any(hasattr(user_model, name) for name in ("first_name", "last_name")):
        return
    names = {}
    for backend in _configured(settings):
        steps = set(map(_function_of, backend["PIPELINE"] or ()))
        if "social_details" in steps and "social_names" not in steps:
            names[backend.name("PIPELINE")] = True
    for name in names:
        yield (
            f"Add social_core.pipeline.social_auth.social_names to {name}, after social_details, because without it "
            "accounts get no first and last names."
        )


def warn_of_missing_names(settings: Mapping[str, Any], storage: Any) -> None:
    """Log what :func:`pipelines_without_names` says about the users of social-core's *storage*."""
    users = getattr(storage, "user", None)
    for sentence in pipelines_without_names(settings, users.user_model() if users is not None else None):
        _LOG.warning("%s", sentence)


def refuse_unsafe_login(backend: BaseAuth[Any]) -> None:
    """Check the settings of *backend*'s strategy at a login. The application may not have checked them at its start.

    Settings that were safe at the last login are not checked again. The sentence goes to the log. Raises
    ``setting_invalid``.
    """
    settings = SettingsOf(backend.name, _SettingsOfStrategy(backend))
    if _safe.are(settings):
        return
    for check in _CHECKS:
        try:
            check(settings)
        except UnsafeConfigurationError as error:
            _LOG.error("%s", error)
            raise BitbucketServerError(Code.SETTING_INVALID, str(error)) from None
    _safe.keep(settings)


class _SafeSettings:
    """The settings of each backend's last safe login. Private keys may be among them, so it does not show them."""

    # KEY_RING is not among them: code that needs it looks for it at each login.
    _NAMES = ("PIPELINE", "VERIFY_SSL", "INTEGRATIONS", "SANITIZE_REDIRECTS", "CALLBACK_ORIGIN", "REDIRECT_IS_HTTPS")

    def __init__(self) -> None:
        self._values: dict[str, tuple[Any, ...]] = {}

    def are(self, settings: SettingsOf) -> bool:
        """Return whether *settings* are those that were kept."""
        known = self._values.get(settings.prefix, ())
        return bool(known) and all(map(is_, known, map(settings.__getitem__, self._NAMES)))

    def keep(self, settings: SettingsOf) -> None:
        """Remember *settings* instead of those before."""
        self._values[settings.prefix] = tuple(map(settings.__getitem__, self._NAMES))


_safe = _SafeSettings()


class _SettingsOfStrategy(Mapping[str, Any]):
    """The settings of a backend's strategy, by their full names."""

    def __init__(self, backend: BaseAuth[Any]) -> None:
        self._strategy = backend.strategy

    def __getitem__(self, name: str) -> Any:
        try:
            return self._strategy.get_setting(name)
        except AttributeError:  # as Django says it
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        raise TypeError("A strategy cannot list its settings.")

    def __len__(self) -> int:
        raise TypeError("A strategy cannot count its settings.")


def _configured(settings: Mapping[str, Any]) -> Iterator[SettingsOf]:
    """Yield the settings of each backend that has a server; OAuth 1's if none has, because code may look servers up."""
    backends = [SettingsOf(backend, settings) for backend in BACKENDS]
    yield from [backend for backend in backends if backend.has_own(*_SERVERS)] or backends[:1]


def _association_by_email(settings: SettingsOf) -> None:
    steps = list(settings["PIPELINE"] or ())
    safe = [step for step in steps if _function_of(step) != "associate_by_email"]
    if safe == steps:
        return
    because = "because a Bitbucket Server can give its accounts the e-mail address of anybody"
    name, own = settings.name("PIPELINE"), settings.own_name("PIPELINE")
    if name == own:
        raise UnsafeConfigurationError(f"Take associate_by_email out of {own}, {because}.")
    names = {_function_of(step): step for step in safe}
    if "social_details" in names and "social_names" not in names:  # as before social-core 7
        safe.insert(safe.index(names["social_details"]) + 1, "social_core.pipeline.social_auth.social_names")
    raise UnsafeConfigurationError(
        f"Leave {name} to the other backends, and set {own} to its steps without associate_by_email, {because}: {safe}."
    )


def _function_of(step: Any) -> str:
    """Return the name of a pipeline's *step*, which is a dotted path or a function."""
    path = step if isinstance(step, str) else getattr(step, "__name__", "")
    return path.rpartition(".")[2]


def _certificates_unchecked(settings: SettingsOf) -> None:
    if settings["VERIFY_SSL"] is False:
        raise UnsafeConfigurationError(
            f"Set {settings.own_name('VERIFY_SSL')} to True, or to the path of the CA certificate that issued the "
            "server's, because without the check anybody on the way can log in as anybody."
        )
    for integration_id, fields in _integrations_of(settings):
        if isinstance(fields, Mapping) and fields.get("verify") is False:
            raise UnsafeConfigurationError(
                f"Set verify of the integration {integration_id} in {settings.name('INTEGRATIONS')} to True, or to "
                "the path of the CA certificate that issued the server's."
            )


def _namespace_of_several_servers(settings: SettingsOf) -> None:
    known: dict[str, tuple[str, str]] = {}
    for integration_id, found in _integrations_of(settings):
        space = _identity_space(integration_id, found)
        if space is None:
            continue
        namespace, server = space
        other, others_server = known.setdefault(namespace, (integration_id, server))
        if server != others_server:
            raise UnsafeConfigurationError(
                f"Give {integration_id} and {other} in {settings.name('INTEGRATIONS')} different namespaces, because "
                "with the same one user 42 of the one server is user 42 of the other."
            )


def _names_that_differ_in_case_alone(settings: SettingsOf) -> None:
    known: dict[tuple[str, str], tuple[str, str]] = {}
    for integration_id, found in _integrations_of(settings):
        space = _identity_space(integration_id, found)
        for what, name in (("id", integration_id), ("namespace", space[0] if space is not None else "")):
            other_name, other = known.setdefault((what, name.casefold()), (name, integration_id))
            if name != other_name:
                raise UnsafeConfigurationError(
                    f"Give {integration_id} and {other} in {settings.name('INTEGRATIONS')} {what}s that differ in more "
                    "than case, because some databases compare without case."
                )


def _integrations_of(settings: SettingsOf) -> Iterator[tuple[str, Any]]:
    """Yield the id of each integration in a mapping, and the integration or its fields. What a callable finds is not
    known before a login."""
    integrations = settings["INTEGRATIONS"]
    if isinstance(integrations, Mapping):
        yield from ((str(integration_id), found) for integration_id, found in integrations.items())


def _identity_space(integration_id: str, found: Any) -> tuple[str, str] | None:
    """Return the namespace and base URL of an integration or its fields, or ``None`` if they cannot be read. Each login
    with it reports that."""
    if isinstance(found, (Integration, OAuth2Integration)):
        return found.namespace, str(found.server.url)
    if not isinstance(found, Mapping) or not isinstance(found.get("url"), str):
        return None
    try:
        return str(found.get("namespace", integration_id)), str(base_url(found))
    except BitbucketServerError:
        return None


def _redirects_anywhere(settings: SettingsOf) -> None:
    if settings["SANITIZE_REDIRECTS"] is False:
        raise UnsafeConfigurationError(
            f"Set {settings.own_name('SANITIZE_REDIRECTS')} to True, because without the check a login link can "
            "lead to any other site."
        )


def _callback_by_host_header(settings: SettingsOf) -> None:
    if settings["INTEGRATIONS"] and not settings["CALLBACK_ORIGIN"]:
        raise UnsafeConfigurationError(
            f"Set {settings.own_name('CALLBACK_ORIGIN')} to the scheme and host of this application, such as "
            "https://app.example.com, because with several integrations the callback must not come from a request."
        )
    if settings["CALLBACK_ORIGIN"]:
        try:
            callback_origin(settings["CALLBACK_ORIGIN"])
        except BitbucketServerError as error:
            raise UnsafeConfigurationError(
                f"Set {settings.name('CALLBACK_ORIGIN')} to scheme and host alone, such as https://app.example.com."
            ) from error


def _https_contradicted(settings: SettingsOf) -> None:
    if settings["REDIRECT_IS_HTTPS"] and str(settings["CALLBACK_ORIGIN"]).startswith("http:"):
        raise UnsafeConfigurationError(
            f"Begin {settings.name('CALLBACK_ORIGIN')} with https://, or set {settings.own_name('REDIRECT_IS_HTTPS')} "
            "to False, because the callback takes its scheme from the origin alone."
        )


def _tokens_in_the_clear(settings: SettingsOf) -> None:
    if settings["STORE_ACCESS_TOKEN"] and not settings["KEY_RING"]:
        raise UnsafeConfigurationError(
            f"Set {settings.own_name('KEY_RING')}, or remove {settings.name('STORE_ACCESS_TOKEN')}, because access "
            "tokens are kept sealed or not at all."
        )


def _limits_unusable(settings: SettingsOf) -> None:
    try:
        Limits().with_settings(settings.__getitem__)
    except BitbucketServerError as error:
        name = settings.name(error.parameter or "")
        raise UnsafeConfigurationError(f"Mend {name}, which limits what a slow server holds: {error.reason}") from error


def _signatures_forbidden(settings: Mapping[str, Any]) -> None:
    """Refuse a machine that makes no RSA-SHA1 signatures, unless OAuth 2 has a server, and no setting names one of
    OAuth 1. Integrations that are looked up elsewhere may all be for OAuth 2."""
    oauth1, oauth2 = (SettingsOf(backend, settings) for backend in BACKENDS)
    is_for_oauth1 = oauth1.has_own("URL") or isinstance(oauth1["INTEGRATIONS"], Mapping)
    if oauth2.has_own(*_SERVERS) and not is_for_oauth1:
        return
    try:
        refuse_forbidden_sha1()
    except BitbucketServerError as error:
        raise UnsafeConfigurationError(
            "Install cryptography as a wheel from PyPI, allow SHA-1 in this machine's crypto policy, or log in by "
            "OAuth 2, because this machine's OpenSSL does not make the RSA-SHA1 signatures of OAuth 1."
        ) from error


_CHECKS: tuple[Callable[[SettingsOf], None], ...] = (
    _association_by_email,
    _certificates_unchecked,
    _namespace_of_several_servers,
    _names_that_differ_in_case_alone,
    _redirects_anywhere,
    _callback_by_host_header,
    _https_contradicted,
    _tokens_in_the_clear,
    _limits_unusable,
)
