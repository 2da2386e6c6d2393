"""Logins that have begun and not come back yet."""

from __future__ import annotations

from ..mutant import Mutant
from ..subject import Subject
from ..suites import Group

_PENDING = "social_bitbucket_server/login/pending.py"

_MUTANTS = (
    Mutant(
        "an expired pending login is accepted",
        _PENDING,
        """        if login.is_over:
            raise BitbucketServerError(Code.LOGIN_EXPIRED)
""",
        "",
    ),
    Mutant(
        "a login may take a hundred minutes",
        _PENDING,
        "LIFETIME = 600",
        "LIFETIME = 6000",
    ),
    Mutant(
        "a login that began in the future is accepted",
        _PENDING,
        "return not 0 <= time.time() - self.began <= LIFETIME",
        "return time.time() - self.began > LIFETIME",
    ),
    Mutant(
        "a login that another worker finished is finished again",
        _PENDING,
        """        if not consumed:
            raise BitbucketServerError(Code.LOGIN_NOT_PENDING)
""",
        "",
    ),
    Mutant(
        "a token that is pending since an earlier ten minutes is taken for new",
        _PENDING,
        "known = self._nonces.get(scope, value) is not None or not self._nonces.use(scope, timestamp, value)",
        "known = not self._nonces.use(scope, timestamp, value)",
    ),
    Mutant(
        "a token that is pending in another browser is accepted",
        _PENDING,
        """        if known:
            raise BitbucketServerError(Code.TOKEN_OF_ANOTHER_LOGIN, claim="oauth_token")
""",
        "",
    ),
    Mutant(
        "a login that fell out of a full session can still be played back",
        _PENDING,
        "for forgotten in logins[:-MOST]:",
        "for forgotten in logins[: -2 * MOST]:",
    ),
    Mutant(
        "the newest login falls out of a full session instead of the oldest",
        _PENDING,
        "[login.to_text() for login in logins[-MOST:]]",
        "[login.to_text() for login in logins[:MOST]]",
    ),
    Mutant(
        "any token finds the first login under way",
        _PENDING,
        "hmac.compare_digest(login.token_sha256, digest)",
        "hmac.compare_digest(login.token_sha256, login.token_sha256)",
    ),
    Mutant(
        "a finished login stays in the session",
        _PENDING,
        "self._strategy.session_set(self._session_key, [other.to_text() for other in logins if other != login])",
        "pass",
    ),
    Mutant(
        "finishing one login ends all others with the same integration",
        _PENDING,
        "for other in logins if other != login]",
        "for other in logins if other.integration_id != login.integration_id]",
    ),
    Mutant(
        "a trial comes back as a login that connects an account",
        _PENDING,
        "{self.intent.purpose} {quote(",
        "connect {quote(",
    ),
    Mutant(
        "a person whose key in the database has a space loses the login that connects an account",
        _PENDING,
        """{quote(self.intent.person, safe='')}""",
        "{self.intent.person}",
    ),
    Mutant(
        "a storage whose nonces cannot be consumed fails without saying what it lacks",
        _PENDING,
        """        except NotImplementedError as error:
            raise _incomplete_storage("callback") from error
""",
        """        except NotImplementedError:
            consumed = False
""",
    ),
)

_TESTS = (
    Group(
        ("tests/flow/test_many_integrations.py",),
        "too_long or falls_out or side_by_side or pending or under_way or finishes_no or meanwhile or connects",
    ),
    Group(
        ("tests/security/test_callback.py",),
        "not django and not flask and not plain",
    ),
    Group(("tests/security/test_trials.py",)),
    Group(("tests/unit/login/test_pending.py",)),
    Group(("tests/unit/test_backends.py", "tests/frameworks/test_any_framework.py", "tests/fuzz/test_callbacks.py")),
    Group(("tests/frameworks/django/test_many_organizations.py",), "callback or pending or meanwhile or connect"),
    Group(("tests/security/test_sessions.py",), "plain"),
)

SUBJECT = Subject("pending logins", _MUTANTS, _TESTS)
