"""Configuration as text: integrations as TOML, without anything secret. They are told apart by their login links."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.core.exceptions import ValidationError

from ..organizations import (
    ConfiguredIntegration,
    OAuth,
    UnusableConfigurationError,
    read_configuration,
    write_configuration,
)
from . import configuration, integrations
from .models import AbstractIntegration, Integration, integration_model


def write(records: Iterable[AbstractIntegration]) -> str:
    """Return the configuration of *records* as TOML. Keys, secrets, people, and fields of a model of the application's
    own are not in it."""
    head = f"The integrations of {configuration.application_name()}, without keys and secrets."
    return write_configuration(map(_configured, records), head)


def read(text: str) -> list[ConfiguredIntegration]:
    """Return the integrations that *text* asks for. Raises UnusableConfigurationError."""
    known = {record.slug: _configured(record) for record in integration_model()._base_manager.all()}
    rules, role_names = configuration.outbound().base_url_rules, configuration.role_names()
    return read_configuration(text, known, rules, key="slug", is_operator=True, role_names=role_names)


def take_over(wanted: Iterable[ConfiguredIntegration]) -> Iterator[str]:
    """Make the integrations that are not there, by their login links, and change the others. Yields a sentence about
    each.

    None is deleted, and keys and people stay. Raises UnusableConfigurationError before anything is changed if one of
    them cannot be saved.
    """
    prepared = [(one, _prepared(one)) for one in wanted]
    for one, record in prepared:
        yield f"“{one.slug}” {_take_over(one, record)}."


def _prepared(wanted: ConfiguredIntegration) -> AbstractIntegration:
    """Return the row as it is to be, checked and not saved."""
    if wanted.oauth is OAuth.TWO and not configuration.has_oauth2_in_database():
        raise UnusableConfigurationError(f"“{wanted.slug}”: this application is not set up for OAuth 2.")
    model = integration_model()
    record = model._base_manager.filter(slug=wanted.slug).first() or model(slug=wanted.slug, base_url=wanted.base_url)
    for field in ("name", "ca_certificates", "connect_to"):
        setattr(record, field, getattr(wanted, field))
    for field in ("allow_groups", "allow_projects", "allow_repositories"):
        setattr(record, field, list(getattr(wanted, field)))
    record.role_conditions = wanted.roles.fields
    if isinstance(record, Integration):
        record.organization = wanted.organization
    elif wanted.organization:
        raise UnusableConfigurationError(f"“{wanted.slug}”: organization is for the package's own model alone.")
    try:
        record.full_clean()
    except ValidationError as error:
        said = " ".join(f"{field}: {' '.join(messages)}" for field, messages in error.message_dict.items())
        raise UnusableConfigurationError(f"“{wanted.slug}” cannot be saved. {said}") from error
    return record


def _take_over(wanted: ConfiguredIntegration, record: AbstractIntegration) -> str:
    if record._state.adding:
        integrations.create(record, oauth=wanted.oauth)
        outcome = "is added, and waits for Bitbucket to know it"
    else:
        before = _configured(type(record)._base_manager.get(pk=record.pk))
        if before == wanted:
            return "stays as it is"
        if _configured(record) != before:
            integrations.change(record)
        outcome = "is changed"
    if record.enabled != wanted.enabled:
        integrations.enable(record, enabled=wanted.enabled)
    return outcome


def _configured(record: AbstractIntegration) -> ConfiguredIntegration:
    return ConfiguredIntegration(
        name=record.name,
        base_url=record.base_url,
        slug=record.slug,
        organization=record.organization if isinstance(record, Integration) else "",
        oauth=OAuth.ONE if record.oauth1_ended_at is None else OAuth.TWO,
        enabled=record.enabled,
        ca_certificates=record.ca_certificates,
        connect_to=record.connect_to,
        allow_groups=tuple(record.allow_groups),
        allow_projects=tuple(record.allow_projects),
        allow_repositories=tuple(record.allow_repositories),
        roles=record.roles.only(configuration.role_names()),
    )
