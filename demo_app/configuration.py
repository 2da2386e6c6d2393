"""Configuration as text: an organization's integrations as TOML, without anything secret, written and taken over."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, current_app, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from social_bitbucket_server.integration import Admission, ConnectTo, ServerURL
from social_bitbucket_server.organizations import OAuth
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.transport import read_ca_certificates

from . import access, database, integrations, rate_limits, toml
from .config import Settings
from .forms import ConfigurationForm, is_one_line
from .models import IntegrationRecord, Organization

blueprint = Blueprint("configuration", __name__, url_prefix="/o/<slug>/settings/configuration")

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
@access.for_owner
def page(organization: Organization) -> ResponseReturnValue:
    """The text, and a form to take one over."""
    return _page(organization, ConfigurationForm())


@blueprint.get("/integrations.toml")
@access.for_owner
def download(organization: Organization) -> ResponseReturnValue:
    """The text as a file."""
    return written(organization), {
        "Content-Type": "application/toml; charset=utf-8",
        "Content-Disposition": f'attachment; filename="{organization.slug}.toml"',
    }


@blueprint.post("")
@access.for_owner
def take(organization: Organization) -> ResponseReturnValue:
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
            rate_limits.count(rate_limits.KEY_PAIRS, str(organization.id))
    try:
        sentences = take_over(organization, wanted)
    except integrations.NameTakenError as error:
        database.session.rollback()
        form.text.errors = [str(error)]
        return _page(organization, form), 422
    for sentence in sentences[:_MOST_SENTENCES]:
        flash(sentence)
    if len(sentences) > _MOST_SENTENCES:
        flash(f"There are {len(sentences) - _MOST_SENTENCES} more changes. See the audit log.")
    return redirect(url_for("configuration.page", slug=organization.slug), 303)


def written(organization: Organization) -> str:
    """The integrations of *organization* as TOML. Key pairs, client secrets and people are no part of it."""
    head = f"# The integrations of {_one_line(organization.name)}, without keys and secrets.\n"
    return "\n".join([head, *(_table(record) for record in integrations.of(organization))])


def read(text: str, organization: Organization) -> list[Wanted]:
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


def take_over(organization: Organization, wanted: Iterable[Wanted]) -> list[str]:
    """Make the integrations that *organization* does not have, by name, and change those that it has. None is deleted,
    and keys and people stay. Returns a sentence about each. Raises NameTakenError where one of them was made
    meanwhile."""
    return [_take_over(organization, one) for one in wanted]


def _take_over(organization: Organization, wanted: Wanted) -> str:
    record, verb = _known(organization, wanted.name), "is changed"
    if record is None:
        verb = "is added, and waits for Bitbucket to know it"
        record = integrations.make(organization, wanted.name, wanted.server_url, oauth=wanted.oauth)
    elif _is(record, wanted):
        return f"“{wanted.name}” stays as it is."
    integrations.change(
        record,
        name=wanted.name,
        server_url=wanted.server_url,
        ca_certificates=wanted.ca_certificates,
        connect_to=wanted.connect_to,
    )
    integrations.set_enabled(record, enabled=wanted.enabled)
    integrations.change_admission(record, wanted.admission)
    return f"“{wanted.name}” {verb}."


def _is(record: IntegrationRecord, wanted: Wanted) -> bool:
    is_enabled = record.disabled_at is None
    return (record.ca_certificates, record.connect_to, is_enabled, record.admission) == (
        wanted.ca_certificates,
        str(wanted.connect_to or ""),
        wanted.enabled,
        wanted.admission,
    )


def _known(organization: Organization, name: str) -> IntegrationRecord | None:
    return next((record for record in integrations.of(organization) if record.name == name), None)


def _wanted(number: int, table: Any, organization: Organization) -> Wanted:
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
    settings: Settings = current_app.extensions["settings"]
    known = _known(organization, name)  # a list that is missing opens nothing: it stays as it is
    try:
        certificates = _text(number, table, "ca_certificates")
        connect_to = _text(number, table, "connect_to")
        return Wanted(
            name=name,
            server_url=ServerURL.parse(_text(number, table, "base_url"), settings.outbound.base_url_rules),
            oauth=_oauth(number, table),
            enabled=table.get("enabled", True),
            ca_certificates=read_ca_certificates(certificates) if certificates else "",
            connect_to=ConnectTo.parse(connect_to, settings.outbound.base_url_rules) if connect_to else None,
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


def _table(record: IntegrationRecord) -> str:
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


def _page(organization: Organization, form: ConfigurationForm) -> str:
    return render_template(
        "bitbucket_server/configuration.html", organization=organization, form=form, text=written(organization)
    )
