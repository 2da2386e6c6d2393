import json
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from social_bitbucket_server.account import Profile, fetch_profile
from social_bitbucket_server.oauth import AccessToken, Client
from social_bitbucket_server.problems import BitbucketServerError
from tests.scripted_server import Reply
from tests.security.rows import row

PROPERTIES = "/bitbucket/rest/api/latest/application-properties"
WHOAMI = "/bitbucket/plugins/servlet/applinks/whoami"
USERS = "/bitbucket/rest/api/latest/users"
JSON = ("Content-Type", "application/json;charset=UTF-8")
JANE = {
    "name": "jane",
    "emailAddress": "jane@example.com",
    "id": 42,
    "displayName": "Jane Doe",
    "active": True,
    "slug": "jane",
    "type": "NORMAL",
    "links": {"self": [{"href": "https://bitbucket.example.com/users/jane"}]},
    "avatarUrl": "/bitbucket/users/jane/avatar.png?s=48",
}


def as_json(document):
    return Reply(json.dumps(document), headers=[JSON])


def is_signed_in(server, *names):
    server.scripts[PROPERTIES] = Reply(
        '{"version":"8.7.0"}', headers=[JSON, *(("X-AUSERNAME", quote(name)) for name in names)]
    )


def is_named(server, header):
    """Let the header X-AUSERNAME stand as it is written here."""
    server.scripts[PROPERTIES] = Reply("{}", headers=[JSON, ("X-AUSERNAME", header)])


def finds(server, *names, **page):
    """Let the search find records with these *names*, whatever it is asked for. Their ids count from 1."""
    records = [JANE | {"name": name, "id": number} for number, name in enumerate(names, 1)]
    server.scripts[USERS] = as_json({"values": records} | page)


def knows(server, record, *, at=None):
    server.scripts[f"{USERS}/{quote(at or record['name'], safe='')}"] = as_json(record)


@pytest.fixture
def fetch(integration):
    return lambda: fetch_profile(Client(integration).as_person(AccessToken("A", "", None, None)))


@pytest.fixture
def problem(fetch):
    def code():
        with pytest.raises(BitbucketServerError) as caught:
            fetch()
        return caught.value.code, caught.value.claim

    return code


def test_the_person_is_the_one_named_in_the_header(fetch, server):
    is_signed_in(server, "jane")
    knows(server, JANE)
    assert fetch() == Profile(
        id=42,
        name="jane",
        slug="jane",
        display_name="Jane Doe",
        email="jane@example.com",
        avatar_url=f"{server.url}/bitbucket/users/jane/avatar.png?s=48",
        url="https://bitbucket.example.com/users/jane",
    )
    assert server.paths() == [PROPERTIES, f"{USERS}/jane"]


def test_a_name_that_differs_from_its_slug_is_found_by_the_search(fetch, server):
    is_signed_in(server, "jane@example")
    server.scripts[USERS] = as_json({"values": [JANE | {"name": "jane@example", "slug": "jane_example"}]})
    profile = fetch()
    assert (profile.name, profile.slug) == ("jane@example", "jane_example")
    assert server.received[1].target.split("?")[0] == f"{USERS}/jane%40example"
    assert server.received[2].query["filter"] == ["jane@example"]


def test_the_search_follows_its_pages_to_the_exact_match(fetch, server):
    is_signed_in(server, "jane@example")

    def page(request):
        start = int(request.query["start"][0])
        if start == 0:
            values = [JANE | {"name": f"x-jane@example{n}", "id": 100 + n} for n in range(25)]
            return as_json({"values": values, "isLastPage": False, "nextPageStart": 25})
        return as_json({"values": [JANE | {"name": "jane@example"}], "isLastPage": True})

    server.scripts[USERS] = page
    assert fetch().id == 42
    assert [request.query["start"] for request in server.received[2:]] == [["0"], ["25"]]


@row(11)
@pytest.mark.parametrize("matches", [0, 2])
def test_no_match_or_two_are_nobody(problem, server, matches):
    is_signed_in(server, "alice")
    knows(server, JANE | {"name": "admin", "id": 1}, at="alice")
    server.scripts[USERS] = as_json({"values": [JANE | {"name": "alice"}] * matches})
    assert problem() == ("user_not_found", "name")


@row(11)
def test_the_record_at_the_equal_slug_may_be_somebody_elses(fetch, server):
    is_signed_in(server, "alice")
    knows(server, JANE | {"name": "admin", "id": 1}, at="alice")
    server.scripts[USERS] = as_json({"values": [JANE | {"name": "alice2"}, JANE | {"name": "alice"}]})
    assert fetch().id == 42


def test_a_search_without_end_is_given_up(problem, server):
    is_signed_in(server, "alice")
    server.scripts[USERS] = lambda request: as_json(
        {"values": [], "isLastPage": False, "nextPageStart": int(request.query["start"][0]) + 25}
    )
    assert problem() == ("user_not_found", "name")
    assert len(server.received) < 50


@pytest.mark.parametrize("following", [0, -1, "25", None, True])
def test_a_search_that_goes_in_circles_ends(problem, server, following):
    is_signed_in(server, "alice")
    server.scripts[USERS] = as_json({"values": [], "isLastPage": False, "nextPageStart": following})
    assert problem() == ("user_not_found", "name")
    assert [path.partition("?")[0] for path in server.paths()].count(USERS) == 1


def test_whoami_answers_where_the_header_was_removed(fetch, server):
    is_signed_in(server)
    server.scripts[WHOAMI] = Reply("jane\n")
    knows(server, JANE)
    assert fetch().id == 42


@row(12)
@pytest.mark.parametrize(
    "whoami", [Reply(""), Reply("", 401), Reply("", 302), Reply("<p>", headers=[("Content-Type", "text/html")])]
)
def test_an_anonymous_answer_names_nobody_and_no_user_is_looked_up(problem, server, whoami):
    is_signed_in(server)
    server.scripts[WHOAMI] = whoami
    assert problem() == ("identity_missing", "X-AUSERNAME")
    assert server.paths() == [PROPERTIES, WHOAMI]


@row(13)
def test_two_names_are_nobody(problem, server):
    is_signed_in(server, "alice", "admin")
    assert problem() == ("identity_invalid", "X-AUSERNAME")
    assert server.paths() == [PROPERTIES]


@row(14)
@pytest.mark.parametrize(
    "header",
    [
        "..",
        ".",
        "../../x",
        "a/../b",
        "a%5c..",
        "%2e%2e",
        "%0d%0a",
        "a%0d%0ab",
        "%00",
        "a%00",
        "a%00b",
        "x" * 256,
        "%ff",
        "%E2%80%A8",
    ],
)
def test_a_name_that_could_be_a_path_is_refused_before_anything_is_asked(problem, server, header):
    is_named(server, header)
    assert problem() == ("identity_invalid", "X-AUSERNAME")
    assert server.paths() == [PROPERTIES]


@row(14)
@pytest.mark.parametrize("name", ["m?x=1", "m#f", "m;x", "a b", "jo&ho", "100%", "ü", "x" * 255])
def test_a_strange_name_stays_within_its_path_segment(fetch, server, name):
    is_signed_in(server, name)
    knows(server, JANE | {"name": name})
    assert fetch().name == name
    assert server.received[1].target.split("?")[0] == f"{USERS}/{quote(name, safe='')}"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("jane+doe", "jane doe"),
        ("jane+doe", "jane+doe"),
        ("jane%2Bdoe", "jane+doe"),
        ("jane%20doe", "jane doe"),
        ("+jane+", "+jane+"),
        ("j%C3%B6+%E6%9D%8E", "jö 李"),
        ("jö".encode().decode("latin-1"), "jö"),
    ],
)
def test_a_name_is_read_in_both_encodings_and_the_record_decides(fetch, server, header, name):
    is_named(server, header)
    knows(server, JANE | {"name": name})
    finds(server)
    assert fetch().name == name


@row(14)
def test_a_name_that_two_people_have_in_different_encodings_is_nobodys(problem, server):
    is_named(server, "jane+doe")
    knows(server, JANE | {"name": "jane doe"})
    knows(server, JANE | {"name": "jane+doe", "id": 43})
    assert problem() == ("user_not_found", "name")


@row(119)
@pytest.mark.parametrize(("number", "name"), [("42", "jane doe"), ("43", "jane+doe")])
def test_of_two_people_with_one_name_in_different_encodings_the_number_decides(fetch, server, number, name):
    headers = [JSON, ("X-AUSERNAME", "jane+doe"), ("X-AUSERID", number)]
    server.scripts[PROPERTIES] = Reply("{}", headers=headers)
    knows(server, JANE | {"name": "jane doe", "id": 42})
    knows(server, JANE | {"name": "jane+doe", "id": 43})
    assert (fetch().id, fetch().name) == (int(number), name)


@row(119)
def test_of_two_people_whose_number_is_another_neither_is_taken(problem, server):
    server.scripts[PROPERTIES] = Reply("{}", headers=[JSON, ("X-AUSERNAME", "jane+doe"), ("X-AUSERID", "44")])
    knows(server, JANE | {"name": "jane doe", "id": 42})
    knows(server, JANE | {"name": "jane+doe", "id": 43})
    assert problem() == ("user_not_found", "name")


@row(14)
def test_a_name_whose_other_reading_may_be_somebodys_is_nobodys(problem, server):
    is_named(server, "jane+doe")
    knows(server, JANE | {"name": "jane doe"})
    finds(server, isLastPage=False, nextPageStart=0)
    assert problem() == ("user_not_found", "name")


@row(14)
@pytest.mark.parametrize("name", ["CORP\\jane", "a/b", "/jane", "corp.example/jane.doe", "..a/b.."])
def test_a_name_with_a_slash_is_searched_for_and_never_a_part_of_a_path(fetch, server, name):
    is_signed_in(server, name)
    finds(server, f"{name}2", name)
    assert fetch().id == 2
    assert server.paths() == [PROPERTIES, USERS]
    assert server.received[1].query["filter"] == [name]


@pytest.mark.parametrize(
    ("header", "found", "user_id"),
    [
        ("JANE", ["jane"], 1),
        ("jane", ["jane2", "Jane"], 2),
        ("J%C3%84NE", ["jäne"], 1),
        ("corp%5Cjane", ["CORP\\Jane"], 1),
        ("JANE+DOE", ["jane doe"], 1),
        ("jane", ["JANE", "jane", "Jane"], 2),  # the exact one is hers
    ],
)
def test_a_name_may_differ_in_capitals_where_one_record_fits(fetch, server, header, found, user_id):
    is_named(server, header)
    finds(server, *found)
    assert fetch().id == user_id


@pytest.mark.parametrize(
    ("found", "page"),
    [
        (["Jane", "jAne"], {}),
        (["Jane"], {"isLastPage": False, "nextPageStart": 0}),  # the exact name may come later
        (["jane2", "xJANE"], {}),
        ([None], {}),
        ([["JANE"]], {}),
    ],
)
def test_without_one_record_that_fits_a_name_in_capitals_is_nobodys(problem, server, found, page):
    is_signed_in(server, "JANE")
    finds(server, *found, **page)
    assert problem() == ("user_not_found", "name")


@pytest.mark.parametrize("missing", ["emailAddress", "avatarUrl", "links", "slug", "displayName"])
def test_what_is_not_needed_may_be_missing(fetch, server, missing):
    is_signed_in(server, "jane")
    knows(server, {field: value for field, value in JANE.items() if field != missing})
    assert fetch().id == 42


def test_without_a_slug_the_username_is_the_name(fetch, server):
    is_signed_in(server, "jane")
    knows(server, JANE | {"slug": ""})
    assert fetch().username == "jane"


def test_a_missing_display_name_is_the_name(fetch, server):
    is_signed_in(server, "jane")
    knows(server, JANE | {"displayName": ""})
    assert fetch().display_name == "jane"


ABSENT = object()


def record_text(field, value):
    """Return the record as JSON with *value*, JSON text itself, in *field*."""
    return json.dumps({name: text for name, text in JANE.items() if name != field})[:-1] + f', "{field}": {value}}}'


@row(6, 9, 10, 17)
@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("id", "null", ("profile_incomplete", "id")),
        *(
            ("id", text, ("profile_invalid", "id"))
            for text in [
                "true",
                "false",
                '""',
                '"42"',
                '" 42"',
                '"042"',
                '"\uff14\uff12"',
                "42.0",
                "4.2e1",
                "1e400",
                "-1",
                "0",
                "[42]",
                '{"a":1}',
                str(2**63),
                "1" + "0" * 400,
            ]
        ),
        *(("id", text, ("malformed_answer", None)) for text in ["NaN", "Infinity", "-Infinity", "1" * 5000]),
        ("active", "null", ("profile_incomplete", "active")),
        ("active", '"true"', ("profile_invalid", "active")),
        ("active", "1", ("profile_invalid", "active")),
        ("active", "false", ("account_inactive", None)),
        ("type", "null", ("profile_incomplete", "type")),
        ("type", "[]", ("profile_invalid", "type")),
        ("type", '"SERVICE"', ("account_not_a_person", None)),
        ("type", '"normal"', ("account_not_a_person", None)),
        ("displayName", '["x"]', ("profile_invalid", "displayName")),
        ("displayName", r'"\ud800"', ("malformed_answer", None)),
        ("emailAddress", "{}", ("profile_invalid", "emailAddress")),
    ],
)
def test_every_field_is_checked(problem, server, field, value, expected):
    is_signed_in(server, "jane")
    server.scripts[f"{USERS}/jane"] = Reply(record_text(field, value), headers=[JSON])
    assert problem() == expected


@row(6, 9, 10)
@pytest.mark.parametrize("field", ["id", "active", "type"])
def test_what_is_needed_must_be_there(problem, server, field):
    is_signed_in(server, "jane")
    knows(server, {name: value for name, value in JANE.items() if name != field})
    assert problem() == ("profile_incomplete", field)


@row(6)
@pytest.mark.parametrize("user_id", [1, 2**63 - 1])
def test_ids_reach_from_1_to_the_largest_long(fetch, server, user_id):
    is_signed_in(server, "jane")
    knows(server, JANE | {"id": user_id})
    assert fetch().id == user_id


@row(17)
@pytest.mark.parametrize(
    ("given_name", "kept"),
    [("x" * 60_000, "x" * 255), ("a\0b", "ab"), ("a\u202eb", "ab"), ("<script>", "<script>"), (" Jörg 李 ", "Jörg 李")],
)
def test_display_names_are_made_readable(fetch, server, given_name, kept):
    is_signed_in(server, "jane")
    knows(server, JANE | {"displayName": given_name})
    assert fetch().display_name == kept


@pytest.mark.parametrize("email", ["", "nobody", "a b@example.com", "x" * 260 + "@example.com"])
def test_what_is_no_email_address_is_none(fetch, server, email):
    is_signed_in(server, "jane")
    knows(server, JANE | {"emailAddress": email})
    assert fetch().email is None


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "//evil.example/x",
        "/\\evil",
        "data:,x",
        "https://",
        "https://[",
        "x",
        5,
        "https://é.x/",
        "h t",
    ],
)
def test_what_is_no_web_address_is_none(fetch, server, address):
    is_signed_in(server, "jane")
    knows(server, JANE | {"avatarUrl": address, "links": {"self": [{"href": address}]}})
    profile = fetch()
    assert profile.avatar_url is None
    assert profile.url is None


@row(7, 62, 63)
@pytest.mark.parametrize(
    "body",
    [
        '{"id":42,"id":43}',
        "[]",
        "null",
        '"x"',
        "5",
        "",
        "\ufeff{}",
        "{} x",
        '{"id":42}{}',
        '{"id":42}\0',
        "[" * 30_000,
        '{"a":' * 10_000,
        b"\xff",
    ],
)
def test_what_is_not_one_plain_json_object_is_malformed(problem, server, body):
    is_signed_in(server, "jane")
    server.scripts[f"{USERS}/jane"] = Reply(body, headers=[JSON])
    assert problem()[0] == "malformed_answer"


def test_a_page_for_people_was_put_in_between(problem, server):
    server.scripts[PROPERTIES] = Reply("<html>", headers=[("Content-Type", "text/html")])
    assert problem()[0] == "intercepted"


def test_an_account_that_bitbucket_does_not_admit_gets_an_empty_401(problem, server):
    server.scripts[PROPERTIES] = Reply("", 401)
    assert problem()[0] == "account_not_admitted"


CLOSED = {"context": None, "message": "no", "exceptionName": "com.atlassian.bitbucket.AuthorisationException"}
REFUSALS = [
    Reply(json.dumps({"errors": [CLOSED]}), 401, [JSON, ("X-AUSERNAME", "jane")]),
    Reply(json.dumps({"errors": [CLOSED]}), 403, [JSON]),
    Reply(json.dumps({"errors": []}), 403, [JSON, ("X-AUSERNAME", "jane")]),
]


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("address", [f"{USERS}/jane", USERS])
def test_a_person_who_may_not_read_users_is_told_so(fetch, server, refusal, address):
    is_signed_in(server, "jane")
    server.scripts[address] = refusal
    with pytest.raises(BitbucketServerError) as caught:
        fetch()
    assert (caught.value.code, caught.value.status_code) == ("users_unreadable", refusal.status)
    assert caught.value.facts == ({"exception": "AuthorisationException"} if "Author" in refusal.body else {})


@pytest.mark.parametrize("refusal", REFUSALS)
def test_whom_whoami_alone_knows_lost_the_header_on_the_way_to_rest(problem, server, refusal):
    is_signed_in(server)
    server.scripts[WHOAMI] = Reply("jane")
    server.scripts[f"{USERS}/jane"] = refusal
    assert problem()[0] == "authorization_header_lost"


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (Reply("", 403, [("X-Authentication-Denied-Reason", "CAPTCHA_CHALLENGE; login-url=x")]), "captcha_wanted"),
        (Reply("{}", 401, [("X-Authentication-Denied-Reason", "CAPTCHA_CHALLENGE")]), "captcha_wanted"),
        (Reply("XSRF check failed", 403), "xsrf_check_failed"),
        (Reply("oauth_problem=token_revoked", 401), "token_revoked"),
        (Reply(json.dumps({"errors": [CLOSED | {"exceptionName": "<b>"}]}), 500, [JSON]), "server_error"),
    ],
)
@pytest.mark.parametrize("address", [PROPERTIES, f"{USERS}/jane"])
def test_another_reason_for_a_refusal_has_its_own_name(problem, server, refusal, code, address):
    is_signed_in(server, "jane")
    server.scripts[address] = refusal
    assert problem()[0] == code


@pytest.mark.parametrize("values", [None, {}, "x"])
def test_a_user_list_must_be_a_list(problem, server, values):
    is_signed_in(server, "jane@x")
    server.scripts[USERS] = as_json({"values": values})
    assert problem()[0] == "malformed_answer"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(
    record=st.dictionaries(
        st.sampled_from([*JANE, "other"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text() | st.floats(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=5,
        ),
    )
)
def test_no_record_raises_anything_but_our_error(fetch, server, record):
    is_signed_in(server, "jane")
    server.scripts[f"{USERS}/jane"] = as_json(JANE | record)
    try:
        profile = fetch()
    except BitbucketServerError:
        return
    assert type(profile.id) is int
    assert 0 < profile.id < 2**63


@row(119)
@pytest.mark.parametrize("where", [WHOAMI, f"{USERS}/jane", USERS])
def test_every_answer_that_names_a_number_names_that_of_the_record(problem, server, where):
    """Also where a proxy takes away the name, and where the record is found by a search."""
    number = ("X-AUSERID", "43")
    is_signed_in(server, *([] if where == WHOAMI else ["jane"]))
    knows(server, JANE)
    if where == USERS:
        server.scripts[f"{USERS}/jane"] = Reply("{}", 404, [JSON])
        server.scripts[USERS] = Reply(json.dumps({"values": [JANE], "isLastPage": True}), headers=[JSON, number])
    elif where == WHOAMI:
        server.scripts[WHOAMI] = Reply("jane", headers=[("Content-Type", "text/plain"), number])
    else:
        server.scripts[where] = Reply(json.dumps(JANE), headers=[JSON, number])
    assert problem() == ("identity_of_another", "X-AUSERID")
