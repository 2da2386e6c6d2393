"""Mutants of the rules that say who may log in."""

from __future__ import annotations

from ..mutant import Mutant
from ..subject import Subject
from ..suites import Group

_MEMBERSHIP = "social_bitbucket_server/account/membership.py"
_ADMISSION = "social_bitbucket_server/integration/admission.py"
_BACKEND = "social_bitbucket_server/login/backend.py"
_ROLES = "social_bitbucket_server/account/roles.py"
_ROLES_OF_SETTINGS = "social_bitbucket_server/integration/roles.py"
_ROLES_OF_LOGIN = "social_bitbucket_server/login/roles.py"
_INTEGRATION = "social_bitbucket_server/integration/integration.py"
_STORED_TOKENS = "social_bitbucket_server/login/stored_tokens.py"
_GROUPS = "social_bitbucket_server/django/groups.py"
_BEGINNING = "social_bitbucket_server/login/beginning.py"
_ASSEMBLING = "social_bitbucket_server/organizations/assembling.py"
_BROWSER_SESSION = "social_bitbucket_server/flask/organizations/browser_session.py"

_MUTANTS = (
    Mutant(
        "whoever a search for the name finds is taken for the person",
        _MEMBERSHIP,
        'type(record.get("id")) is int and record["id"] == profile.id for record in found',
        'type(record.get("id")) is int for record in found',
    ),
    Mutant(
        "true counts as the number 1 of a member",
        _MEMBERSHIP,
        'type(record.get("id")) is int and record["id"] == profile.id',
        'record.get("id") == profile.id',
    ),
    Mutant(
        "a group that the server does not tell about counts as one without the person",
        _MEMBERSHIP,
        """        if status in _NOT_TOLD:
            return None
""",
        """        if status in _NOT_TOLD:
            return False
""",
    ),
    Mutant(
        "a condition that nobody knows anything about lets the person in",
        _MEMBERSHIP,
        "        if finding.holds:\n            return",
        "        if finding.holds is not False:\n            return",
    ),
    Mutant(
        "the last condition alone decides whether a refusal is certain",
        _MEMBERSHIP,
        "is_certain = is_certain and finding.holds is not None",
        "is_certain = finding.holds is not None",
    ),
    Mutant(
        "a project counts as seen when the answer is about another one",
        _MEMBERSHIP,
        "return isinstance(found, str) and found.casefold() == name.casefold()",
        "return isinstance(found, str)",
    ),
    Mutant(
        "the key of a project is compared with its capitals",
        _MEMBERSHIP,
        "found.casefold() == name.casefold()",
        "found == name",
    ),
    Mutant(
        "a project that the person may not see ends the login with an error",
        _MEMBERSHIP,
        "if _refusal(error) in _NOT_TOLD | _NOT_THERE:\n            return None",
        "if _refusal(error) in _NOT_THERE:\n            return None",
    ),
    Mutant(
        "a rejected token counts as not being a member",
        _MEMBERSHIP,
        "return error.status_code if error.code in {Code.REQUEST_REFUSED, Code.NOT_PERMITTED} else None",
        "return error.status_code",
    ),
    Mutant(
        "a group that the server calls a bad request ends the login with an error",
        _MEMBERSHIP,
        "_NOT_THERE = frozenset({400, 404})",
        "_NOT_THERE = frozenset({404})",
    ),
    Mutant(
        "nobody is admitted by a repository, and an admission of repositories alone admits everybody",
        _ADMISSION,
        "            (Kind.REPOSITORY, self.repositories),\n",
        "",
    ),
    Mutant(
        "there may be one condition more than is said",
        _ADMISSION,
        "if count > MOST_QUESTIONS:",
        "if count > MOST_QUESTIONS + 1:",
    ),
    Mutant(
        "a text is taken for a list of its letters",
        _ADMISSION,
        "isinstance(value, (list, tuple, set, frozenset))",
        "isinstance(value, (list, tuple, set, frozenset, str))",
    ),
    Mutant(
        "a project's key may be followed by anything",
        _ADMISSION,
        "if not _PROJECT.fullmatch(project):",
        "if not _PROJECT.match(project):",
    ),
    Mutant(
        "a group's name may have white space around it",
        _ADMISSION,
        "and name == name.strip() and is_one_line",
        "and is_one_line",
    ),
    Mutant(
        "projects of the settings are ignored",
        _BACKEND,
        'names = ("ALLOW_GROUPS", "ALLOW_PROJECTS", "ALLOW_REPOSITORIES")',
        'names = ("ALLOW_GROUPS", "ALLOW_REPOSITORIES", "ALLOW_REPOSITORIES")',
    ),
    Mutant(
        "a login does not find out that the settings of its conditions are wrong before it begins",
        _BEGINNING,
        "    admission = backend.get_admission(integration)\n",
        "    admission = integration.admission\n",
    ),
    Mutant(
        "a role is given if the server does not say who is in its groups",
        _ROLES,
        "            if answers[-1]:\n",
        "            if answers[-1] is not False:\n",
    ),
    Mutant(
        "a role without a condition is for everybody",
        _ROLES_OF_SETTINGS,
        "if not admission.conditions:",
        "if not admission.conditions and not name:",
    ),
    Mutant(
        "conditions of a login do not count among those of the roles",
        _ROLES_OF_SETTINGS,
        "count_questions(roles.conditions.union(admission.conditions))",
        "count_questions(roles.conditions)",
    ),
    Mutant(
        "a permission counts as no question",
        _ADMISSION,
        " | {part for part in parts if part[2]}",
        "",
    ),
    Mutant(
        "a project is had by its name, which is another one's key",
        _MEMBERSHIP,
        "return any(_is_it(found, kind, name) for page, _ in pages(person, address_at) for found in page)",
        "return any(True for page, _ in pages(person, address_at) for found in page)",
    ),
    Mutant(
        "everybody who sees a project has each permission on it",
        _MEMBERSHIP,
        "answer = record is not None and (not permission or ",
        "answer = record is not None and (True or ",
    ),
    Mutant(
        "an organization's admin gives roles that the application does not offer",
        _ASSEMBLING,
        "return stored.roles.only(self.role_names())",
        "return stored.roles",
    ),
    Mutant(
        "the roles of the account count in every organization",
        _BROWSER_SESSION,
        "if identity is None or identity.integration.organization_id != store.key_of(organization):",
        "if identity is None:",
    ),
    Mutant(
        "roles by settings are given by each of several servers",
        _ROLES_OF_LOGIN,
        'if backend.setting("ROLES") and not backend.has_single_server:',
        'if backend.setting("ROLES") and backend.has_single_server is None:',
    ),
    Mutant(
        "with several servers a role has the name that another integration has for it",
        _BACKEND,
        """return [f"{response.get('integration', '')}:{role}" for role in roles or ()]""",
        "return [role for role in roles or ()]",
    ),
    Mutant(
        "a login takes away what another integration gave",
        _ROLES_OF_LOGIN,
        "for role, groups in mapping.items() if integration_in(role) == integration_id",
        "for role, groups in mapping.items()",
    ),
    Mutant(
        "roles that change during a login do not end it",
        _INTEGRATION,
        "*((integration.roles.each,) if integration.roles.named else ()),",
        "",
    ),
    Mutant(
        "an identity keeps the roles that are configured no more",
        _BACKEND,
        ' | {ROLES_KEY: response.get("roles") or []}',
        ' | ({ROLES_KEY: response["roles"]} if response.get("roles") else {})',
    ),
    Mutant(
        "a recheck without an answer takes all roles away",
        _STORED_TOKENS,
        "if result.roles is None or roles_of(identity) == set(result.roles):",
        "if roles_of(identity) == set(result.roles or ()):",
    ),
    Mutant(
        "a person leaves groups that are in no mapping",
        _GROUPS,
        "present = set(groups.using(using).filter(name__in=managed).values_list(",
        "present = set(groups.using(using).values_list(",
    ),
)

_TESTS = (
    Group(
        (
            "tests/unit/account/test_membership.py",
            "tests/unit/integration/test_admission.py",
            "tests/unit/integration/test_roles.py",
            "tests/unit/account/test_roles.py",
            "tests/unit/login/test_roles.py",
            "tests/unit/account/test_recheck.py",
            "tests/unit/organizations/test_assembling.py",
            "tests/unit/integration/test_integration.py",
            "tests/unit/integration/test_unsafe.py",
        )
    ),
    Group(
        (
            "tests/unit/test_backends.py",
            "tests/flow/test_who_may_log_in.py",
            "tests/flow/test_given_roles.py",
            "tests/flow/test_roles.py",
            "tests/frameworks/django/test_groups.py",
            "tests/flow/test_rechecks.py",
            "tests/frameworks/django/test_checks.py",
            "tests/frameworks/django/test_single_server.py",
            "tests/frameworks/django/test_rechecks.py",
        )
    ),
    Group(
        ("tests/flow/test_ways_in.py", "tests/flow/test_kept_access_tokens.py"), "chosen or may_not or trial or group"
    ),
)

SUBJECT = Subject("membership", _MUTANTS, _TESTS)
