"""A person's browser, as far as a login needs one: it opens pages, follows redirects and sends forms."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import requests

_SECONDS = 30


@dataclass
class Form:
    """A form: its address, its fields with their values, and its buttons that have a name."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, str] = field(default_factory=dict)


class Browser:
    """Shows one page at a time: its *address* and its *text*."""

    def __init__(self) -> None:
        self._session = requests.Session()
        self._session.trust_env = False
        self.address = ""
        self.text = ""

    def open(self, address: str) -> None:
        """Open the page at *address*."""
        self._show(self._session.get(address, timeout=_SECONDS))

    def send(self, name: str, **values: str) -> None:
        """Send the form that has a field or button called *name*, or whose address contains it, with *values*."""
        form = next(
            form
            for form in _forms(self.text)
            if name in form.fields or name in form.buttons or name in form.action.partition("?")[0]
        )
        pressed = {name: form.buttons[name]} if name in form.buttons else {}
        address = urljoin(self.address, form.action)
        self._show(
            self._session.post(
                address, {**form.fields, **pressed, **values}, headers={"Referer": self.address}, timeout=_SECONDS
            )
        )

    def _show(self, answer: requests.Response) -> None:
        self.address, self.text = answer.url, answer.text
        assert answer.ok, f"{answer.url} answered {answer.status_code}: {answer.text}"


def _forms(page: str) -> list[Form]:
    reader = _Reader()
    reader.feed(page)
    return reader.forms


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(attributes.get("action", "")))
        elif self.forms and "name" in attributes and tag in {"button", "input"}:
            is_button = tag == "button" or attributes.get("type") == "submit"
            fields = self.forms[-1].buttons if is_button else self.forms[-1].fields
            fields[attributes["name"]] = attributes.get("value", "")
