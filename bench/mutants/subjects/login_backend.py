"""The backends of social-core, the clients that they ask, and what is asked between two logins."""

from __future__ import annotations

from ..mutant import Mutant
from ..subject import Subject
from ..suites import Group

_BACKEND = "social_bitbucket_server/login/backend.py"
_BACKENDS = "social_bitbucket_server/backends.py"
_CALLBACK = "social_bitbucket_server/login/callback_address.py"
_CHOICE = "social_bitbucket_server/login/choice.py"
_IDENTITY = "social_bitbucket_server/login/identity.py"
_PARAMETERS = "social_bitbucket_server/login/parameters.py"
_LOGGED_IN = "social_bitbucket_server/login/logged_in_person.py"
_RETURNING = "social_bitbucket_server/login/returning.py"
_OAUTH2 = "social_bitbucket_server/oauth/oauth2.py"
_CLIENT = "social_bitbucket_server/oauth/oauth1.py"
_SENDING = "social_bitbucket_server/oauth/sending.py"
_KEY_PAIRS = "social_bitbucket_server/organizations/key_pairs.py"
_SERVER = "social_bitbucket_server/integration/server.py"
_STANDING = "social_bitbucket_server/account/recheck.py"
_PIPELINE = "social_bitbucket_server/pipeline.py"

_MUTANTS = (
    Mutant(
        "whoever is logged in gets the account that another person began to connect",
        _RETURNING,
        "    if is_bound_to_person and id_of(backend.strategy.storage.user, user) != pending.intent.person:",
        "    if is_bound_to_person and not id_of(backend.strategy.storage.user, user):",
    ),
    Mutant(
        "an integration that was changed while the account is written is not noticed",
        _IDENTITY,
        """                hold_integration(integration_id)
            refuse_changed_integration()
""",
        """                hold_integration(integration_id)
""",
    ),
    Mutant(
        "a login attaches its identity to the person who happens to be logged in",
        _LOGGED_IN,
        """    if purpose is not Purpose.CONNECT:
        raise BitbucketServerError(Code.ANOTHER_PERSON)
""",
        "",
    ),
    Mutant(
        "connecting does not notice an account that is somebody else's",
        _LOGGED_IN,
        """    if identity is not None:
        raise BitbucketServerError(Code.IDENTITY_IN_USE)
""",
        "",
    ),
    Mutant(
        "a single server's callback has the host of the request instead of the configured one",
        _CALLBACK,
        "    if origin:\n        uri = callback_origin(origin)",
        "    if origin and not backend.has_single_server:\n        uri = callback_origin(origin)",
    ),
    Mutant(
        "an integration's id is found inside another segment of the callback's path",
        _CALLBACK,
        'if integration.id in path.split("/"):',
        "if integration.id in path:",
    ),
    Mutant(
        "a parameter that the callback has twice is accepted",
        _PARAMETERS,
        """    if len(values) > 1:
        raise BitbucketServerError(Code.CALLBACK_PARAMETER_INVALID, f"{name} is there twice.", parameter=name)
""",
        "",
    ),
    Mutant(
        "a disabled person is logged in where no address is configured for them",
        _BACKEND,
        """        with problems_at("pipeline", self):
            refuse_inactive(self, person)
""",
        "",
    ),
    Mutant(
        "a token that was kept for an integration is used at the single server",
        _CHOICE,
        "backend.single_integration() if integration_id == SINGLE_INTEGRATION_ID else None",
        "backend.single_integration()",
    ),
    Mutant(
        "an identity lacks the namespace of its integration",
        _BACKEND,
        'return cast("str", response["uid"])',
        'return str(response["id"])',
    ),
    Mutant(
        "the conditions of one integration among many are ignored",
        _BACKEND,
        "if integration.admission.conditions:",
        "if integration.admission.conditions and self.has_single_server:",
    ),
    Mutant(
        "equal ids of two servers are one person by the other OAuth",
        _PIPELINE,
        "if space is None or space != other.identity_space(integration_id):",
        "if space is None:",
    ),
    Mutant(
        "every failure of the server makes requests go out with the pending key pair",
        _KEY_PAIRS,
        "or (code == Code.SERVER_ERROR and is_of_another_size)",
        "or code == Code.SERVER_ERROR",
    ),
    Mutant(
        "a login that the person refused is a failure instead of a declined one",
        _BACKENDS,
        'if verifier == DENIED or refusal == "user_refused":',
        "if verifier == DENIED:",
    ),
    Mutant(
        "the state that the browser carries is the seed of the code verifier, too",
        _BACKENDS,
        "state, seed = Secret(secrets.token_urlsafe(32)), Secret(secrets.token_urlsafe(32))",
        "state = seed = Secret(secrets.token_urlsafe(32))",
    ),
    Mutant(
        "conditions on who may log in replace the configured scope",
        _BACKENDS,
        'needs_more = is_sight_asked and not self.setting("SCOPE")',
        "needs_more = is_sight_asked",
    ),
    Mutant(
        "a token is renewed over a connection that may have gone stale",
        _OAUTH2,
        '"refresh_token": refresh_token}, fresh=True)',
        '"refresh_token": refresh_token})',
    ),
    Mutant(
        "the refresh token is lost when the server sends no new one",
        _OAUTH2,
        "return granted if granted.session_handle else replace(granted, session_handle=refresh_token)",
        "return granted",
    ),
    Mutant(
        "a person who may not see something is taken for one whose token ended",
        _OAUTH2,
        'bool(answer.body) and not answer.is_html and "X-AUSERNAME" not in answer.headers',
        "bool(answer.body) and not answer.is_html",
    ),
    Mutant(
        "a POST of REST is sent again after a kept connection broke",
        _SENDING,
        'if is_again or (request.method == "POST" and request.content_type == JSON):',
        "if is_again:",
    ),
    Mutant(
        "a callback that the server did not confirm is accepted",
        _CLIENT,
        'if confirmed != "true":',
        'if confirmed is not None and confirmed != "true":',
    ),
    Mutant(
        "a request token may go on with any characters",
        _CLIENT,
        "if not _TOKEN.fullmatch(value):",
        "if not _TOKEN.match(value):",
    ),
    Mutant(
        "a clock that did not help is remembered",
        _CLIENT,
        "            clock.forget()\n",
        "",
    ),
    Mutant(
        "the proxy for everything goes before the one for this host",
        _SERVER,
        '(f"{scheme}://{host}", scheme, f"all://{host}", "all")',
        '("all", f"all://{host}", scheme, f"{scheme}://{host}")',
    ),
    Mutant(
        "an account that took another one's name keeps its session",
        _STANDING,
        """        raise BitbucketServerError(Code.ACCOUNT_REPLACED, claim="id")
""",
        "        return\n",
    ),
    Mutant(
        "a replaced account is taken for a server that does not answer",
        _STANDING,
        "        Code.ACCOUNT_REPLACED,\n        Code.PERSON_NOT_ALLOWED,\n",
        "        Code.PERSON_NOT_ALLOWED,\n",
    ),
    Mutant(
        "a token for another scope decides what a person can see",
        _STANDING,
        "(admission.projects or admission.repositories or roles.needs_sight)",
        "(admission.projects and admission.repositories or roles.needs_sight)",
    ),
)

_TESTS = (
    Group(("tests/unit/organizations/test_key_pairs.py",), about=(_KEY_PAIRS,)),
    Group(
        (
            "tests/unit/test_backends.py",
            "tests/unit/oauth/test_oauth1.py",
            "tests/unit/oauth/test_oauth2.py",
            "tests/unit/account/test_recheck.py",
            "tests/unit/test_pipeline.py",
            "tests/unit/account/test_rest.py",
        )
    ),
    Group(
        ("tests/flow/test_many_integrations.py",),
        about=(
            _BACKEND,
            _BACKENDS,
            _CALLBACK,
            _CHOICE,
            _IDENTITY,
            _PARAMETERS,
            _LOGGED_IN,
            _RETURNING,
        ),
    ),
    Group(("tests/security/test_changed_integrations.py",), "not django and not organizations", about=(_IDENTITY,)),
    Group(
        ("tests/flow/test_rechecks.py", "tests/flow/test_calling_bitbucket.py", "tests/flow/test_who_may_log_in.py"),
        about=(
            _STANDING,
            _OAUTH2,
            _BACKENDS,
        ),
    ),
    Group(("tests/unit/integration/test_server.py", "tests/flow/transport/test_proxies.py"), about=(_SERVER,)),
    Group(("tests/flow/transport/test_proxies.py", "tests/unit/oauth/test_server_clock.py"), about=(_CLIENT,)),
    Group(
        (
            "tests/frameworks/test_any_framework.py",
            "tests/frameworks/django/test_single_server.py",
            "tests/frameworks/django/test_key_rotation.py",
        )
    ),
    Group(
        ("tests/flow/test_oauth2_login.py",),
        "not is_none and not a_field and not damaged and not traceback and not plain_http",
    ),
)

SUBJECT = Subject("login backend", _MUTANTS, _TESTS)
