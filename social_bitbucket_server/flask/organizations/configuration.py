"""Configuration as text: an organization's integrations as TOML, without anything secret, written and taken over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flask import flash, redirect, url_for
from flask.typing import ResponseReturnValue

from ...integration import ConnectTo, ServerURL
from ...organizations import (
    ConfiguredIntegration,
    Limited,
    OAuth,
    UnusableConfigurationError,
    read_configuration,
    write_configuration,
)
from ...sqlalchemy.organizations import IntegrationMixin, NameTakenError
from . import limits
from .access import AdminPages
from .current import session, store
from .forms import ConfigurationForm
from .templating import render

blueprint = AdminPages("configuration", __name__)

_MOST_SENTENCES = 3  # in the session, which is a cookie and has little room


@blueprint.get("")
def page(organization: Any) -> ResponseReturnValue:
    return _page(organization, ConfigurationForm())


@blueprint.get("/integrations.toml")
def download(organization: Any) -> ResponseReturnValue:
    return written(organization), {
        "Content-Type": "application/toml; charset=utf-8",
        "Content-Disposition": f'attachment; filename="{organization.slug}.toml"',
    }


@blueprint.post("")
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
    known = {record.name for record in store.integrations.of(organization)}
    for one in wanted:
        if one.name not in known:
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
        flash(f"There are {len(sentences) - _MOST_SENTENCES} more changes. See the events.")
    return redirect(url_for("bitbucket.configuration.page", slug=organization.slug), 303)


def written(organization: Any) -> str:
    """Return the integrations of *organization* as TOML. Key pairs, client secrets and people are no part of it."""
    head = f"The integrations of {organization.name}, without keys and secrets."
    return write_configuration(map(_configured, store.integrations.of(organization)), head)


def read(text: str, organization: Any) -> list[ConfiguredIntegration]:
    """Return the integrations that *text* wants *organization* to have. Raises UnusableConfigurationError."""
    known = {record.name: _configured(record) for record in store.integrations.of(organization)}
    return read_configuration(text, known, store.outbound.base_url_rules, role_names=store.role_names)


def take_over(organization: Any, wanted: Iterable[ConfiguredIntegration]) -> list[str]:
    """Make the integrations that *organization* does not have, by name, and change those that it has. None is deleted,
    and keys and people stay. Return a sentence about each. Raises NameTakenError if one of them was made meanwhile."""
    sentences = []
    rules = store.outbound.base_url_rules
    for one in wanted:
        server_url = ServerURL.parse(one.base_url, rules)
        records = store.integrations.of(organization)
        record, verb = next((record for record in records if record.name == one.name), None), "is changed"
        if record is None:
            verb = "is added, and waits for Bitbucket to know it"
            record = store.integrations.make(organization, one.name, server_url, oauth=one.oauth)
        elif _configured(record) == one:
            sentences.append(f"“{one.name}” stays as it is.")
            continue
        store.integrations.change(
            record,
            name=one.name,
            server_url=server_url,
            ca_certificates=one.ca_certificates,
            connect_to=ConnectTo.parse(one.connect_to, rules) if one.connect_to else None,
        )
        store.integrations.set_enabled(record, enabled=one.enabled)
        store.integrations.change_admission(record, one.admission, one.roles)
        sentences.append(f"“{one.name}” {verb}.")
    return sentences


def _configured(record: IntegrationMixin) -> ConfiguredIntegration:
    return ConfiguredIntegration(
        name=record.name,
        base_url=record.base_url,
        oauth=OAuth.TWO if record.is_for_oauth2 else OAuth.ONE,
        enabled=record.disabled_at is None,
        ca_certificates=record.ca_certificates,
        connect_to=record.connect_to,
        allow_groups=tuple(record.allow_groups),
        allow_projects=tuple(record.allow_projects),
        allow_repositories=tuple(record.allow_repositories),
        roles=store.integrations.roles_of(record),
    )


def _page(organization: Any, form: ConfigurationForm) -> str:
    return render("configuration.html", form=form, text=written(organization))
