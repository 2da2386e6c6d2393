"""``manage.py bitbucket_server``: the command line for the integrations in the database, or the one of the settings."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandParser
from django.core.management.base import CommandError as DjangoCommandError

from ....account import Move, Outcome, Standing, counts
from ....cli import CommandError, check, explain, file_name, keygen, link, report, sandbox, worksheet
from ....cli.given import add_connection_options
from ....crypto import LONGEST, KeyRing, as_text
from ....integration import OAUTH1, OAUTH2, single_integration
from ....onboarding import Dialog, check_up
from ....onboarding import worksheet as make_worksheet
from ....organizations import UnusableConfigurationError
from ....problems import BitbucketServerError
from ... import (
    carrying_over,
    configuration,
    configuration_text,
    events,
    integrations,
    key_rotation,
    rechecks,
    setup_links,
)
from ...models import AbstractIntegration, KeyPair, integration_model

_COMMAND = "python manage.py bitbucket_server"
_EXPLAIN = f"{_COMMAND} explain"
_INTEGRATION = "an integration's id, or the last part of its login link"
_DAYS = 365
_MOST_DAYS = 36_500
_NAMED = argparse.ArgumentParser(add_help=False)
_NAMED.add_argument("integration", help=_INTEGRATION)
_OR_SETTINGS = argparse.ArgumentParser(add_help=False)
_OR_SETTINGS.add_argument("integration", nargs="?", help=f"{_INTEGRATION}; without it, the one server of the settings")


class Command(BaseCommand):
    """One command with sub-commands; what an integration is called by is its id or the last part of its login link."""

    help = "Set up, test and look after logins with Bitbucket Servers."
    requires_system_checks: list[str] = []  # noqa: RUF012  # each sub-command says whether it needs them

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the sub-commands."""
        commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
        for library_command in (keygen, explain, sandbox):
            library_command.add(commands)
        add = partial(_add_command, commands)
        add("key-ring", _key_ring, "print a new key ring, for the settings").set_defaults(needs_checks=False)
        add("list", _list, "list all integrations")
        create = add("create", _create, "make an integration and print its worksheet")
        create.add_argument("name", help="the organization's name")
        create.add_argument("slug", help="the last part of its login link")
        create.add_argument("--url", required=True, help="Bitbucket's base URL")
        create.add_argument("--ca-file", metavar="FILE", type=file_name, help="the CA certificates to trust")
        add_connection_options(create)
        export = add("export", _export, "print the configuration of integrations as text, without keys and secrets")
        export.add_argument("integrations", nargs="*", metavar="INTEGRATION", help=f"{_INTEGRATION}; without it, all")
        load = add("import", _import, "make and change integrations as a text says; none is deleted")
        load.add_argument("file", type=file_name, help="the file with the text; - for standard input")
        steps = add("worksheet", _worksheet, "say what to enter where in Bitbucket", _OR_SETTINGS)
        worksheet.add_worksheet_options(steps, None)
        report.add_report_options(add("check", _check, "test an integration stage by stage", _OR_SETTINGS))
        summary = "make the application link in Bitbucket, as a Bitbucket admin, and test it"
        link.add_admin_options(add("link", _link, summary, _NAMED))
        unlink = add("unlink", _unlink, "remove the application link from Bitbucket", _NAMED)
        unlink.add_argument("--old-link", action="store_true", help="remove the old link, which a new one has replaced")
        link.add_admin_options(unlink)
        add("rotate", _rotate, "make a new key pair that waits beside the old one", _NAMED).add_argument(
            "--new-consumer-key",
            action="store_true",
            help="make the key pair for a new application link, and print its worksheet",
        )
        add("verify", _verify, "use the new key pair, if Bitbucket accepts it", _NAMED)
        summary = "say that the old application link was removed, and erase its private key"
        add("old-link-removed", _old_link_removed, summary, _NAMED)
        add("enable", partial(_switch, enabled=True), "let people log in through an integration", _NAMED)
        summary = "let nobody log in through an integration any more"
        add("disable", partial(_switch, enabled=False), summary, _NAMED)
        _add_commands_for_people(add)
        summary = "list what ends soon or has been failing for a day, and record an event of it once a month"
        add("notices", _notices, summary)
        add("reseal-keys", _reseal_keys, "seal all private keys with the newest key of the ring")
        summary = (
            "delete old events, what is left of logins that were never finished, and keys that no login needs any more"
        )
        add("prune", _prune, summary).add_argument(
            "--days", type=_age, default=_DAYS, help="delete events that are older than this (default: %(default)s)"
        )

    def handle(self, *_arguments: Any, **options: Any) -> None:
        """Run the sub-command; a status other than 0 ends the process with it."""
        arguments = argparse.Namespace(**options)
        if getattr(arguments, "needs_checks", False):
            self.check()
        try:
            status: int | None = arguments.run(arguments)
        except BitbucketServerError as error:
            raise DjangoCommandError(f"{error}\n{error.problem.remedy}") from error
        except CommandError as error:
            raise DjangoCommandError(str(error)) from error
        if status:
            sys.exit(status)


def _add_command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], int | None],
    summary: str,
    *parents: argparse.ArgumentParser,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", parents=parents
    )
    parser.set_defaults(run=run, needs_checks=True)
    return parser


def _add_commands_for_people(add: Callable[..., argparse.ArgumentParser]) -> None:
    summary = "carry identities over from social-core's own backend, or from the one server"
    parser = add("carry-over", _carry_over, summary)
    parser.add_argument(
        "source",
        choices=(carrying_over.CORE, carrying_over.SINGLE, carrying_over.LOGINS),
        help="where the identities are from: social-core's own backend, the one server of the settings, or those that "
        "logins carry over, by the setting CARRY_OVER",
    )
    parser.add_argument(
        "integration", nargs="?", help=f"the new place: {_INTEGRATION}; without it, the one server of the settings"
    )
    parser.add_argument("--apply", action="store_true", help="carry over; without this option, the command only counts")
    parser.add_argument("--back", action="store_true", help="go back: the identities of the integration to the source")
    parser.add_argument(
        "--oauth",
        choices=("1", "2"),
        help="the version of OAuth that people log in with, if one server is configured for both",
    )
    parser.add_argument(
        "--known-as",
        metavar="URL",
        action="append",
        default=[],
        help="another base URL of this server, which identities may have kept; may be repeated",
    )
    parser.add_argument(
        "--without-address",
        action="store_true",
        help="also carry over identities that kept no address; you say that they are this server's",
    )
    summary = "ask Bitbucket whether people may still log in, with their access tokens"
    recheck = add("recheck-people", _recheck_people, summary)
    recheck.add_argument("integration", nargs="?", help=f"{_INTEGRATION}; without it, the people of all")
    recheck.add_argument("--log-out", action="store_true", help="end the sessions of those who may not log in any more")


def _age(text: str) -> int:
    days = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= days <= _MOST_DAYS:
        raise argparse.ArgumentTypeError(f"It is a number of days, from 1 to {_MOST_DAYS}.")
    return days


def _key_ring(_arguments: argparse.Namespace) -> None:
    print(KeyRing.generate())


def _list(_arguments: argparse.Namespace) -> None:
    for record in integration_model()._default_manager.all():
        state = "" if record.enabled else "  disabled"
        waits = "  a new key pair waits" if record.pending_key_pair is not None else ""
        old_link = "  an old link can be removed" if record.replaced_key_pair is not None else ""
        print(f"{record.pk}  {record.slug}  {record.base_url}{state}{waits}{old_link}")


def _create(arguments: argparse.Namespace) -> None:
    record = integration_model()(
        name=arguments.name, slug=arguments.slug, base_url=arguments.url, connect_to=arguments.connect_to or ""
    )
    if arguments.ca_file is not None:
        record.ca_certificates = _read(arguments.ca_file)
    if arguments.client_certificate is not None:
        record.client_certificate = _read(arguments.client_certificate)
    if arguments.client_key is not None:
        record.given_client_key = _read(arguments.client_key)
    try:
        record.full_clean()
    except ValidationError as error:
        # A field of an application's own has no option here; its name says what is missing.
        said = (f"{field}: {' '.join(messages)}" for field, messages in error.message_dict.items())
        raise CommandError("\n".join(said)) from error
    integrations.create(record)
    print(f"The integration {record.pk} is made. Its login link: {integrations.login_link(record)}", file=sys.stderr)
    _worksheet(argparse.Namespace(integration=record.pk, dialog=None, json=False))


def _export(arguments: argparse.Namespace) -> None:
    chosen = list(map(_find, arguments.integrations)) or list(integration_model()._default_manager.all())
    print(configuration_text.write(chosen), end="")


def _import(arguments: argparse.Namespace) -> None:
    text = sys.stdin.read() if arguments.file == "-" else _read_text(arguments.file)
    try:
        for sentence in configuration_text.take_over(configuration_text.read(text)):
            print(sentence)
    except UnusableConfigurationError as error:
        raise CommandError(str(error)) from error


def _read_text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise CommandError(f"{path} is not a text in UTF-8.") from None


def _worksheet(arguments: argparse.Namespace) -> None:
    dialog = Dialog(arguments.dialog) if arguments.dialog else None
    if arguments.integration is None:
        single = single_integration(configuration.setting, configuration.full_name)
        key, consumer_key = single.private_key.public, single.consumer_key
        steps = make_worksheet(
            server_url=single.server.url,
            application_url=f"{configuration.origin()}/",
            application_name=configuration.application_name(),
            consumer_key=consumer_key,
            public_key=key,
            dialog=dialog or Dialog.FROM_10_1,
            for_organization=False,
        )
    else:
        record = _find(arguments.integration)
        if record.oauth1_ended_at is not None:
            steps = integrations.oauth2_worksheet_of(record, dialog)
            worksheet.print_oauth2_worksheet(steps, as_json=arguments.json)
            return
        pair = record.pending_key_pair or _active(record)
        key, consumer_key = pair.public_key, pair.consumer_key
        steps = integrations.worksheet_of(record, pair, dialog)
    worksheet.print_worksheet(steps, consumer_key, key, as_json=arguments.json)


def _check(arguments: argparse.Namespace) -> int:
    if arguments.integration is None:
        test = partial(
            check_up, lambda: single_integration(configuration.setting, configuration.full_name), check.CALLBACK
        )
    else:
        test = partial(integrations.check_up, _find(arguments.integration))
    return report.report(test, as_json=arguments.json, watch=arguments.watch, explain=_EXPLAIN)


def _link(arguments: argparse.Namespace) -> int:
    record = _find(arguments.integration)
    pair = record.key_pairs_in_use.pending_for_new_link or _active(record)
    address = integrations.application_url(record, pair.link)
    name = integrations.application_link_name(record, pair.link)
    return link.make_link(integrations.signing_with(record, pair), address, name, arguments, _EXPLAIN)


def _unlink(arguments: argparse.Namespace) -> int:
    record = _find(arguments.integration)
    pair = record.replaced_key_pair if arguments.old_link else _active(record)
    if pair is None:
        raise CommandError(f"{record.name} has no old application link.")
    address = integrations.application_url(record, pair.link)
    status = link.remove_link(integrations.active(record), address, arguments)
    if arguments.old_link:
        key_rotation.note_removal(record)
    return status


def _active(record: AbstractIntegration) -> KeyPair:
    pair = record.active_key_pair
    if pair is None and record.oauth1_ended_at is not None:
        raise CommandError(
            f"People log in to {record.name} by OAuth 2, whose link is made by hand. "
            f"'{_COMMAND} worksheet {record.slug}' says how."
        )
    if pair is None:
        raise CommandError(f"{record.name} has no key pair. Make one with '{_COMMAND} rotate {record.slug}'.")
    return pair


def _rotate(arguments: argparse.Namespace) -> None:
    record = _find(arguments.integration)
    if record.oauth1_ended_at is not None:
        raise CommandError(f"People log in to {record.name} by OAuth 2, which needs no key pair.")
    try:
        has_begun = key_rotation.begin(record, with_new_link=arguments.new_consumer_key)
    except integrations.ChangedMeanwhileError:
        raise CommandError(f"{record.name} was deleted just now.") from None
    if not has_begun:
        raise CommandError(
            f"An old application link waits for its removal; there would be three. Remove it with "
            f"'{_COMMAND} unlink {record.slug} --old-link', or by hand. After you removed it by hand, say so with "
            f"'{_COMMAND} old-link-removed {record.slug}'."
        )
    if arguments.new_consumer_key:
        print("Let Bitbucket know the new link beside the old one, then verify:", file=sys.stderr)
        _worksheet(argparse.Namespace(integration=record.pk, dialog=None, json=False))
        return
    pair = record.pending_key_pair
    print("Put this in place of the Public Key in Bitbucket, then verify:", file=sys.stderr)
    print(pair.public_pem if pair is not None else "", end="")


def _verify(arguments: argparse.Namespace) -> None:
    record = _find(arguments.integration)
    if not key_rotation.verify(record):
        raise CommandError("There is no new key pair to verify.")
    if record.replaced_key_pair is not None:
        print("Bitbucket accepts the new link. Logins go through it, and in ten minutes the old one can be removed.")
    else:
        print("Bitbucket accepts the new key pair. Logins are signed with it, and the old private key is erased.")


def _old_link_removed(arguments: argparse.Namespace) -> None:
    if not key_rotation.note_removal(_find(arguments.integration)):
        raise CommandError("There is no old application link.")
    print("The old link's private key is erased.")


def _switch(arguments: argparse.Namespace, *, enabled: bool) -> None:
    integrations.enable(_find(arguments.integration), enabled=enabled)
    if enabled:
        print("People can log in through this integration.")
    else:
        print("Nobody can log in through this integration any more.")


def _recheck_people(arguments: argparse.Namespace) -> int:
    if not rechecks.providers():
        raise CommandError("Without SOCIAL_AUTH_BITBUCKET_SERVER_STORE_ACCESS_TOKEN there are no tokens to ask with.")
    record = _find(arguments.integration) if arguments.integration is not None else None
    standings: Counter[Standing] = Counter()
    refused: dict[Any, list[Any]] = {}
    for identity, found, was_asked in rechecks.recheck(rechecks.due(record)):
        user = identity.user
        standings[found.standing] += 1
        if found.standing is Standing.REFUSED:
            refused.setdefault(user, []).append(identity.pk)
        if was_asked and found.standing in {Standing.REFUSED, Standing.UNANSWERED}:
            print(f"{user.get_username()} ({user.pk}), {identity.uid}: {found.problem}")
    if arguments.log_out:
        for user, identities in refused.items():
            is_out = rechecks.log_out(user, identities)
            print(f"{user.get_username()} ({user.pk}): {'logged out' if is_out else 'has another way in, and stays'}")
    print(
        f"{standings[Standing.ADMITTED]} may log in, {standings[Standing.REFUSED]} may not, "
        f"{standings[Standing.UNPROVEN]} cannot be checked before their next login, "
        f"{standings[Standing.UNANSWERED]} could not be checked now."
    )
    return 1 if standings[Standing.UNANSWERED] else 0


def _carry_over(arguments: argparse.Namespace) -> None:
    record = _find(arguments.integration) if arguments.integration is not None else None
    if record is None and arguments.source == carrying_over.SINGLE:
        raise CommandError(f"Name the integration that is the same server.\n'{_COMMAND} list' lists them all.")
    if arguments.source == carrying_over.LOGINS:
        done, moves = _carry_over_at_logins(record, arguments)
    else:
        evidence = carrying_over.evidence(
            arguments.source, record, arguments.known_as, without_address=arguments.without_address
        )
        backend = {"1": OAUTH1, "2": OAUTH2}.get(arguments.oauth)
        done, moves = (
            "carried over",
            carrying_over.carry_over(
                arguments.source, record, evidence, backend=backend, back=arguments.back, apply=arguments.apply
            ),
        )
    for move in moves:
        if move.outcome is not Outcome.CARRIED_OVER:
            print(f"identity {move.identity.pk} of user {move.identity.user_id} stays: {move.outcome}")
    found = counts(moves)
    verb = done.capitalize() if arguments.apply else f"Would be {done}"
    print(f"{verb}: {found.pop(Outcome.CARRIED_OVER, 0)}. Stay as they are: {found.total()}.")
    if not arguments.apply:
        print("Nothing was changed.", file=sys.stderr)


def _carry_over_at_logins(
    record: AbstractIntegration | None, arguments: argparse.Namespace
) -> tuple[str, list[Move[Any]]]:
    if arguments.known_as or arguments.without_address:
        raise CommandError("--known-as and --without-address are not for identities that logins carry over.")
    if arguments.back:
        return "given back", carrying_over.give_back(record, apply=arguments.apply)
    if arguments.apply:
        raise CommandError("Each of these identities is carried over when its person logs in. Leave --apply out.")
    return "carried over when more agrees at a login", carrying_over.waiting(record)


def _reseal_keys(_arguments: argparse.Namespace) -> int:
    done, failed = integrations.reseal_keys()
    print(f"Sealed with the newest key of the ring: {done}. Could not be opened: {failed}.")
    return 1 if failed else 0


def _prune(arguments: argparse.Namespace) -> None:
    deleted, unfinished = events.prune(arguments.days)
    key_rotation.erase_replaced()
    setup_links.prune()
    print(f"Deleted: {deleted} events older than {arguments.days} days, {unfinished} logins that were never finished.")


def _notices(_arguments: argparse.Namespace) -> None:
    for record, notice in events.record_notices():
        print(record.pk, record.slug, record.name, notice.event.sentence, f"{notice.at:%Y-%m-%d}", sep="\t")


def _find(name: str) -> AbstractIntegration:
    manager = integration_model()._default_manager
    record = manager.filter(pk=name).first() or manager.filter(slug=name).first()
    if record is None:
        raise CommandError(f"There is no integration {name}.\n'{_COMMAND} list' lists them all.")
    return record


def _read(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return as_text(file.read(LONGEST + 1))
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
