"""A person who looks at the sandbox's pages and fills in their forms."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import urljoin

import requests


class _Page(HTMLParser):
    """The form of the main part: its address, and what it would send untouched."""

    def __init__(self, html):
        super().__init__()
        self.action = ""
        self.method = ""
        self.fields = {}
        self.labels = []
        self.headings = []
        self._main = self._label = self._heading = False
        self._area = None
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self._main = self._main or tag == "main"
        if not self._main:
            return
        if tag == "form":
            self.action, self.method = attributes.get("action", ""), attributes["method"]
        elif tag == "input" and attributes.get("type") in {"checkbox", "radio"}:
            if "checked" in attributes:
                self.fields[attributes["name"]] = attributes["value"]
        elif tag == "input":
            self.fields[attributes["name"]] = attributes.get("value", "")
        elif tag == "textarea":
            self._area = attributes["name"]
            self.fields[self._area] = ""
        self._label = tag == "label"
        self._heading = tag in {"h1", "h2"}

    def handle_endtag(self, tag):
        self._main = self._main and tag != "main"
        self._label = self._heading = False
        self._area = None if tag == "textarea" else self._area

    def handle_data(self, data):
        if self._label:
            self.labels.append(data.strip())
        if self._heading:
            self.headings.append(data.strip())
        if self._area:
            self.fields[self._area] += data.removeprefix("\n")


class Visitor:
    """A browser of one person; follows redirects below *url*, and stops at others."""

    def __init__(self, url):
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False
        self.response = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._session.close()

    def open(self, path):
        """Look at a page, given by path or address; returns the visitor."""
        return self._go("GET", urljoin(f"{self.url}/", path if "://" in path else self.url + path))

    def log_in(self, name):
        """Open the log-in page and log in."""
        return self.open("/login").submit(j_username=name, j_password=name)

    def submit(self, **fields):
        """Send the page's form with *fields* filled in; ``None`` leaves one out."""
        page = self.page
        data = {name: value for name, value in (page.fields | fields).items() if value is not None}
        return self._go("POST", urljoin(self.response.url, page.action), data)

    def post(self, path, **fields):
        """Send a form that no page showed."""
        return self._go("POST", self.url + path, fields)

    def head(self, path):
        """Ask for the head of a page alone, as previews of links do."""
        return self._go("HEAD", urljoin(f"{self.url}/", path if "://" in path else self.url + path))

    def _go(self, method, address, data=None):
        self.response = self._session.request(method, address, data=data, allow_redirects=False, timeout=120)
        while self.response.is_redirect and urljoin(address, self.response.headers["Location"]).startswith(self.url):
            address = urljoin(address, self.response.headers["Location"])
            self.response = self._session.get(address, allow_redirects=False, timeout=120)
        return self

    @property
    def page(self):
        return _Page(self.response.text)

    @property
    def status(self):
        return self.response.status_code

    @property
    def path(self):
        return self.response.url.removeprefix(self.url)

    @property
    def heading(self):
        return self.page.headings[0]

    @property
    def text(self):
        """Readable text of the page, in one line."""
        return " ".join(re.sub(r"<[^>]*>", " ", self.response.text).split())

    @property
    def refusal(self):
        """The sentence in the red box."""
        found = re.search(r'role="alert">([^<]*)<', self.response.text)
        return found[1].replace("&#39;", "'") if found else ""
