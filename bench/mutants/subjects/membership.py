"""Mutants of the rules that say who may log in."""

from __future__ import annotations

from ..mutant import Mutant
from ..subject import Subject
from ..suites import Group

_MEMBERSHIP = "social_bitbucket_server/account/membership.py"
_ADMISSION = "social_bitbucket_server/integration/admission.py"
_BACKEND = "social_bitbucket_server/login/backend.py"
_BEGINNING = "social_bitbucket_server/login/beginning.py"

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
        "if _refusal(error) in _NOT_TOLD | _NOT_THERE:",
        "if _refusal(error) in _NOT_THERE:",
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
        "if len(self.conditions) > MOST_CONDITIONS:",
        "if len(self.conditions) > MOST_CONDITIONS + 1:",
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
)

_TESTS = (
    Group(
        (
            "tests/unit/account/test_membership.py",
            "tests/unit/integration/test_admission.py",
            "tests/unit/account/test_recheck.py",
            "tests/unit/integration/test_integration.py",
            "tests/unit/integration/test_unsafe.py",
        )
    ),
    Group(
        (
            "tests/unit/test_backends.py",
            "tests/flow/test_who_may_log_in.py",
            "tests/flow/test_rechecks.py",
            "tests/frameworks/django/test_checks.py",
            "tests/frameworks/django/test_single_server.py",
            "tests/frameworks/django/test_rechecks.py",
        )
    ),
    Group(
        ("tests/flow/test_demo_ways_in.py", "tests/flow/test_demo_rechecks.py"), "chosen or may_not or trial or group"
    ),
)

SUBJECT = Subject("membership", _MUTANTS, _TESTS)
