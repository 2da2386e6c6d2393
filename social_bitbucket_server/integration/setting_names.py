"""The names of settings: which are known, and which one a misspelt name was probably meant for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from social_core.utils import setting_name

OAUTH1 = "bitbucket-server"
"""Name of the backend for OAuth 1."""

OAUTH2 = "bitbucket-server-oauth2"
"""Name of the backend for OAuth 2."""

BACKENDS = {
    OAUTH1: "social_bitbucket_server.backends.BitbucketServerOAuth1",
    OAUTH2: "social_bitbucket_server.backends.BitbucketServerOAuth2",
}
"""Dotted paths of our backends for ``AUTHENTICATION_BACKENDS``. They are below the backends themselves, so that
settings can be checked without them."""

PREFIX, _OAUTH2_PREFIX = map(setting_name, BACKENDS)

OWN = frozenset(
    {
        "ALLOW_GROUPS",
        "ALLOW_HTTP",
        "ALLOW_PROJECTS",
        "ALLOW_REPOSITORIES",
        "APPLICATION_NAME",
        "CALLBACK_ORIGIN",
        "CARRY_OVER",
        "CLIENT_CERTIFICATE",
        "CLIENT_CERTIFICATE_FILE",
        "CLIENT_KEY",
        "CLIENT_KEY_FILE",
        "CONNECT_LOGGED_IN",
        "CONNECT_TO",
        "HTTP_HOSTS",
        "INTEGRATIONS",
        "INTEGRATION_MODEL",
        "KEY",
        "KEY_RING",
        "LIMIT",
        "LOGIN_SECONDS",
        "ON_EVENT",
        "ORGANIZATION_ROLES",
        "PATIENCE",
        "PENDING_KEY_ACCEPTED",
        "PRIVATE_KEY",
        "PRIVATE_KEY_FILE",
        "PRIVATE_KEY_PASSPHRASE",
        "PRIVATE_NETWORKS",
        "PROXIES",
        "REQUESTS_TIMEOUT",
        "REVOKE_AT_LOGOUT",
        "ROLES",
        "SCOPE",
        "SECRET",
        "SLOW_STEPS",
        "STORE_ACCESS_TOKEN",
        "TEST_ADDRESSES",
        "URL",
        "VERIFY_SSL",
    }
)
"""The settings of docs/settings.md, without prefix."""

CORES = frozenset(
    {
        "ACCESS_TOKEN_URL",
        "ALLOWED_REDIRECT_HOSTS",
        "ALLOWED_REDIRECT_SCHEMES",
        "ALLOW_INACTIVE_USERS_LOGIN",
        "ALLOW_UNVERIFIED_LEGACY_UID_MIGRATION",
        "AUTHENTICATION_BACKENDS",
        "AUTHORIZATION_URL",
        "AUTH_EXTRA_ARGUMENTS",
        "AUTH_EXTRA_ARGUMENTS_OVERRIDE_ALLOWLIST",
        "BACKEND_PARAM_NAME",
        "CLEAN_USERNAMES",
        "CLEAN_USERNAME_FUNCTION",
        "DISCONNECT_PIPELINE",
        "DISCONNECT_REDIRECT_URL",
        "EMAIL_VALIDATION_EXPIRED_THRESHOLD",
        "EMAIL_VALIDATION_FUNCTION",
        "EMAIL_VALIDATION_URL",
        "ERROR_INCLUDE_METADATA",
        "ERROR_PARAM_NAME",
        "ERROR_TRANSPORT",
        "EXTRA_DATA",
        "FIELDS_STORED_IN_SESSION",
        "FIRSTLAST_FROM_FULL",
        "FORCE_EMAIL_LOWERCASE",
        "FORCE_EMAIL_VALIDATION",
        "FULL_FROM_FIRSTLAST",
        "GET_ALL_EXTRA_DATA",
        "GROUPS_KEY",
        "GROUPS_MAP",
        "ID_KEY",
        "IGNORE_DEFAULT_SCOPE",
        "IMMUTABLE_USER_FIELDS",
        "INACTIVE_USER_LOGIN",
        "INACTIVE_USER_URL",
        "LEGACY_ID_KEYS",
        "LOGIN_ERROR_URL",
        "LOGIN_REDIRECT_URL",
        "LOGIN_URL",
        "MAX_SESSION_LENGTH",
        "NEW_ASSOCIATION_REDIRECT_URL",
        "NEW_USER_REDIRECT_URL",
        "NO_DEFAULT_PROTECTED_USER_FIELDS",
        "PARTIAL_PIPELINE_EXTERNAL_RESUME_CONFIRMATION_PARAMETER",
        "PARTIAL_PIPELINE_TOKEN_NAME",
        "PASSWORDLESS",
        "PIPELINE",
        "PKCE_CODE_CHALLENGE_METHOD",
        "PKCE_CODE_VERIFIER_LENGTH",
        "PROTECTED_USER_FIELDS",
        "RAISE_EXCEPTIONS",
        "REDIRECT_IS_HTTPS",
        "REQUEST_TOKEN_EXTRA_ARGUMENTS",
        "REVOKE_TOKENS_ON_DISCONNECT",
        "REVOKE_TOKEN_URL",
        "SANITIZE_REDIRECTS",
        "SESSION_EXPIRATION",
        "SLUGIFY_FUNCTION",
        "SLUGIFY_USERNAMES",
        "STATE_LIFETIME",
        "STORAGE",
        "STRATEGY",
        "URLOPEN_TIMEOUT",
        "USERNAME_AS_ID",
        "USERNAME_IS_FULL_EMAIL",
        "USER_AGENT",
        "USER_AVATAR_SIZE",
        "USER_FIELDS",
        "USER_FIELD_MAPPING",
        "USE_PKCE",
        "UUID_LENGTH",
        "VERIFIED_EMAILS_ONLY",
        "WHITELISTED_DOMAINS",
        "WHITELISTED_EMAILS",
    }
)
"""The settings that social-core and its Django application look up for each backend."""

_WORDS = {
    "ALLOW_GROUPS": ("GROUPS",),
    "CALLBACK_ORIGIN": ("APPLICATION_URL", "CALLBACK_URL", "REDIRECT_URI", "REDIRECT_URL"),
    "KEY": ("CLIENTID", "CLIENT_ID", "CONSUMER", "CONSUMER_KEY", "OAUTH_KEY"),
    "PRIVATE_KEY": ("CONSUMER_SECRET", "RSA_KEY"),
    "PRIVATE_KEY_FILE": ("CERT_FILE", "KEY_FILE", "PRIVATE_KEY_PATH"),
    "PROXIES": ("HTTPS_PROXY", "HTTP_PROXY", "PROXY"),
    "REQUESTS_TIMEOUT": ("TIMEOUT",),
    "SCOPE": ("SCOPES",),
    "SECRET": ("CLIENT_SECRET",),
    "URL": ("API_URL", "BASE_URL", "BASEURL", "HOST", "SERVER", "SERVER_URL"),
    "VERIFY_SSL": ("CA_BUNDLE", "CA_CERT", "CA_CERTIFICATES", "CA_FILE", "SSL_VERIFY", "VERIFY"),
}
"""The names that other libraries, and Bitbucket itself, use for our settings."""
_OTHER_WORDS = {word: name for name, words in _WORDS.items() for word in words}

_SIMILAR = 0.66
_ALMOST_THE_SAME = 0.9
_SIMILAR_WITH_PREFIX = 0.75


_APPLICATIONS_OWN = frozenset({"ON_EVENT", "ORGANIZATION_ROLES", "ROLES"})
"""Settings without a bare name, because many applications have a setting of that name for themselves."""


@lru_cache(maxsize=1024)
def names_of(backend: str, name: str) -> tuple[str, ...]:
    """Return the full names by which *backend* looks the setting *name* up, in social-core's order: its own, the one
    for all backends, and for most of them the bare one."""
    bare = () if name in _APPLICATIONS_OWN else (name,)
    return setting_name(backend, name), setting_name(name), *bare


class SettingsOf:
    """The settings of *backend*, looked up as social-core does: its own, those of all backends, then bare names."""

    def __init__(self, backend: str, settings: Mapping[str, Any]) -> None:
        self.backend = backend
        self.prefix = setting_name(backend)
        self._settings = settings

    def name(self, name: str) -> str:
        """Return the full name by which *name* is set, or else the backend's own."""
        names = names_of(self.backend, name)
        return next((full for full in names if full in self._settings), names[0])

    def own_name(self, name: str) -> str:
        """Return the full name that sets *name* for this backend alone, and leaves the others as they are."""
        return f"{self.prefix}_{name}"

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of the setting *name*, or *default* where it is not set."""
        names = names_of(self.backend, name)
        return next((self._settings[full] for full in names if full in self._settings), default)

    __getitem__ = get

    def has_own(self, *names: str) -> bool:
        """Return whether one of *names* has a value for this backend alone."""
        return any(self._settings.get(self.own_name(name)) for name in names)


def unknown_names(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each of the full *names* that begins like one of ours but that nothing reads, with the name that was
    probably meant, or an empty text."""
    known = OWN | CORES
    for name in sorted(names):
        if not name.startswith(f"{PREFIX}_"):
            continue
        prefix = _OAUTH2_PREFIX if name.startswith(f"{_OAUTH2_PREFIX}_") else PREFIX
        short = name.removeprefix(f"{prefix}_")
        if short not in known:
            # A name that ends with a whole known one may be a setting of a backend that an application derived from
            # ours, and called otherwise, unless it is almost a known one.
            is_of_another = any(short.endswith(f"_{one}") for one in known)
            least = _ALMOST_THE_SAME if is_of_another else _SIMILAR
            meant = _OTHER_WORDS.get(short) or _most_similar(short, known, least)
            yield name, meant and f"{prefix}_{meant}"


def similar_name(wanted: str, names: Iterable[str]) -> str:
    """Return that of the full *names* which begins otherwise than *wanted*, a setting that is missing, and looks most
    like it; or an empty text."""
    last = wanted.rpartition("_")[2]
    others = [name for name in names if name.endswith(f"_{last}") and not name.startswith(f"{PREFIX}_")]
    return _most_similar(wanted, others, _SIMILAR_WITH_PREFIX)


def _most_similar(text: str, known: Iterable[str], least: float) -> str:
    return next(iter(difflib.get_close_matches(text, sorted(known), n=1, cutoff=least)), "")
