import pytest
from hypothesis import given
from hypothesis import strategies as st

from social_bitbucket_server.integration import OPERATOR_RULES, ORGANIZATION_RULES, BaseURLRules, ConnectTo, ServerURL
from social_bitbucket_server.problems import BitbucketServerError
from tests.security.rows import row


@row(66)
@pytest.mark.parametrize(
    ("typed", "canonical"),
    [
        ("https://bitbucket.example.com", "https://bitbucket.example.com"),
        ("https://bitbucket.example.com/", "https://bitbucket.example.com"),
        ("HTTPS://BB.Acme.Test:443/bitbucket/", "https://bb.acme.test/bitbucket"),
        ("https://example.com/a/Bitbucket", "https://example.com/a/Bitbucket"),
        ("https://example.com:8443/bitbucket", "https://example.com:8443/bitbucket"),
        ("https://git", "https://git"),
        ("http://localhost:7990/bitbucket", "http://localhost:7990/bitbucket"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
    ],
)
def test_a_base_url_gets_its_canonical_form(typed, canonical):
    assert str(ServerURL.parse(typed)) == canonical


@row(66)
@pytest.mark.parametrize("base", ["https://h.example", "https://h.example/bitbucket", "http://localhost:7990/a/b"])
def test_every_address_stands_below_the_base_url(base):
    url = ServerURL.parse(base + "/")
    addresses = [
        url.request_token,
        url.authorize("T"),
        url.access_token,
        url.whoami,
        url.application_links,
        url.application_properties,
        url.user("jane"),
        url.users("jane"),
    ]
    assert all(address.startswith(base + "/") for address in addresses)


def test_names_are_percent_encoded_in_addresses():
    url = ServerURL.parse("https://h.example")
    assert url.user("a b/c?d").endswith("/users/a%20b%2Fc%3Fd")
    assert "filter=a%20%26%2B" in url.users("a &+")
    assert url.authorize("a+b&c").endswith("?oauth_token=a%2Bb%26c")


def test_the_origin_has_no_path():
    assert ServerURL.parse("https://h.example:8443/bitbucket").origin == "https://h.example:8443"


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", "empty"),
        ("https://" + "a" * 250 + ".example", "longer than 255"),
        ("https://bücher.example", "xn--"),
        ("https://h.example/ a", "white space"),
        ("https://h.example\n", "white space"),
        ("https://h.example\\@evil", "backslash"),
        ("https://u:p@h.example", "user name"),
        ("https://h.example?x=1", "question mark"),
        ("https://h.example#x", "#"),
        ("https://h.example/%2e%2e/", "percent sign"),
        ("https://h.example;x", "semicolon"),
        ("h.example", "https://"),
        ("//h.example", "https://"),
        ("https:h.example", "https://"),
        ("https:///h.example", "no host name"),
        ("ftp://h.example", "ftp"),
        ("javascript://h.example/alert(1)", "javascript"),
        ("http://h.example", "http://"),
        ("http://localhost.h.example", "http://"),
        ("http://localhosts", "http://"),
        ("https://h.example:", "port number"),
        ("https://h.example:0", "port number"),
        ("https://h.example:65536", "port number"),
        ("https://h.example:+443", "port number"),
        ("https://h.example.", "ends with a dot"),
        ("https://h..example", "not a valid one"),
        ("https://-h.example", "not a valid one"),
        ("https://h_h.example", "an underscore"),
        ("https://2130706433", "looks like a number"),
        ("https://0x7f.1", "looks like a number"),
        ("https://h.0xaf", "looks like a number"),
        ("https://[::1", "IPv6"),
        ("https://[zz]", "IPv6"),
        ("https://h.example/a/../b", "context path"),
        ("https://h.example/a//b", "context path"),
        ("https://h.example/a$b", "context path"),
        ("https://bitbucket.org", "Bitbucket Cloud"),
        ("https://api.bitbucket.org/2.0", "Bitbucket Cloud"),
        ("https://acme.atlassian.net/wiki", "Atlassian's cloud"),
        ("https://bit_bucket.example.com", "underscore"),
        ("ssh://git@h.example:7999/web/site.git", "git over SSH"),
        ("git@h.example:web/site.git", "git over SSH"),
        ("https://jane@h.example/b/scm/web/site.git", "Its base URL may be https://h.example/b."),
        ("https://jane:secret@h.example/scm/web/site.git", "Its base URL may be https://h.example."),
        ("https://h.example/projects/WEB/repos/site/browse?at=main", "Its base URL may be https://h.example."),
        ("https://h.example/b/login?next=%2Fx", "Its base URL may be https://h.example/b."),
        ("https://h.example/plugins/servlet/applinks/listApplicationLinks#x", "Its base URL may be https://h.example."),
    ],
)
def test_a_bad_base_url_is_refused_with_what_is_wrong(typed, words):
    with pytest.raises(BitbucketServerError) as caught:
        ServerURL.parse(typed)
    assert caught.value.code == "invalid_base_url"
    assert caught.value.parameter == "base_url"
    assert words in caught.value.reason
    assert "secret" not in caught.value.reason


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("https://bitbucket", "no dot"),
        ("https://localhost", "no dot"),
        ("https://127.0.0.1", "IP address"),
        ("http://127.0.0.1:7990", "IP address"),
        ("https://[::1]", "IP address"),
        ("https://[::ffff:127.0.0.1]", "IP address"),
        ("https://h.example:22", "Port 22"),
        ("https://127.1", "looks like a number"),
    ],
)
def test_what_organizations_enter_is_held_to_stricter_rules(typed, words):
    with pytest.raises(BitbucketServerError, match="base URL") as caught:
        ServerURL.parse(typed, ORGANIZATION_RULES)
    assert words in caught.value.reason


def full_width(text: str) -> str:
    """Return *text* in letters and digits of East Asian keyboards, which some programs take for ours."""
    return "".join(chr(ord(character) + 0xFEE0) if character.isalnum() else character for character in text)


LITERALS = (
    *("127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "017700000001", "0"),
    *("①②⑦.⓪.⓪.①", full_width("127.0.0.1"), "127。0。0。1"),
    *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]"),
    *("[2002:7f00:1::]", "[fe80::1%25eth0]", "169.254.169.254", "[fd00:ec2::254]", "168.63.129.16"),
    *("100.100.100.200", "192.0.0.192", "224.0.0.1", "localhost", "localhost."),
)
SPELLINGS = (
    *("https://u:p@h.test", "https://h.test\\@127.0.0.1", "https://127.0.0.1\\@h.test", "https://h.test#@127.0.0.1"),
    *("https://%61.test", "https://h.test%00.x", "https://h..test", "https://h.test.", "https://h.test:0"),
    *("https://h.test:22", "https://h.test:65536", "https://h.test:+443", "https://h.test:"),
    f"https://h.test:{full_width('443')}",
    *("https://h.te\tst", "https://h.te\nst", "https://h.te st", "https:h.test", "https:///h.test", "//h.test"),
    *("javascript://h.test/%0aalert(1)", "file:///etc/passwd", "gopher://h.test", "ftp://h.test", "unix:/run/s"),
    *("https://h.test/a/../b", "https://h.test/./b", "https://h.test/%2e%2e/", "https://h.test/;x", "https://h.test?x"),
    *("https://h.test/" + "a" * 300, f"https://{full_width('a')}.test"),
)


@row(64, 65)
@pytest.mark.parametrize("typed", [*(f"https://{host}" for host in LITERALS), *SPELLINGS])
def test_no_organization_enters_an_address_or_another_spelling_of_one(typed):
    with pytest.raises(BitbucketServerError) as caught:
        ServerURL.parse(typed, ORGANIZATION_RULES)
    assert caught.value.code == "invalid_base_url"


@pytest.mark.parametrize("typed", ["https://h.example", "https://h.example:7990/x", "https://h.example:8443"])
def test_ordinary_servers_satisfy_the_stricter_rules(typed):
    assert str(ServerURL.parse(typed, ORGANIZATION_RULES)) == typed


def test_an_operator_may_list_a_loopback_address_with_any_port():
    rules = BaseURLRules(ports=frozenset({443}), literal_hosts=frozenset({"127.0.0.1"}), single_label_hosts=False)
    assert str(ServerURL.parse("http://127.0.0.1:7990/bitbucket", rules)) == "http://127.0.0.1:7990/bitbucket"


def test_another_listed_address_has_the_usual_ports():
    rules = BaseURLRules(ports=frozenset({443}), literal_hosts=frozenset({"10.0.0.5"}), single_label_hosts=False)
    assert str(ServerURL.parse("https://10.0.0.5", rules)) == "https://10.0.0.5"
    with pytest.raises(BitbucketServerError, match="Port 7990"):
        ServerURL.parse("https://10.0.0.5:7990", rules)


def test_an_operator_may_allow_plain_http():
    assert ServerURL.parse("http://h.example", BaseURLRules(plain_http_hosts=None)).scheme == "http"


@given(st.text(max_size=300))
def test_no_text_raises_anything_but_our_error(text):
    try:
        url = ServerURL.parse(text)
    except BitbucketServerError:
        return
    assert ServerURL.parse(str(url)) == url


@given(st.from_regex(r"https://[a-z0-9.:\[\]-]{1,40}(/[a-zA-Z0-9._~-]{1,10}){0,3}", fullmatch=True))
def test_the_canonical_form_is_stable(text):
    for rules in (OPERATOR_RULES, ORGANIZATION_RULES):
        try:
            url = ServerURL.parse(text, rules)
        except BitbucketServerError:
            continue
        assert ServerURL.parse(str(url), rules) == url


@pytest.mark.parametrize(
    ("typed", "base"),
    [
        ("https://h.example/projects/WEB/repos/site/pull-requests/1/overview", "https://h.example"),
        ("https://h.example/b/users/jane/repos/site", "https://h.example/b"),
        ("https://h.example/a/b/scm/web/site.git", "https://h.example/a/b"),
        ("https://h.example/b/dashboard", "https://h.example/b"),
        ("https://h.example/b/rest/api/latest", "https://h.example/b"),
        ("https://h.example/b/admin", "https://h.example/b"),
        ("https://h.example/b", None),
        ("https://h.example", None),
    ],
)
def test_the_base_url_stands_before_the_page(typed, base):
    before = ServerURL.parse(typed).before_page
    assert (str(before) if before else None) == base


@pytest.mark.parametrize(
    ("typed", "canonical"),
    [
        ("Inside.Example:8443", "inside.example:8443"),
        ("inside:443", "inside:443"),
        ("10.0.0.5:7990", "10.0.0.5:7990"),
        ("[FD00::0:1]:443", "[fd00::1]:443"),
    ],
)
def test_where_connections_go_is_a_host_and_a_port(typed, canonical):
    assert str(ConnectTo.parse(typed)) == canonical


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", "a host, a colon and a port"),
        ("inside.example", "a host, a colon and a port"),
        (":8443", "a host, a colon and a port"),
        ("inside.example:", "a host, a colon and a port"),
        ("https://inside.example:8443", "a host, a colon and a port"),
        ("inside.example:8443/bitbucket", "a host, a colon and a port"),
        ("user@inside.example:8443", "a host, a colon and a port"),
        ("fd00::1:443", "a host, a colon and a port"),
        ("inside.example:8443 ", "a host, a colon and a port"),
        ("inside.example:8443\n", "a host, a colon and a port"),
        ("inside.example:0", "not a port number"),
        ("inside.example:65536", "not a port number"),
        ("b\u00fccher.example:443", "ASCII"),
        ("0x7f000001:443", "looks like a number"),
        ("2130706433:443", "looks like a number"),
        ("inside.example.:443", "ends with a dot"),
        ("in_side.example:443", "underscore"),
        (f"{'a' * 300}:443", "longer than 255"),
    ],
)
def test_what_is_no_host_and_port_is_refused(typed, words):
    with pytest.raises(BitbucketServerError) as caught:
        ConnectTo.parse(typed)
    assert (caught.value.code, caught.value.parameter) == ("connect_to_invalid", "connect_to")
    assert words in caught.value.reason


@pytest.mark.parametrize("typed", ["inside.example:22", "inside.example:80", "inside:443", "10.0.0.5:443", "[::1]:443"])
def test_organizations_enter_where_connections_go_by_the_rules_of_base_urls(typed):
    with pytest.raises(BitbucketServerError) as caught:
        ConnectTo.parse(typed, ORGANIZATION_RULES)
    assert caught.value.code == "connect_to_invalid"
    assert ConnectTo.parse("inside.example:8443", ORGANIZATION_RULES) == ConnectTo("inside.example", 8443)
