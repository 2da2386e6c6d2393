"""The worksheet: what to enter where in Bitbucket, in the order and the words of Bitbucket's own pages."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from ..crypto import PublicKey
from ..integration import ServerURL


class Dialog(StrEnum):
    """The three generations of the dialog in which Bitbucket creates an application link, by Bitbucket's version."""

    UP_TO_7_19 = "7.19"
    FROM_7_20 = "7.20"
    FROM_10_1 = "10.1"

    @property
    def versions(self) -> str:
        """The versions of Bitbucket that have this dialog, in words."""
        return {"7.19": "up to 7.19", "7.20": "7.20 to 10.0", "10.1": "10.1 and later"}[self]


_NEW_DIALOG = (7, 20)
_THREE_CHOICES = (10, 1)
_OAUTH2_IS_BETTER = (8, 0)


def dialog_of(version: str) -> Dialog:
    """Return the dialog of Bitbucket's *version*, as its REST API gives it; the newest if that cannot be read."""
    number = _number(version)
    if number is None or number >= _THREE_CHOICES:
        return Dialog.FROM_10_1
    return Dialog.UP_TO_7_19 if number < _NEW_DIALOG else Dialog.FROM_7_20


def advice_for(version: str) -> str:
    """Return advice to read before making an application link in Bitbucket's *version*; empty if there is none.

    Atlassian's pages for 7.20, 8.10, 8.19 and 10.x offer OAuth 1 beside OAuth 2.
    """
    number = _number(version)
    if number is None or number < _OAUTH2_IS_BETTER:
        return ""
    return (
        f"This is Bitbucket {number[0]}.{number[1]}. It still takes OAuth 1, which this worksheet is about. From "
        "version 8 on OAuth 2 is the better way for a new link, because Atlassian develops it further."
    )


def oauth2_advice_for(version: str) -> str:
    """Return advice to read before making a link for OAuth 2 in Bitbucket's *version*; empty if there is none."""
    number = _number(version)
    if number is None or number >= _OAUTH2_IS_BETTER:
        return ""
    if number < _NEW_DIALOG:
        return (
            f"This is Bitbucket {number[0]}.{number[1]}. OAuth 2 came with Bitbucket 7.20: upgrade Bitbucket first, "
            "and let people log in by OAuth 1 until then."
        )
    return (
        f"This is Bitbucket {number[0]}.{number[1]}. It is among the first with OAuth 2: where its dialog does not "
        "offer External application, stay with OAuth 1 until Bitbucket was upgraded."
    )


def is_oauth2_better(version: str) -> bool:
    """Return whether OAuth 2 is the better way for a link in Bitbucket's *version*; false if that cannot be read."""
    number = _number(version)
    return number is not None and number >= _OAUTH2_IS_BETTER


def _number(version: str) -> tuple[int, int] | None:
    match = re.match(r"([0-9]{1,4})\.([0-9]{1,4})(?![0-9])", version)
    return (int(match[1]), int(match[2])) if match else None


class Action(StrEnum):
    """The action to take on a part of a page."""

    OPEN = "open"
    TYPE = "type"
    CHOOSE = "choose"
    TICK = "tick"
    LEAVE_EMPTY = "leave empty"
    LEAVE_OFF = "leave off"
    PRESS = "press"
    COPY = "copy"


@dataclass(frozen=True, slots=True)
class Entry:
    """One part of a page: a field, a switch or a button.

    *label*: exactly Bitbucket's. *value*: the address to open, or what to type, choose or tick; empty for the other
    actions. *hint*: a sentence or two, or nothing. *choices*: everything that a dialog offers, from top to bottom, with
    *value* among it; empty where that is not known.
    """

    label: str
    value: str
    action: Action
    hint: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """The actions on one page or in one dialog, from top to bottom. *note* says what to know first; it may be empty."""

    title: str
    entries: tuple[Entry, ...]
    note: str = ""


_CONFIGURE_APPLICATION_URL = Step(
    "Only if Bitbucket shows Configure Application URL: continue",
    (
        Entry("Use this URL", "", Action.TICK, "Where Bitbucket suggests another address than the one above."),
        Entry("Continue", "", Action.PRESS),
    ),
    'The warning "No response was received from the URL you entered" is harmless: Bitbucket need not reach this '
    "application.",
)

TWO_FACTOR_STEP = Step(
    "Only if the plugin U2F & TOTP is installed: let OAuth pass",
    (Entry("Enable OAuth whitelist", "", Action.TICK),),
    "This plugin for two-factor authentication answers the application's requests with a page of its own. Every login "
    "fails until this switch in the plugin's settings is on.",
)

_CREATE_INCOMING_LINK_HINT = (
    "If you tick it, Bitbucket asks for Consumer Key, Consumer Name and Public Key on the next page: the values are "
    "those of the step Incoming Authentication."
)
_CALLBACK_HINT = (
    "Bitbucket appends a slash to whatever is entered here, and the login would not find its way back. Every login "
    "brings its own callback address."
)
_NAME_HINT = "People see it when Bitbucket asks whether they allow the login."


def worksheet(
    *,
    server_url: ServerURL,
    application_url: str,
    application_name: str,
    consumer_key: str,
    public_key: PublicKey,
    dialog: Dialog,
    consumer_name: str = "",
    for_organization: bool = True,
) -> tuple[Step, ...]:
    """Return the steps by which a Bitbucket admin makes the application link.

    *application_url* must be another one for every organization, because Bitbucket refuses a second link with the
    same. *consumer_name*, by default *application_name*, is what people see when Bitbucket asks for their permission.
    *for_organization* says whether the reader belongs to an organization of the application; false for an application
    with one server.
    """
    return (
        _open_application_links(server_url),
        _create_link(application_url, dialog, for_organization=for_organization),
        _CONFIGURE_APPLICATION_URL,
        Step(
            "Fill in Link applications",
            (
                Entry("Application Name", application_name, Action.TYPE, "You may choose another name."),
                Entry("Application Type", "Generic Application", Action.CHOOSE),
                *(Entry(label, "", Action.LEAVE_EMPTY) for label in _OUTGOING_FIELDS),
                Entry("Create incoming link", "", Action.LEAVE_OFF, _CREATE_INCOMING_LINK_HINT),
                _press("Continue"),
            ),
        ),
        Step(
            "Open the new link's Incoming Authentication",
            (_press("Edit", f"The pencil in the row of {application_name}."), _press("Incoming Authentication")),
        ),
        _incoming_authentication(consumer_key, consumer_name or application_name, public_key.pem),
        TWO_FACTOR_STEP,
    )


def oauth2_worksheet(
    *, server_url: ServerURL, redirect_url: str, application_name: str, dialog: Dialog = Dialog.FROM_10_1
) -> tuple[Step, ...]:
    """Return the steps by which a Bitbucket admin makes the link for OAuth 2, an *External application*.

    *redirect_url*: where logins come back to; Bitbucket compares it letter by letter. *application_name*: another one
    for every link, because Bitbucket tells links apart by it; people see it when they are asked for their permission.
    *dialog*: one that has OAuth 2, so not the one up to 7.19.
    """
    choices = _APPLICATION_TYPES.get(dialog, (_EXTERNAL,))
    hint = "This permission is enough to log in. Leave all others off."
    return (
        _open_application_links(server_url),
        Step(
            "Create the link",
            (
                _press("Create link"),
                Entry("Application type", _EXTERNAL, Action.CHOOSE, choices=choices),
                Entry("Direction", "Incoming", Action.CHOOSE),
                _press("Continue"),
            ),
        ),
        Step(
            "Fill in Configure an incoming link",
            (
                Entry("Name", application_name, Action.TYPE, _NAME_HINT),
                Entry("Redirect URL", redirect_url, Action.TYPE, "Exactly so: Bitbucket compares every letter."),
                Entry("Application permissions", "Repositories: Read", Action.TICK, hint),
                _press("Save"),
            ),
        ),
        Step(
            "Copy the credentials into this application",
            (Entry("Client ID", "", Action.COPY), Entry("Client secret", "", Action.COPY)),
            "Bitbucket shows both after Save. Anyone with the client secret can impersonate this application. Send it "
            "through a private channel.",
        ),
    )


def render_text(steps: Iterable[Step]) -> str:
    """Return *steps* as plain text for a terminal. Values can be copied, because they are not wrapped or indented."""
    lines: list[str] = []
    for number, step in enumerate(steps, start=1):
        lines += [*([""] if lines else []), f"{number}. {step.title}"]
        if step.note:
            lines.append(textwrap.indent(textwrap.fill(step.note, 76), "   "))
        for entry in step.entries:
            separator = "\n\n" if "\n" in entry.value else " = " if entry.value else ""
            lines.append(f"   - {entry.action.capitalize()}: {entry.label}{separator}{entry.value}")
            if entry.hint:
                lines.append(textwrap.indent(textwrap.fill(entry.hint, 74), "     "))
    return "".join(f"{line}\n" for line in lines)


def _open_application_links(server_url: ServerURL) -> Step:
    return Step(
        "Open Application Links in Bitbucket's Administration",
        (Entry("Application Links", server_url.application_links, Action.OPEN),),
        "Log in as a Bitbucket admin.",
    )


def _create_link(application_url: str, dialog: Dialog, *, for_organization: bool) -> Step:
    owner = "It belongs to your organization alone" if for_organization else "It is for this application alone"
    hint = f"{owner}: Bitbucket refuses a second link with the same address."
    url = Entry("Application URL", application_url, Action.TYPE, hint)
    if dialog is Dialog.UP_TO_7_19:
        return Step("Create the link", (url, _press("Create new link")))
    choices = _APPLICATION_TYPES[dialog]
    return Step(
        "Create the link",
        (
            _press("Create link"),
            Entry("Application type", choices[0], Action.CHOOSE, _OAUTH1_HINTS[dialog], choices),
            url,
            _press("Continue"),
        ),
    )


_OUTGOING_FIELDS = (
    "Service Provider Name",
    "Consumer key",
    "Shared secret",
    "Request Token URL",
    "Access token URL",
    "Authorize URL",
)
_EXTERNAL = "External application"
_APPLICATION_TYPES = {
    Dialog.FROM_7_20: ("Atlassian product", _EXTERNAL),
    Dialog.FROM_10_1: ("Atlassian product via OAuth 1.0", "Atlassian product via OAuth 2.0", _EXTERNAL),
}
_OAUTH1_HINTS = {
    Dialog.FROM_7_20: (
        "Atlassian product is for other applications, too. Newer versions call it Atlassian product via OAuth 1.0. "
        "External application would be OAuth 2."
    ),
    Dialog.FROM_10_1: (
        "Atlassian product via OAuth 1.0 is for other applications, too. Atlassian product via OAuth 2.0 and External "
        "application would be OAuth 2."
    ),
}


def _incoming_authentication(consumer_key: str, consumer_name: str, pem: str) -> Step:
    return Step(
        "Fill in Incoming Authentication",
        (
            Entry("Consumer Key", consumer_key, Action.TYPE),
            Entry("Consumer Name", consumer_name, Action.TYPE, _NAME_HINT),
            Entry("Description", "", Action.LEAVE_EMPTY),
            Entry("Public Key", pem, Action.TYPE, "From the BEGIN line to the END line, with nothing before it."),
            Entry("Consumer Callback URL", "", Action.LEAVE_EMPTY, _CALLBACK_HINT),
            Entry("Allow 2-Legged OAuth", "", Action.LEAVE_OFF),
            Entry("Execute as", "", Action.LEAVE_EMPTY),
            Entry("Allow user impersonation through 2-Legged OAuth", "", Action.LEAVE_OFF),
            _press("Save"),
        ),
    )


def _press(label: str, hint: str = "") -> Entry:
    return Entry(label, "", Action.PRESS, hint)
