"""Sessions, forms, and requests: Flask, plain values, Django, and the sessions of organizations' people in Flask."""

from __future__ import annotations

from ..mutant import Mutant
from ..subject import Subject
from ..suites import Group

_FLASK = "social_bitbucket_server/flask/extension.py"
_FLASK_LOGINS = "social_bitbucket_server/flask/logins.py"
_FLASK_STRATEGY = "social_bitbucket_server/flask/strategy.py"
_STRATEGY = "social_bitbucket_server/any_framework.py"
_DJANGO = "social_bitbucket_server/django/strategy.py"
_MIDDLEWARE = "social_bitbucket_server/django/middleware.py"
_ORGANIZATIONS = "social_bitbucket_server/flask/organizations/browser_session.py"
_IDENTITIES = "social_bitbucket_server/sqlalchemy/organizations/identities.py"
_WAYS_IN = "social_bitbucket_server/sqlalchemy/organizations/ways_in.py"

_MUTANTS = (
    Mutant(
        "the session goes on after a login with what it held before",
        _FLASK_LOGINS,
        "        session.clear()\n        session.update(kept)",
        "        session.update(kept)",
    ),
    Mutant(
        "asking for the headers of a callback uses the login up",
        _FLASK_LOGINS,
        "    _refuse_head()\n    completing =",
        "    completing =",
    ),
    Mutant(
        "a form that another site sent begins a login",
        _FLASK_LOGINS,
        """    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise refusal.as_social_error(None, "begin")
""",
        "",
    ),
    Mutant(
        "a form without a token begins a login",
        _FLASK_LOGINS,
        """        validate_csrf(request.form.get("csrf_token"))
""",
        """        if "csrf_token" in request.form:
            validate_csrf(request.form["csrf_token"])
""",
    ),
    Mutant(
        "a field of the request wins over the integration in the address",
        _FLASK_STRATEGY,
        """            data["integration"] = chosen
""",
        """            data.setdefault("integration", chosen)
""",
    ),
    Mutant(
        "the form of a GET counts",
        _FLASK_STRATEGY,
        """        if request.method == "POST":
            data.update(_hidden(request.form))
""",
        """        data.update(_hidden(request.form))
""",
    ),
    Mutant(
        "a login goes where an abandoned one was meant to go",
        _FLASK_LOGINS,
        """    session.pop("next", None)
    return do_auth(backend, user""",
        """    return do_auth(backend, user""",
    ),
    Mutant(
        "an application that is found unsafe answers the second request",
        _FLASK,
        """        if unchecked:
            _refuse_unsafe_application(app)
""",
        """        if unchecked:
            unchecked.clear()
            _refuse_unsafe_application(app)
""",
    ),
    Mutant(
        "a redirect repeats its address in its body",
        _FLASK_STRATEGY,
        """        response.set_data(b"")
""",
        "",
    ),
    Mutant(
        "a login hands whoever is logged in to social-core",
        _FLASK_LOGINS,
        "        return do_complete(completing, login=login, user=None)\n",
        "        return do_complete(completing, login=login, user=_person())\n",
    ),
    Mutant(
        "a session without a form token accepts the word None",
        _STRATEGY,
        "is_own = bool(expected) and hmac.compare_digest(",
        "is_own = hmac.compare_digest(",
    ),
    Mutant(
        "the header that says that a form is another site's is ignored without a framework",
        _STRATEGY,
        'if not is_own or sec_fetch_site == "cross-site":',
        "if not is_own:",
    ),
    Mutant(
        "a field names the integration where the application does not",
        _STRATEGY,
        """        self._values.pop("integration", None)
""",
        "",
    ),
    Mutant(
        "a field that is there twice is not noticed without a framework",
        _STRATEGY,
        "return self._values.get(name, [])",
        "return self._values.get(name, [])[-1:]",
    ),
    Mutant(
        "a page to go to may be of any length without a framework",
        _STRATEGY,
        """        if len(self._values.get("next", [""])[-1]) > LONGEST_NEXT:
            del self._values["next"]
""",
        "",
    ),
    Mutant(
        "a field of the request wins over the integration in Django's address",
        _DJANGO,
        'data["integration"] = self.integration_id',
        'data.setdefault("integration", self.integration_id)',
    ),
    Mutant(
        "a callback in Django says where to go",
        _DJANGO,
        'if request.method != "POST" or not is_own_path(',
        "if not is_own_path(",
    ),
    Mutant(
        "sessions in Django outlive their integration",
        _MIDDLEWARE,
        "            login.end_session(request)\n",
        "            pass\n",
    ),
    Mutant(
        "logins through an integration begin at social_django's own address, too",
        _MIDDLEWARE,
        '    if view in _STOCK_VIEWS and route.get("backend") in configuration.backends_in_database():\n'
        "        raise Http404\n",
        "",
    ),
    Mutant(
        "a session that nobody used for an hour goes on",
        _ORGANIZATIONS,
        """    if now - kept["seen"] > application.longest_pause.total_seconds():
        return True
""",
        "",
    ),
    Mutant(
        "a session in use never ends",
        _ORGANIZATIONS,
        'now - kept["began"] > application.longest_login.total_seconds() or ',
        "",
    ),
    Mutant(
        "a copy of the cookie goes on after a log-out",
        _ORGANIZATIONS,
        ' or nonce.get(_ENDED, kept["id"]) is not None:',
        ":",
    ),
    Mutant(
        "the session before a login goes on",
        _ORGANIZATIONS,
        "    _use_up(session.get(_LOGIN))\n    logins.log_in",
        "    logins.log_in",
    ),
    Mutant(
        "a session in use ends after an hour",
        _ORGANIZATIONS,
        '        session[_LOGIN] = {**kept, "seen": now}\n',
        "        pass\n",
    ),
    Mutant(
        "a person's sessions go on when they are ended",
        _IDENTITIES,
        '"sessions_ended": identity.sessions_ended + 1',
        '"sessions_ended": identity.sessions_ended',
    ),
    Mutant(
        "a session outlives the revision of its integration",
        _IDENTITIES,
        "found is None or found.session_revision != revision",
        "found is None",
    ),
    Mutant(
        "sessions by another way come back to life when all ways are open again",
        _WAYS_IN,
        "                other.end_sessions()\n",
        "                pass\n",
    ),
)

_TESTS = (
    Group(("tests/frameworks/test_any_framework.py",), about=(_STRATEGY,)),
    Group(("tests/unit/flask/organizations/test_browser_session.py",), about=(_ORGANIZATIONS, _IDENTITIES)),
    Group(("tests/flow/test_ways_in.py",), "enforc", about=(_WAYS_IN,)),
    Group(
        ("tests/security/test_sessions.py",),
        "not django and not flask and not plain",
        about=(_ORGANIZATIONS, _IDENTITIES),
    ),
    Group(
        ("tests/flow/test_many_integrations.py", "tests/flow/test_readme.py"),
        about=(_FLASK, _FLASK_LOGINS, _FLASK_STRATEGY),
    ),
    Group(
        ("tests/frameworks/django/test_many_organizations.py",),
        about=(
            _DJANGO,
            _MIDDLEWARE,
        ),
    ),
    Group(
        ("tests/frameworks/django/test_single_server.py", "tests/frameworks/django/test_checks.py"),
        about=(
            _DJANGO,
            _MIDDLEWARE,
        ),
    ),
    Group(
        ("tests/security/test_sessions.py", "tests/security/test_callback.py", "tests/security/test_web.py"),
        "not ends_in_a_page and flask",
        about=(_FLASK, _FLASK_LOGINS, _FLASK_STRATEGY),
    ),
    Group(
        ("tests/security/test_sessions.py", "tests/security/test_callback.py", "tests/security/test_web.py"),
        "not ends_in_a_page and plain",
        about=(_STRATEGY,),
    ),
    Group(
        ("tests/security/test_sessions.py", "tests/security/test_callback.py", "tests/security/test_web.py"),
        "not ends_in_a_page and django",
        about=(
            _DJANGO,
            _MIDDLEWARE,
        ),
    ),
    Group(
        ("tests/flow/test_odd_input.py",),
        about=(
            _FLASK,
            _FLASK_LOGINS,
            _FLASK_STRATEGY,
            _ORGANIZATIONS,
        ),
    ),
)

SUBJECT = Subject("sessions", _MUTANTS, _TESTS)
