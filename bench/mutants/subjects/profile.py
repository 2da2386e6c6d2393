"""Mutants of the account's profile."""

from __future__ import annotations

from ..mutant import Mutant
from ..subject import Subject
from ..suites import Group

_PROFILE = "social_bitbucket_server/account/profile.py"
_PERSON = "social_bitbucket_server/oauth/person.py"

_MUTANTS = (
    Mutant(
        "of two names in the headers the first one is believed",
        _PROFILE,
        """    if len(names) > 1:
        raise _identity_invalid("It named more than one person.")
""",
        "",
    ),
    Mutant(
        "a name is believed whatever the status of the answer that has it",
        _PERSON,
        "        read_json(answer)\n        return answer.headers",
        "        return answer.headers",
    ),
    Mutant(
        "a name that is encoded in another way than UTF-8 is taken with replacement characters",
        _PROFILE,
        'encoded.encode("latin-1")).decode())',
        'encoded.encode("latin-1")).decode(errors="replace"))',
    ),
    Mutant(
        "the page of a login in front of Bitbucket is taken for a name",
        _PERSON,
        "if answer.status == 200 and not answer.is_html else",
        "if answer.status == 200 else",
    ),
    Mutant(
        "a name of dots alone becomes another path",
        _PROFILE,
        'if any(part and not part.strip(".") for part in _SEPARATOR.split(name)):',
        'if any(part and not part.strip(".") for part in _SEPARATOR.split(name)[1:]):',
    ),
    Mutant(
        "a name with a backslash becomes another path",
        _PROFILE,
        '_SEPARATOR = re.compile(r"[/\\\\]")',
        '_SEPARATOR = re.compile(r"[/]")',
    ),
    Mutant(
        "a name with a control character is believed",
        _PROFILE,
        'in {"Cc", "Cs", "Zl", "Zp"} for character in name):\n        raise _identity_invalid',
        'in {"Cs", "Zl", "Zp"} for character in name):\n        raise _identity_invalid',
    ),
    Mutant(
        "a name may be one character too long",
        _PROFILE,
        "if not 0 < len(name) <= NAME_LIMIT:",
        "if not 0 < len(name) <= NAME_LIMIT + 1:",
    ),
    Mutant(
        "the record with the equal slug is taken, whatever its name",
        _PROFILE,
        'if record is not None and record.get("name") == name:',
        'if record is not None and record.get("name"):',
    ),
    Mutant(
        "a user whose name differs in capitals counts as much as the one with the exact name",
        _PROFILE,
        'exact = [record for record in found if record.get("name") == name]',
        'exact = [record for record in found if str(record.get("name")).lower() == name.lower()]',
    ),
    Mutant(
        "a user whose name differs in capitals is taken though the exact name may come later",
        _PROFILE,
        "    if not is_complete:",
        "    if False:",
    ),
    Mutant(
        "of two users with the same name the first one is taken",
        _PROFILE,
        "    if len(records) != 1:",
        "    if not records:",
    ),
    Mutant(
        "true counts as the number 1 of an account",
        _PROFILE,
        "if type(user_id) is not int or not 0 < user_id <= _LARGEST_ID:",
        "if not isinstance(user_id, int) or not 0 < user_id <= _LARGEST_ID:",
    ),
    Mutant(
        "an account may have the number 0",
        _PROFILE,
        "not 0 < user_id <= _LARGEST_ID",
        "not 0 <= user_id <= _LARGEST_ID",
    ),
    Mutant(
        "an account may have a number that no database keeps",
        _PROFILE,
        "or not 0 < user_id <= _LARGEST_ID:",
        "or not 0 < user_id:",
    ),
    Mutant(
        "any value that is true makes an account active",
        _PROFILE,
        """    if type(active) is not bool:
        raise _invalid("active")
""",
        "",
    ),
    Mutant(
        "only service accounts are refused, not all that are no person's",
        _PROFILE,
        'if kind != "NORMAL":',
        'if kind == "SERVICE":',
    ),
    Mutant(
        "the facts of an inactive account lack whose it is",
        _PROFILE,
        'raise BitbucketServerError(Code.ACCOUNT_INACTIVE, facts={"uid": integration.uid(user_id)})',
        "raise BitbucketServerError(Code.ACCOUNT_INACTIVE)",
    ),
    Mutant(
        "a user list that leads back to its beginning is read again and again",
        _PROFILE,
        "or type(following) is not int or following <= start:",
        "or type(following) is not int:",
    ),
    Mutant(
        "a user list without a last page goes on",
        _PROFILE,
        'is_last = page.get("isLastPage") is not False',
        'is_last = page.get("isLastPage") is True',
    ),
    Mutant(
        "characters that turn the direction of writing stay in names",
        _PROFILE,
        'if unicodedata.category(character) not in {"Cc", "Cf"})',
        'if unicodedata.category(character) not in {"Cc"})',
    ),
    Mutant(
        "an e-mail address may contain a space",
        _PROFILE,
        'if email and "@" in email and " " not in email and',
        'if email and "@" in email and',
    ),
    Mutant(
        "an address with any scheme and a host is a web address",
        _PROFILE,
        'return value if parts.scheme in {"https", "http"} and parts.hostname else None',
        'return value if parts.scheme in {"https", "http"} or parts.hostname else None',
    ),
    Mutant(
        "a person without a slug has no user name",
        _PROFILE,
        "return self.slug or self.name",
        'return self.slug or ""',
    ),
)

_TESTS = (
    Group(("tests/unit/account/test_profile.py", "tests/unit/oauth/test_oauth1.py", "tests/unit/test_backends.py")),
    Group(("tests/security/test_identity.py",), "not django and not flask and not plain"),
    Group(("tests/fuzz/test_answers.py",), "profiles or names"),
)

SUBJECT = Subject("profile", _MUTANTS, _TESTS)
