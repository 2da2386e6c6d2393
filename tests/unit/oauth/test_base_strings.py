import pytest
from hypothesis import given
from hypothesis import strategies as st

from social_bitbucket_server.oauth import Cause, explain
from social_bitbucket_server.oauth.base_strings import BaseString

OURS = (
    "POST&https%3A%2F%2Fbitbucket.example.com%2Fbitbucket%2Fplugins%2Fservlet%2Foauth%2Frequest-token&"
    "oauth_callback%3Dhttps%253A%252F%252Fapp.example%252Fcomplete%252F%26oauth_consumer_key%3Dthe-consumer%26"
    "oauth_nonce%3D123456%26oauth_signature_method%3DRSA-SHA1%26oauth_timestamp%3D1700000000%26"
    "oauth_token%3Dsecret-token%26oauth_version%3D1.0"
)


def cause(theirs, ours=OURS):
    return explain(ours, theirs, key_fingerprint="SHA256:abc").cause


def test_equal_base_strings_mean_another_key():
    explanation = explain(OURS, OURS, key_fingerprint="SHA256:abc")
    assert explanation.cause is Cause.KEY
    assert "SHA256:abc" in explanation.conclusion
    assert all(part.agrees for part in explanation.parts)


@pytest.mark.parametrize(
    ("old", "new", "expected", "words"),
    [
        ("https%3A", "http%3A", Cause.SCHEME, "http:// instead of https://"),
        ("bitbucket.example.com", "10.0.0.5", Cause.HOST, "10.0.0.5 instead of bitbucket.example.com"),
        ("example.com%2F", "example.com%3A7990%2F", Cause.PORT, "port 7990 instead of 443"),
        ("com%2Fbitbucket%2F", "com%2Fbitbucket%2Fbitbucket%2F", Cause.CONTEXT_PATH_TWICE, "context path twice"),
        ("com%2Fbitbucket%2F", "com%2F", Cause.PATH, "rewrites"),
        ("com%2Fbitbucket%2F", "com%2Fgit%2Fbitbucket%2F", Cause.PATH, "rewrites"),
        ("POST&", "GET&", Cause.METHOD, "GET instead of POST"),
        ("oauth_version%3D1.0", "x%3D1", Cause.PARAMETERS, "lost: oauth_version; added: x"),
        ("%26oauth_nonce%3D123456", "", Cause.PARAMETERS, "lost: oauth_nonce"),
        ("oauth_nonce%3D123456", "oauth_nonce%3D", Cause.PARAMETERS, "changed: oauth_nonce"),
    ],
)
def test_each_difference_has_its_conclusion(old, new, expected, words):
    assert old in OURS
    explanation = explain(OURS, OURS.replace(old, new), key_fingerprint="SHA256:abc")
    assert explanation.cause is expected
    assert words in explanation.conclusion


def test_everything_that_a_proxy_hides_is_named_at_once():
    theirs = OURS.replace("https%3A%2F%2Fbitbucket.example.com%2F", "http%3A%2F%2F10.0.0.5%3A7990%2F")
    conclusion = explain(OURS, theirs, key_fingerprint="").conclusion
    for words in ("http:// instead of https://", "10.0.0.5 instead of", "port 7990 instead of 443"):
        assert words in conclusion


def test_a_server_that_sees_https_asks_for_another_base_url():
    ours = OURS.replace("https%3A", "http%3A")
    conclusion = explain(ours, OURS, key_fingerprint="").conclusion
    assert "https:// instead of http://: begin the base URL with https://" in conclusion
    assert "port" not in conclusion


def test_the_scheme_counts_before_the_port_that_follows_from_it():
    assert cause(OURS.replace("https%3A", "http%3A")) is Cause.SCHEME


def test_the_order_of_the_parameters_plays_no_part():
    head, _, parameters = OURS.rpartition("&")
    reordered = head + "&" + "%26".join(reversed(parameters.split("%26")))
    assert reordered != OURS
    assert cause(reordered) is Cause.KEY


def test_a_default_port_that_is_written_down_is_no_difference():
    assert cause(OURS.replace("example.com%2F", "example.com%3A443%2F")) is Cause.KEY


@pytest.mark.parametrize(
    "theirs", ["", "nonsense", "a&b", "GET&ftp%3A%2F%2Fx&", "GET&https%3A%2F%2F%5B&", "x&" * 40_000]
)
def test_what_is_no_base_string_explains_nothing(theirs):
    explanation = explain(OURS, theirs, key_fingerprint="SHA256:abc")
    assert explanation.cause is Cause.UNKNOWN
    assert explanation.parts == ()


def test_secrets_are_masked_on_both_sides():
    ours = f"{OURS}%26oauth_verifier%3Dsecret-verifier"
    explanation = explain(ours, ours.replace("secret-", "other-secret-"), key_fingerprint="SHA256:abc")
    shown = repr(explanation) + repr(BaseString.parse(ours))
    assert "secret" not in shown
    assert "123456" not in shown
    assert "the-consumer" in shown


@given(st.text(max_size=200))
def test_no_text_is_too_strange_to_be_compared(theirs):
    assert explain(OURS, theirs, key_fingerprint="").conclusion


@pytest.mark.parametrize("sent", ["%1BPOST", "%C2%9BPOST", "PO%E2%80%AEST"])
def test_what_would_confuse_a_terminal_is_no_base_string(sent):
    text = "POST&https%3A%2F%2Fbb.test%2F&a%3D1"
    assert BaseString.parse(text) is not None
    assert BaseString.parse(text.replace("POST", sent)) is None
    assert BaseString.parse(f"{text}%26b%3D%251B") is None
