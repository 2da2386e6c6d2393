"""A visitor of a WSGI application who sends anything: what pages ask for, what no page sends, and noise."""

from __future__ import annotations

import html
import io
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes, urlencode, urlsplit
from wsgiref.types import WSGIApplication
from wsgiref.util import setup_testing_defaults

ODD = (
    *(
        "",
        " ",
        ".",
        "..",
        "../..",
        "%",
        "%00",
        "\0",
        "a\r\nX: y",
        "\ud800",
        "💩",
        "é",
        "\u202e",
        "\ufeff",
        "<b>",
        "'\"",
    ),
    *("0", "-1", "007", "1e9", "9" * 30, "9" * 5000, "x" * 5000, "true", "null", "[]", "{}", "a=b&c", "a;b", "\\"),
    *(
        "http://",
        "https://[::1",
        "//evil.example/",
        "javascript:0",
        "https://169.254.169.254/",
        "http://a.example:99999",
    ),
    *("-----BEGIN PRIVATE KEY-----", "a.a=1\n", "[" * 500, "a." * 500 + "a=1", "jane@acme.example", "2026-01-01"),
)
HOSTS = (
    *("", "evil.example", ".", "a..b", f"{'x' * 64}.example", "x" * 300, "a:b", "a:99999", "[::1", "[::1]:5000"),
    *("é.example", "a b", "127.0.0.1:5000:1", "127.0.0.1@evil.example", "user:password@127.0.0.1", "%00"),
)
HEADERS = {
    "HTTP_ORIGIN": ("null", "https://evil.example", "x"),
    "HTTP_REFERER": ("https://evil.example/x", "x", "é"),
    "HTTP_SEC_FETCH_SITE": ("cross-site", "same-origin", "x"),
    "HTTP_AUTHORIZATION": ("OAuth", 'OAuth oauth_token="%ED%A0%80"', "Basic !", "Bearer ", "Basic " + "x" * 5000, "é"),
    "HTTP_X_FORWARDED_FOR": ("1.2.3.4, x", "::ffff:1.2.3.4", "é", ","),
    "HTTP_X_FORWARDED_HOST": HOSTS,
    "HTTP_X_FORWARDED_PROTO": ("ftp", "https,http", ""),
    "HTTP_ACCEPT": ("application/json", "*", ";q=x", "x" * 5000),
    "HTTP_ACCEPT_LANGUAGE": ("de;q=x", "*", "x" * 5000, "é"),
    "HTTP_RANGE": ("bytes=5-1", "bytes=x", f"bytes=0-{'9' * 30}"),
    "HTTP_IF_NONE_MATCH": ('"', "W/", "*"),
    "HTTP_IF_MODIFIED_SINCE": ("Mon, 99 Foo 0000 00:00:00 GMT", "x"),
    "HTTP_COOKIE": (
        "=",
        "a",
        ";;;",
        "application_session=x; application_session=y",
        "sessionid=\0",
        "csrftoken=é",
        "x=" + "y" * 9000,
    ),
    "HTTP_X_CSRFTOKEN": ("x", "é"),
}
METHODS = ("HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "BREW", "X" * 300)
BODY_TYPES = (
    *("", "text/plain", "application/json", "application/json; charset=utf-7", "application/xml"),
    *("application/x-www-form-urlencoded; charset=utf-16", "multipart/form-data", "multipart/form-data; boundary="),
    *(f"multipart/form-data; boundary={'x' * 300}", "multipart/mixed; boundary=x", "é", "/", ";"),
)
_FORM = "application/x-www-form-urlencoded"
_REMEMBERED = 400


@dataclass
class Answer:
    """Answer to *request*, which is described in a few words."""

    request: str
    status: int


@dataclass
class Visitor:
    """Sends requests that *chance* chooses to *application*, whose address is *origin*.

    It starts from *paths*, and finds further addresses and the fields of forms in the answers. *cookies* are those of
    its browser.
    """

    application: WSGIApplication
    origin: str
    chance: random.Random
    paths: list[str]
    cookies: dict[str, str] = field(default_factory=dict)
    body_types: Sequence[str] = BODY_TYPES
    _forms: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)
    _names: list[str] = field(
        default_factory=lambda: ["next", "state", "code", "oauth_token", "oauth_verifier", "error"]
    )

    def send(self) -> Answer:
        """Send one request, and learn from its answer."""
        fields: list[tuple[str, str]] = []
        if self._forms and self.chance.random() < 0.45:
            method = "POST"
            path, fields = self.chance.choice(self._forms)
            # Of several buttons one is pressed.
            fields = list(dict(self.chance.sample(fields, len(fields))).items())
        else:
            method = self.chance.choices(["GET", "POST", self.chance.choice(METHODS)], [8, 3, 1])[0]
            path = self.chance.choice(self.paths)
        if self.chance.random() < 0.15:
            path = self._changed_path(path)
        query = self._query() if self.chance.random() < 0.25 else urlsplit(path).query
        environ = self._environ(method, urlsplit(path).path, query)
        body = ""
        if method not in {"GET", "HEAD"}:
            content_type, body = self._body([(name, self._value(name, value)) for name, value in fields])
            self._add_body(environ, content_type, body)
        status, headers, page = _ask(self.application, environ)
        self._learn(urlsplit(path).path, headers, page)
        odd_headers = {name: value for name, value in environ.items() if name in HEADERS or name == "HTTP_HOST"}
        return Answer(f"{method} {path[:300]!r} ?{query[:300]!r} {odd_headers!r} {body[:1000]!r}", status)

    def _changed_path(self, path: str) -> str:
        parts = urlsplit(path).path.split("/")
        parts[self.chance.randrange(len(parts))] = quote(self.chance.choice(ODD), errors="surrogatepass")
        return "/".join(parts) if self.chance.random() < 0.9 else "/" + self.chance.choice(ODD)

    def _query(self) -> str:
        pairs = [(self.chance.choice(self._names), self.chance.choice(ODD)) for _ in range(self.chance.randrange(4))]
        if pairs and self.chance.random() < 0.3:
            pairs.append(pairs[0])
        if self.chance.random() < 0.1:
            return quote_from_bytes(self.chance.randbytes(20), safe="&=;?/")
        return urlencode(pairs, errors="surrogatepass")

    def _value(self, name: str, value: str) -> str:
        is_guard = "csrf" in name or name == "form_token"
        chance = 0.03 if is_guard else 0.3
        return self.chance.choice(ODD) if self.chance.random() < chance else value

    def _environ(self, method: str, path: str, query: str) -> dict[str, Any]:
        parts = urlsplit(self.origin)
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": unquote_to_bytes(path.encode(errors="surrogatepass")).decode("latin-1"),
            "QUERY_STRING": query,
            "REQUEST_URI": f"{path}?{query}" if query else path,
            "HTTP_HOST": parts.netloc,
            "SERVER_NAME": parts.hostname or "",
            "SERVER_PORT": str(parts.port or 443),
            "REMOTE_ADDR": f"10.0.{self.chance.randrange(256)}.{self.chance.randrange(256)}",
            "wsgi.url_scheme": parts.scheme,
            "wsgi.errors": io.StringIO(),
            "HTTP_COOKIE": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
        }
        setup_testing_defaults(environ)
        if self.chance.random() < 0.06:
            environ["HTTP_HOST"] = _as_sent(self.chance.choice(HOSTS))
        if self.chance.random() < 0.01:
            del environ["HTTP_HOST"]
        if self.chance.random() < 0.25:
            name = self.chance.choice(list(HEADERS))
            environ[name] = _as_sent(self.chance.choice(HEADERS[name]))
        return environ

    def _body(self, fields: list[tuple[str, str]]) -> tuple[str, str]:
        """Return content type and body. A form that was found keeps most of its fields."""
        if not fields or self.chance.random() < 0.1:
            fields = [*fields, (self.chance.choice(self._names), self.chance.choice(ODD))]
        if self.chance.random() < 0.1:
            fields = [*fields, self.chance.choice(fields)]
        if self.chance.random() < 0.1:
            fields = [one for one in fields if one is not fields[self.chance.randrange(len(fields))]]
        kind = self.chance.random()
        if kind < 0.7:
            return _FORM, urlencode(fields, errors="surrogatepass")
        if kind < 0.9:
            return "multipart/form-data; boundary=XX", self._parts(fields)
        return self.chance.choice(self.body_types), self.chance.choice(
            [urlencode(fields, errors="surrogatepass"), *ODD]
        )

    def _parts(self, fields: Iterable[tuple[str, str]]) -> str:
        """Return a form whose fields may be files."""
        parts = []
        for name, value in fields:
            is_file = self.chance.random() < 0.3
            filename = f'; filename="{self.chance.choice(["a.txt", "", "../x", "é"])}"' if is_file else ""
            parts.append(f'--XX\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n\r\n{value}\r\n')
        return "".join(parts) + "--XX--\r\n"

    def _add_body(self, environ: dict[str, Any], content_type: str, body: str) -> None:
        data = body.encode(errors="surrogatepass")
        environ["wsgi.input"] = io.BytesIO(data)
        environ["CONTENT_TYPE"] = _as_sent(content_type)
        environ["CONTENT_LENGTH"] = str(len(data))

    def _learn(self, path: str, headers: list[tuple[str, str]], page: str) -> None:
        found = [value for name, value in headers if name == "Location"]
        for name, value in headers:
            if name == "Set-Cookie":
                cookie, _, kept = value.partition(";")[0].partition("=")
                self.cookies[cookie] = kept
        for form in re.finditer(r"<form\b([^>]*)>(.*?)</form>", page, re.DOTALL):
            tags = re.findall(r"<(?:input|textarea|select|button)\b[^>]*>", form[2])
            fields = [(name, _attribute("value", tag)) for tag in tags if (name := _attribute("name", tag))]
            self._forms.append((_attribute("action", form[1]) or path, fields))
            self._names += [name for name in dict(fields) if name not in self._names]
        found += map(html.unescape, re.findall(r'href="([^"#]+)"', page))
        for address in found:
            parts = urlsplit(address)
            is_here = f"{parts.scheme}://{parts.netloc}" == self.origin or (not parts.netloc and parts.path[:1] == "/")
            if is_here and (known := parts.path + (f"?{parts.query}" if parts.query else "")) not in self.paths:
                self.paths.append(known)
        del self._forms[:-_REMEMBERED], self.paths[_REMEMBERED:]


def _attribute(name: str, tag: str) -> str:
    found = re.search(rf'{name}="([^"]*)"', tag)
    return html.unescape(found[1]) if found else ""


def _as_sent(text: str) -> str:
    """Return header text as a WSGI server passes it on."""
    return text.encode(errors="surrogatepass").decode("latin-1")


def _ask(application: WSGIApplication, environ: dict[str, Any]) -> tuple[int, list[tuple[str, str]], str]:
    begun: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None) -> Any:
        begun.append((status, headers))
        return lambda _data: None

    answer = application(environ, start_response)
    try:
        page = b"".join(answer)
    finally:
        close = getattr(answer, "close", None)
        if close is not None:
            close()
    status, headers = begun[-1]
    return int(status.split()[0]), headers, page.decode(errors="replace")
