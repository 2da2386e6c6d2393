"""Mutants of what is kept in databases: identities, nonces, integrations, and their key pairs."""

from __future__ import annotations

from ..mutant import Mutant
from ..subject import Subject
from ..suites import Group

_ACCOUNTS = "social_bitbucket_server/sqlalchemy/accounts.py"
_TABLES = "social_bitbucket_server/sqlalchemy/models.py"
_MODELS = "social_bitbucket_server/django/models.py"
_DJANGO = "social_bitbucket_server/django/integrations.py"
_DEMO = "demo_app/integrations.py"

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
        """        except IntegrityError:
            return False
        session.commit()
        return True
""",
        """        except IntegrityError:
            return False
        return True
""",
    ),
    Mutant(
        "a nonce that was consumed is there again when the request fails",
        _TABLES,
        """        session.commit()
        return bool(cast("Any", result).rowcount == 1)
""",
        """        return bool(cast("Any", result).rowcount == 1)
""",
    ),
    Mutant(
        "a nonce is consumed by everybody who tries",
        _TABLES,
        'return bool(cast("Any", result).rowcount == 1)',
        'return bool(cast("Any", result).rowcount >= 0)',
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
        "ServerURL.parse(self.base_url.strip(), configuration.base_url_rules())",
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
        _DJANGO,
        "return timezone.now() - replaced.replaced_at <= timedelta(seconds=LIFETIME)",
        "return timezone.now() - replaced.replaced_at >= timedelta(0)",
    ),
    Mutant(
        "an integration's server is asked at whatever address it has",
        _DJANGO,
        "        address_policy=record.address_policy(),\n",
        "",
    ),
    Mutant(
        "a server that the operator does not allow any more is asked",
        _DJANGO,
        "        ServerURL.parse(record.base_url, rules),\n",
        "        record.server_url,\n",
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
        '_WRITTEN_ALONE = frozenset({"enabled", "last_login_at"',
        '_WRITTEN_ALONE = frozenset({"last_login_at"',
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
        "the demo application overwrites a private key that changed while keys were sealed anew",
        _DEMO,
        ".where(table.id == row_id, column == sealed)",
        ".where(table.id == row_id)",
    ),
    Mutant(
        "sessions come back to life with the integration that was disabled in the demo application",
        _DEMO,
        "        record.end_sessions()\n",
        "",
    ),
)

_TESTS = (
    Group(("tests/unit/sqlalchemy/test_storage.py",), about=(_ACCOUNTS, _TABLES)),
    Group(("tests/flow/test_many_integrations.py",), about=(_ACCOUNTS, _TABLES)),
    Group(("tests/unit/demo/test_pipeline.py",), about=(_ACCOUNTS, _TABLES)),
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
            _MODELS,
        ),
    ),
    Group(("tests/unit/demo/test_integrations.py",), about=(_DEMO,)),
    Group(
        ("tests/security/test_sessions.py", "tests/security/test_secrets.py"),
        "not django and not flask and not plain",
        about=(_DEMO,),
    ),
    Group(("tests/flow/test_demo_moves.py",), about=(_DEMO,)),
)

SUBJECT = Subject("storage", _MUTANTS, _TESTS)
