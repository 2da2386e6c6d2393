"""Mutants of what is kept in databases: identities, nonces, integrations, and their key pairs."""

from __future__ import annotations

from ..mutant import Mutant
from ..subject import Subject
from ..suites import Group

_ACCOUNTS = "social_bitbucket_server/sqlalchemy/accounts.py"
_TABLES = "social_bitbucket_server/sqlalchemy/models.py"
_MODELS = "social_bitbucket_server/django/models.py"
_DJANGO = "social_bitbucket_server/django/integrations.py"
_INTEGRATIONS = "social_bitbucket_server/sqlalchemy/organizations/integrations.py"
_RESEALING = "social_bitbucket_server/sqlalchemy/organizations/resealing.py"
_ASSEMBLING = "social_bitbucket_server/organizations/assembling.py"
_OUTBOUND = "social_bitbucket_server/organizations/outbound.py"
_KEY_PAIRS = "social_bitbucket_server/organizations/key_pairs.py"

_MUTANTS = (
    Mutant(
        "an identity may belong to two people",
        _TABLES,
        'unique_columns: ClassVar = ("provider", "uid")',
        'unique_columns: ClassVar = ("provider", "uid", "user_id")',
    ),
    Mutant(
        "a nonce may be recorded twice",
        _TABLES,
        'unique_columns: ClassVar = ("server_url", "timestamp", "salt")',
        'unique_columns: ClassVar = ("server_url", "timestamp", "salt", "id")',
    ),
    Mutant(
        "the last identity of a person may be disconnected",
        _TABLES,
        "others.where(cls.id != association_id)",
        "others",
    ),
    Mutant(
        "an identity is found by its uid, whatever its provider",
        _TABLES,
        "select(cls).where(cls.provider == provider, cls.uid == str(uid))",
        "select(cls).where(cls.uid == str(uid))",
    ),
    Mutant(
        "every user that cannot be saved is said to have a user name in use",
        _ACCOUNTS,
        """            if taken is None:
                raise
            raise _conflict(taken) from error
""",
        """            raise _conflict(taken or {"username": ""}) from error
""",
    ),
    Mutant(
        "a nonce that was used is forgotten when the request fails",
        _TABLES,
        """    if is_new:
        session.commit()
    return is_new
""",
        """    return is_new
""",
    ),
    Mutant(
        "a nonce that was consumed is there again when the request fails",
        _TABLES,
        """        session.commit()
        return is_gone
""",
        """        return is_gone
""",
    ),
    Mutant(
        "a nonce is consumed by everybody who tries",
        _TABLES,
        "return is_gone",
        "return True",
    ),
    Mutant(
        "pruning removes the nonces of logins that are under way",
        _TABLES,
        "limit = int(time.time()) - older_than",
        "limit = int(time.time())",
    ),
    Mutant(
        "an identifier migrates without its evidence",
        _TABLES,
        """        if evidence_key is not None and str(locked.extra_data.get(evidence_key)) != str(uid):
            raise ValueError("The stored identifier is not the one of this person.")
""",
        "",
    ),
    Mutant(
        "the administration accepts a base URL that the rules refuse",
        _MODELS,
        "ServerURL.parse(self.base_url.strip(), configuration.outbound().base_url_rules)",
        "ServerURL.parse(self.base_url.strip(), _ANY_BASE_URL)",
    ),
    Mutant(
        "people log in through an integration that is disabled",
        _DJANGO,
        "_default_manager.filter(enabled=True, **key).first()",
        "_default_manager.filter(**key).first()",
    ),
    Mutant(
        "a replaced key pair finishes logins for ever",
        _KEY_PAIRS,
        "return None if pair.replaced_at < oldest_login_began(now=now, lifetime=lifetime) else self.replaced",
        "return self.replaced",
    ),
    Mutant(
        "a third application link is made while an old one waits for its removal",
        _KEY_PAIRS,
        "return not with_new_link or self.replaced is None",
        "return True",
    ),
    Mutant(
        "the private key of another link is erased as soon as a new link is in use",
        _KEY_PAIRS,
        "return KeyState.RETIRED if self.pending_for_new_link is None else KeyState.REPLACED",
        "return KeyState.RETIRED",
    ),
    Mutant(
        "an integration's server is asked at whatever address it has",
        _OUTBOUND,
        "            address_policy=self.address_policy,\n",
        "",
    ),
    Mutant(
        "a server that the operator does not allow any more is asked",
        _OUTBOUND,
        "            ServerURL.parse(base_url, self.base_url_rules),\n",
        "            ServerURL.parse(base_url, BaseURLRules(plain_http_hosts=None)),\n",
    ),
    Mutant(
        "a Django application decides nothing about the addresses of a model of its own",
        _DJANGO,
        ".way_out(record.pk), address_policy=record.address_policy())",
        ".way_out(record.pk))",
    ),
    Mutant(
        "a private network of one organization is open to all",
        _OUTBOUND,
        "                *self.private_networks.get(organization, ()),\n",
        "                *(network for listed in self.private_networks.values() for network in listed),\n",
    ),
    Mutant(
        "people wait for a pending key that cannot be opened",
        _ASSEMBLING,
        """            self.note(Unopened(pair.integration_id, problem, KeyState(pair.state)))
            return None
""",
        """            self.note(Unopened(pair.integration_id, problem, KeyState(pair.state)))
            raise
""",
    ),
    Mutant(
        "of two people with the same form open the second overwrites the first",
        _DJANGO,
        "_base_manager.filter(pk=record.pk, revision=record.revision)",
        "_base_manager.filter(pk=record.pk)",
    ),
    Mutant(
        "an edit at the moment of disabling enables the integration again",
        _DJANGO,
        '        "enabled",\n        "enforced_at",\n',
        '        "enforced_at",\n',
    ),
    Mutant(
        "a private key that changed meanwhile is overwritten with the old one when keys are sealed anew",
        _DJANGO,
        "rows.filter(pk=row.pk, **{column: getattr(row, column)})",
        "rows.filter(pk=row.pk)",
    ),
    Mutant(
        "one private key that does not open keeps all others from being sealed anew",
        _DJANGO,
        """                failed += 1
                continue
""",
        """                failed += 1
                break
""",
    ),
    Mutant(
        "a private key that changed in SQLAlchemy's tables while keys were sealed anew is overwritten",
        _RESEALING,
        ".where(table.id == row_id, column == sealed)",
        ".where(table.id == row_id)",
    ),
    Mutant(
        "sessions come back to life with the integration that was disabled in SQLAlchemy's tables",
        _INTEGRATIONS,
        "            record.end_sessions()\n",
        "",
    ),
)

_TESTS = (
    Group(("tests/unit/sqlalchemy/test_storage.py",), about=(_ACCOUNTS, _TABLES)),
    Group(("tests/flow/test_many_integrations.py",), about=(_ACCOUNTS, _TABLES)),
    Group(("tests/unit/flask/organizations/test_pipeline.py",), about=(_ACCOUNTS, _TABLES)),
    Group(
        ("tests/security/test_identity.py", "tests/security/test_callback.py"),
        "not django and not flask",
        about=(_ACCOUNTS, _TABLES),
    ),
    Group(
        ("tests/frameworks/django/test_admin.py", "tests/frameworks/django/test_commands.py"),
        about=(
            _DJANGO,
            _MODELS,
        ),
    ),
    Group(
        ("tests/frameworks/django/test_many_organizations.py",),
        "not goes_nowhere_else and not damaged and not framed",
        about=(
            _DJANGO,
            _MODELS,
        ),
    ),
    Group(
        (
            "tests/frameworks/django/test_key_rotation.py",
            "tests/frameworks/django/test_new_link.py",
            "tests/frameworks/django/test_models.py",
        ),
        about=(
            _DJANGO,
            _KEY_PAIRS,
            _MODELS,
        ),
    ),
    Group(("tests/unit/organizations/test_key_pairs.py",), about=(_KEY_PAIRS,)),
    Group(
        ("tests/unit/organizations/test_assembling.py", "tests/unit/organizations/test_outbound.py"),
        about=(_ASSEMBLING, _OUTBOUND),
    ),
    Group(("tests/unit/flask/organizations/test_integrations.py",), about=(_INTEGRATIONS, _RESEALING)),
    Group(
        ("tests/security/test_sessions.py", "tests/security/test_secrets.py"),
        "not django and not flask and not plain",
        about=(_INTEGRATIONS, _RESEALING),
    ),
    Group(("tests/flow/test_moves.py",), about=(_INTEGRATIONS,)),
)

SUBJECT = Subject("storage", _MUTANTS, _TESTS)
