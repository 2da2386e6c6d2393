"""Configuration as text: an organization's integrations as TOML, without anything secret, written and taken over."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Blueprint, flash, redirect, url_for
from flask.typing import ResponseReturnValue

from ...integration import Admission, ConnectTo, ServerURL
from ...organizations import OAuth
from ...problems import BitbucketServerError
from ...sqlalchemy.organizations import NameTakenError
from ...transport import read_ca_certificates
from . import access, limits, toml
from .current import session, store
from .forms import ConfigurationForm, is_one_line
from .limits import Limited
from .templating import render

if TYPE_CHECKING:
    from ...sqlalchemy.organizations import IntegrationMixin

blueprint = Blueprint("configuration", __name__)

MOST_INTEGRATIONS = 20
"""How many may be taken over at once: each new one has a key pair made."""

_MOST_SENTENCES = 3  # in the session, which is a cookie and has little room
_LISTS = ("allow_groups", "allow_projects", "allow_repositories")
_FIELDS = frozenset({"name", "base_url", "oauth", "enabled", "ca_certificates", "connect_to", *_LISTS})


class UnusableConfigurationError(ValueError):
    """One sentence says what is wrong, and where."""


@dataclass(frozen=True)
class Wanted:
    """One integration as the text has it, checked."""

    name: str
    server_url: ServerURL
    oauth: OAuth
    enabled: bool
    ca_certificates: str
    connect_to: ConnectTo | None
    admission: Admission


@blueprint.get("")
@access.for_admins
def page(organization: Any) -> ResponseReturnValue:
    """The text, and a form to take one over."""
    return _page(organization, ConfigurationForm())


@blueprint.get("/integrations.toml")
@access.for_admins
def download(organization: Any) -> ResponseReturnValue:
    """The text as a file."""
    return written(organization), {
        "Content-Type": "application/toml; charset=utf-8",
        "Content-Disposition": f'attachment; filename="{organization.slug}.toml"',
    }


@blueprint.post("")
@access.for_admins
def take(organization: Any) -> ResponseReturnValue:
    """Take a text over; all of it is checked before anything is changed."""
    form = ConfigurationForm()
    if not form.validate():
        return _page(organization, form), 422
    try:
        wanted = read(form.text.data, organization)
    except UnusableConfigurationError as error:
        form.text.errors = [str(error)]
        return _page(organization, form), 422
    for one in wanted:
        if _known(organization, one.name) is None:
            limits.count(Limited.KEY_PAIRS, store.key_of(organization))
    try:
        sentences = take_over(organization, wanted)
    except NameTakenError as error:
        session.rollback()
        form.text.errors = [str(error)]
        return _page(organization, form), 422
    for sentence in sentences[:_MOST_SENTENCES]:
        flash(sentence)
    if len(sentences) > _MOST_SENTENCES:
        flash(f"There are {len(sentences) - _MOST_SENTENCES} more changes. See the audit log.")
    return redirect(url_for("bitbucket.configuration.page", slug=organization.slug), 303)


def written(organization: Any) -> str:
    """The integrations of *organization* as TOML. Key pairs, client secrets and people are no part of it."""
    head = f"# The integrations of {_one_line(organization.name)}, without keys and secrets.\n"
    return "\n".join([head, *(_table(record) for record in store.integrations.of(organization))])


def read(text: str, organization: Any) -> list[Wanted]:
    """Return the integrations that *text* wants *organization* to have. Raises UnusableConfigurationError."""
    try:
        document = toml.read(text)
    except toml.UnreadableError as error:
        raise UnusableConfigurationError(str(error)) from error
    tables = document.get("integrations")
    if document.keys() != {"integrations"} or not isinstance(tables, list):
        raise UnusableConfigurationError("It has tables [[integrations]] and nothing else.")
    if len(tables) > MOST_INTEGRATIONS:
        raise UnusableConfigurationError(f"It has more than {MOST_INTEGRATIONS} integrations.")
    wanted = [_wanted(number, table, organization) for number, table in enumerate(tables, start=1)]
    for number, one in enumerate(wanted, start=1):
        if one.name in {other.name for other in wanted[: number - 1]}:
            raise _unusable(number, "Another one before it has the same name.")
        record = _known(organization, one.name)
        if record is not None and record.is_for_oauth2 != (one.oauth is OAuth.TWO):
            raise _unusable(number, f"“{one.name}” has another OAuth here. Its own page has the upgrade.")
        if record is not None and record.base_url != str(one.server_url):
            raise _unusable(number, f"“{one.name}” has another base URL here. Change it under Edit, which asks first.")
    return wanted


def take_over(organization: Any, wanted: Iterable[Wanted]) -> list[str]:
    """Make the integrations that *organization* does not have, by name, and change those that it has. None is deleted,
    and keys and people stay. Returns a sentence about each. Raises NameTakenError where one of them was made
    meanwhile."""
    return [_take_over(organization, one) for one in wanted]


def _take_over(organization: Any, wanted: Wanted) -> str:
    record, verb = _known(organization, wanted.name), "is changed"
    if record is None:
        verb = "is added, and waits for Bitbucket to know it"
        record = store.integrations.make(organization, wanted.name, wanted.server_url, oauth=wanted.oauth)
    elif _is(record, wanted):
        return f"“{wanted.name}” stays as it is."
    store.integrations.change(
        record,
        name=wanted.name,
        server_url=wanted.server_url,
        ca_certificates=wanted.ca_certificates,
        connect_to=wanted.connect_to,
    )
    store.integrations.set_enabled(record, enabled=wanted.enabled)
    store.integrations.change_admission(record, wanted.admission)
    return f"“{wanted.name}” {verb}."


def _is(record: IntegrationMixin, wanted: Wanted) -> bool:
    is_enabled = record.disabled_at is None
    return (record.ca_certificates, record.connect_to, is_enabled, record.admission) == (
        wanted.ca_certificates,
        str(wanted.connect_to or ""),
        wanted.enabled,
        wanted.admission,
    )


def _known(organization: Any, name: str) -> IntegrationMixin | None:
    return next((record for record in store.integrations.of(organization) if record.name == name), None)


def _wanted(number: int, table: Any, organization: Any) -> Wanted:
    if not isinstance(table, dict):
        raise _unusable(number, "It is not a table.")
    unknown = table.keys() - _FIELDS
    if unknown:
        raise _unusable(number, f"There is no {json.dumps(min(unknown), ensure_ascii=False)} in an integration.")
    name = _text(number, table, "name")
    if not name or len(name) > 80 or name != name.strip() or not is_one_line(name):
        raise _unusable(number, "Its name is a text of 1 to 80 characters on one line.")
    if type(table.get("enabled", True)) is not bool:
        raise _unusable(number, "enabled is true or false.")
    known = _known(organization, name)  # a list that is missing opens nothing: it stays as it is
    try:
        certificates = _text(number, table, "ca_certificates")
        connect_to = _text(number, table, "connect_to")
        return Wanted(
            name=name,
            server_url=ServerURL.parse(_text(number, table, "base_url"), store.outbound.base_url_rules),
            oauth=_oauth(number, table),
            enabled=table.get("enabled", True),
            ca_certificates=read_ca_certificates(certificates) if certificates else "",
            connect_to=ConnectTo.parse(connect_to, store.outbound.base_url_rules) if connect_to else None,
            admission=Admission.read(*(table.get(field, getattr(known, field, None)) for field in _LISTS)),
        )
    except BitbucketServerError as error:
        raise _unusable(number, str(error)) from error


def _oauth(number: int, table: Mapping[str, Any]) -> OAuth:
    oauth = table.get("oauth", 1)
    if type(oauth) is not int or oauth not in {1, 2}:
        raise _unusable(number, "oauth is 1 or 2.")
    return OAuth(str(oauth))


def _text(number: int, table: Mapping[str, Any], field: str) -> str:
    value = table.get(field, "")
    if not isinstance(value, str):
        raise _unusable(number, f"{field} is a text.")
    return value


def _unusable(number: int, reason: str) -> UnusableConfigurationError:
    return UnusableConfigurationError(f"Integration {number}: {reason}")


def _table(record: IntegrationMixin) -> str:
    fields: dict[str, str | int | bool | list[str]] = {
        "name": record.name,
        "base_url": record.base_url,
        "oauth": 2 if record.is_for_oauth2 else 1,
        "enabled": record.disabled_at is None,
    }
    if record.ca_certificates:
        fields["ca_certificates"] = record.ca_certificates
    if record.connect_to:
        fields["connect_to"] = record.connect_to
    fields |= {field: values for field in _LISTS if (values := getattr(record, field))}
    lines = (f"{name} = {_value(value)}" for name, value in fields.items())
    return "\n".join(["[[integrations]]", *lines, ""])


def _value(value: str | int | bool | list[str]) -> str:
    """JSON's texts, numbers and lists are TOML's, too, but for one control character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _one_line(text: str) -> str:
    return "".join(character for character in text if character.isprintable())


def _page(organization: Any, form: ConfigurationForm) -> str:
    return render("configuration.html", organization=organization, form=form, text=written(organization))
