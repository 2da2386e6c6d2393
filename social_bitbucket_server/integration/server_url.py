"""The base URL of a Bitbucket Server, every address below it, and where its connections go.

Addresses are made by joining, never by resolving, so that a context path survives.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from urllib.parse import quote, urlencode

from ..problems import BitbucketServerError, Code

_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+")
_SHAPE = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/]*)(?P<path>/.*)?", re.DOTALL)
_AUTHORITY = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*)(?::(?P<port>.*))?", re.DOTALL)
_SSH = re.compile(r"ssh://|git@|[A-Za-z0-9._-]{1,64}@[A-Za-z0-9.-]{1,255}:(?!//)", re.IGNORECASE)
_DEFAULT_PORTS = {"https": 443, "http": 80}
_CLOUD = re.compile(r"(?:.+\.)?(?:bitbucket\.org|atlassian\.net|jira\.com)")
_PAGES = frozenset(
    {
        "account",
        "admin",
        "dashboard",
        "getting-started",
        "login",
        "logout",
        "mvc",
        "plugins",
        "profile",
        "projects",
        "repos",
        "rest",
        "scm",
        "users",
    }
)
"""The first segments of the paths of Bitbucket's pages, clone addresses and REST."""
_BLANK = re.compile(r"[\x00- \x7f]")
_CONNECT_TO = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s/:@\[\]]+):[0-9]+")


@dataclass(frozen=True, slots=True)
class BaseURLRules:
    """The rules for base URLs.

    *ports*: the ports that may be used; ``None`` for all. *plain_http_hosts* and *literal_hosts*: the hosts that may
    be used with ``http://``, and the IP addresses that may be used instead of a name; ``None`` for all.
    *single_label_hosts*: whether names without a dot may be used. Loopback may always use ``http://`` where its
    address or name is accepted at all.
    """

    ports: frozenset[int] | None = None
    plain_http_hosts: frozenset[str] | None = frozenset()
    literal_hosts: frozenset[str] | None = None
    single_label_hosts: bool = True


OPERATOR_RULES = BaseURLRules()
"""For the one server that an operator names in the application's settings."""

ORGANIZATION_RULES = BaseURLRules(
    ports=frozenset({443, 8443, 7990}), literal_hosts=frozenset(), single_label_hosts=False
)
"""For servers that organizations enter themselves."""


@dataclass(frozen=True, slots=True)
class ServerURL:
    """The canonical base URL: *scheme*, lower-case *host*, *port* if it is not the scheme's own, and *path* without a
    trailing slash. *rules*: those that it was read by. They also hold for addresses that the server proposes."""

    scheme: str
    host: str
    port: int | None
    path: str
    rules: BaseURLRules = field(default=OPERATOR_RULES, repr=False, compare=False)

    @classmethod
    def parse(cls, text: str, rules: BaseURLRules = OPERATOR_RULES) -> ServerURL:
        """Read a base URL as a person typed it, with or without context path and trailing slash.

        Raises ``invalid_base_url`` with a reason that names what is wrong. Never looks a name up.
        """
        if not text:
            raise _invalid("It is empty.")
        if len(text) > 255:
            raise _invalid("It is longer than 255 characters.")
        if not text.isascii():
            raise _invalid("It has characters outside ASCII; write an international host name in its xn-- form.")
        if _BLANK.search(text):
            raise _invalid("It contains white space or a control character.")
        if _SSH.match(text):
            raise _invalid("It is an address for git over SSH; copy the one that a browser shows for Bitbucket.")
        for character, name in _FORBIDDEN.items():
            if character in text:
                raise _invalid(f"It contains {name}.{_advice(text, rules)}")
        shape = _SHAPE.fullmatch(text)
        if shape is None:
            raise _invalid("It does not begin with https:// and a host name.")
        scheme = shape["scheme"].lower()
        if scheme not in _DEFAULT_PORTS:
            raise _invalid(f"Its scheme is {scheme}; it must be https.")
        host, port = _host_and_port(shape["authority"], rules)
        if scheme == "http" and not (is_loopback(host) or _permits(rules.plain_http_hosts, host)):
            raise _invalid("It begins with http://; it must begin with https://.")
        port = port or _DEFAULT_PORTS[scheme]
        if rules.ports is not None and port not in rules.ports and not _permits_port(rules, host):
            raise _invalid(f"Port {port} is not one of {', '.join(map(str, sorted(rules.ports)))}.")
        return cls(scheme, host, None if port == _DEFAULT_PORTS[scheme] else port, _path(shape["path"] or ""), rules)

    def __str__(self) -> str:
        return self.origin + self.path

    @property
    def before_page(self) -> ServerURL | None:
        """The part of this address before a page such as ``/projects/…``; ``None`` if it names no page."""
        segments = self.path.split("/")
        place = next((number for number, segment in enumerate(segments) if segment.lower() in _PAGES), None)
        return None if place is None else replace(self, path="/".join(segments[:place]))

    @property
    def origin(self) -> str:
        """Scheme, host and port: what a browser's security rules compare."""
        return f"{self.scheme}://{self.host}" + (f":{self.port}" if self.port else "")

    def join(self, path: str, /, **query: str | int) -> str:
        """Return an address below the base URL. *path* begins with a slash and is percent-encoded already."""
        return f"{self}{path}" + (f"?{urlencode(query, quote_via=quote)}" if query else "")

    @property
    def host_and_port(self) -> tuple[str, int]:
        """Host and port of connections, unless a :class:`ConnectTo` says otherwise."""
        return self.host, self.port or _DEFAULT_PORTS[self.scheme]

    @property
    def request_token(self) -> str:
        """The address that issues request tokens (POST)."""
        return self.join("/plugins/servlet/oauth/request-token")

    def authorize(self, token: str) -> str:
        """Return the page on which a person allows or denies the login that began with the request token *token*."""
        return self.join("/plugins/servlet/oauth/authorize", oauth_token=token)

    @property
    def access_token(self) -> str:
        """The address that exchanges a request token and its verifier for an access token (POST)."""
        return self.join("/plugins/servlet/oauth/access-token")

    def oauth2_authorize(self, **query: str) -> str:
        """Return the page on which a person allows or denies a login by OAuth 2."""
        return self.join("/rest/oauth2/latest/authorize", **query)

    @property
    def oauth2_token(self) -> str:
        """The address that exchanges a code or a refresh token for an access token of OAuth 2 (POST)."""
        return self.join("/rest/oauth2/latest/token")

    @property
    def oauth2_revoke(self) -> str:
        """The address that revokes an access token or a refresh token of OAuth 2 (POST)."""
        return self.join("/rest/oauth2/latest/revoke")

    @property
    def granted_permissions(self) -> str:
        """The page on which people see which applications may act for them by OAuth 1, and end that."""
        return self.join("/plugins/servlet/oauth/users/access-tokens")

    @property
    def whoami(self) -> str:
        """The signed-in person's user name, as text."""
        return self.join("/plugins/servlet/applinks/whoami")

    @property
    def application_links(self) -> str:
        """The administration page on which application links are made."""
        return self.join("/plugins/servlet/applinks/listApplicationLinks")

    @property
    def application_properties(self) -> str:
        """The server's version; its answer's headers name the signed-in person."""
        return self.join("/rest/api/latest/application-properties")

    @property
    def status(self) -> str:
        """The address that says whether Bitbucket is running, without a login."""
        return self.join("/status")

    def user(self, slug: str, *, avatar_size: int | None = None) -> str:
        """Return the address of one user's record. *avatar_size*: the width in pixels of the picture that it names, or
        ``None`` for no picture."""
        query = {"avatarSize": avatar_size} if avatar_size else {}
        return self.join(f"/rest/api/latest/users/{quote(slug, safe='')}", **query)

    def users(
        self, name: str, *, start: int = 0, limit: int = 25, avatar_size: int | None = None, group: str = ""
    ) -> str:
        """Return the address of one page of the users whose name, display name or e-mail address contains *name*. With
        *group*, its members alone are searched."""
        query: dict[str, str | int] = {"filter": name, "start": start, "limit": limit}
        if avatar_size:
            query["avatarSize"] = avatar_size
        if group:
            query["group"] = group
        return self.join("/rest/api/latest/users", **query)

    def project(self, key: str) -> str:
        """Return the address of one project's record."""
        return self.join(f"/rest/api/latest/projects/{quote(key, safe='')}")

    def repository(self, name: str) -> str:
        """Return the address of one repository's record. *name* is the project's key, a slash, and the slug."""
        key, _, slug = name.partition("/")
        return f"{self.project(key)}/repos/{quote(slug, safe='')}"

    def projects(self, permission: str, name: str, *, start: int = 0) -> str:
        """Return the address of one page of the projects on which the person has *permission*, such as
        ``PROJECT_WRITE``, and whose name contains *name*."""
        return self.join("/rest/api/latest/projects", permission=permission, name=name, start=start, limit=25)

    def repositories(self, permission: str, name: str, project_name: str, *, start: int = 0) -> str:
        """Return the address of one page of the repositories on which the person has *permission*, such as
        ``REPO_WRITE``, and whose name and project's name contain *name* and *project_name*."""
        query: dict[str, str | int] = {"name": name, "projectname": project_name, "start": start, "limit": 25}
        return self.join("/rest/api/latest/repos", permission=permission, **query)


class ConnectTo(NamedTuple):
    """A lower-case *host* and a *port* for connections, if only browsers can reach the server at the base URL's host.

    Certificate, ``Host`` header and signatures stay those of the base URL.
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, rules: BaseURLRules = OPERATOR_RULES) -> ConnectTo:
        """Read ``host:port`` as a person typed it; *rules* concern host and port as they do in a base URL.

        Raises ``connect_to_invalid`` with a reason that names what is wrong. Never looks a name up.
        """
        if not isinstance(text, str) or not _CONNECT_TO.fullmatch(text):
            raise BitbucketServerError(
                Code.CONNECT_TO_INVALID, "It is not a host, a colon and a port.", parameter="connect_to"
            )
        try:
            host, port = ServerURL.parse(f"https://{text}", rules).host_and_port
        except BitbucketServerError as error:
            raise BitbucketServerError(Code.CONNECT_TO_INVALID, error.reason, parameter="connect_to") from error
        return cls(host, port)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


_FORBIDDEN = {
    "\\": "a backslash",
    "@": "a user name; leave out everything before and including the @",
    "?": "a question mark; leave out the query",
    "#": "a #; leave out the fragment",
    "%": "a percent sign; the base URL has no encoded characters",
    ";": "a semicolon",
}


def is_loopback(host: str) -> bool:
    """Return whether *host*, a canonical host of a base URL, is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _invalid(reason: str) -> BitbucketServerError:
    return BitbucketServerError(Code.INVALID_BASE_URL, reason, parameter="base_url")


def _advice(text: str, rules: BaseURLRules) -> str:
    """Return a sentence with the base URL that is probably meant by the address of a page, with its query, or of a
    clone, with its user; or an empty text."""
    bare = re.sub(r"(?<=://)[^/@]*@", "", re.sub(r"[?#;%].*", "", text, flags=re.DOTALL))
    if any(character in bare for character in _FORBIDDEN):
        return ""
    try:
        url = ServerURL.parse(bare, rules)
    except BitbucketServerError:
        return ""
    return f" Its base URL may be {url.before_page or url}."


def _permits(hosts: frozenset[str] | None, host: str) -> bool:
    return hosts is None or host in hosts


def _permits_port(rules: BaseURLRules, host: str) -> bool:
    """Return whether *host* may have any port, because the operator listed this address of the machine itself."""
    return is_loopback(host) and rules.literal_hosts is not None and host in rules.literal_hosts


def _host_and_port(authority: str, rules: BaseURLRules) -> tuple[str, int | None]:
    match = _AUTHORITY.fullmatch(authority)
    if match is None or not match["host"]:
        raise _invalid("It has no host name.")
    host, text = _host(match["host"].lower(), rules), match["port"]
    if text is None:
        return host, None
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise _invalid("What follows the colon after the host name is not a port number.")
    return host, int(text)


def _host(host: str, rules: BaseURLRules) -> str:
    literal = _literal(host)
    if literal is not None:
        if not _permits(rules.literal_hosts, literal):
            raise _invalid("It has an IP address instead of a host name.")
        return literal
    if host.endswith("."):
        raise _invalid("Its host name ends with a dot.")
    if _CLOUD.fullmatch(host):
        raise _invalid("It is Bitbucket Cloud, or another product in Atlassian's cloud, and not a Bitbucket Server.")
    if "_" in host:
        raise _invalid("Its host name has an underscore, which host names of the web cannot have.")
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _invalid("Its host name is not a valid one.")
    if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):
        raise _invalid("Its host name looks like a number.")
    if len(labels) == 1 and not rules.single_label_hosts:
        raise _invalid("Its host name has no dot; write it in full, as the rest of the world would.")
    return host


def _literal(host: str) -> str | None:
    if host.startswith("["):
        try:
            return f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
        except ValueError:
            raise _invalid("What stands between the brackets is not an IPv6 address.") from None
    try:
        return str(ipaddress.IPv4Address(host))
    except ValueError:
        return None


def _path(text: str) -> str:
    path = text.rstrip("/")
    for segment in path.split("/")[1:]:
        if not _SEGMENT.fullmatch(segment) or segment in {".", ".."}:
            raise _invalid("Its context path is not made of plain segments such as /bitbucket.")
    return path
