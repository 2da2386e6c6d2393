"""Our signatures, verified by implementations that are not ours."""

import logging
import shutil
import subprocess
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import pytest
from authlib.oauth1.rfc5849.signature import verify_rsa_sha1
from authlib.oauth1.rfc5849.wrapper import OAuth1Request
from oauthlib.oauth1.rfc5849 import signature

from social_bitbucket_server.oauth import authorization, base_string
from tests.scripted_server import Received

AWKWARD = [
    "https://bitbucket.example.com/plugins/servlet/oauth/request-token",
    "https://BITBUCKET.example.com:443/rest/api/latest/users",
    "http://127.0.0.1:7990/bitbucket/rest/api/latest/users?filter=jane%40example&start=0&limit=25",
    "https://h.example/rest?a=%2B&b=+&c=%25&d=~&e=%7E",
    "https://h.example/rest?a=with%20space&a=again&a=",
    "https://h.example/rest?name=J%C3%B6rg&name=%E5%8B%87",
    "https://h.example/rest?empty=&=nameless&a%20b=c",
    "https://h.example/a%20b/%7Ejane/x%2Fy?z=1&a=2",
    "https://h.example/rest?b=1&a=2&B=3&A=4&a-b=5&a_b=6&a.b=7",
    "https://h.example:8443/x?oauthlike=1&a=%3D%26%25",
]


@dataclass
class Signed:
    method: str
    url: str
    body: str | None
    headers: dict[str, str]


def signed(url, private_key, *, method="GET", body=None, **options):
    form = urlencode(body) if body is not None else None
    header = authorization(method, url, "the-consumer", private_key, form=form, **options)
    content_type = {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
    return Signed(method, url, form, {"Authorization": header, **content_type})


def header_parameters(request):
    return Received("", "", {"Authorization": request.headers["Authorization"]}, ("", 0)).oauth


class Consumer:
    def __init__(self, public_pem):
        self.public_pem = public_pem

    def get_rsa_public_key(self):
        return self.public_pem


def authlib_verifies(request, public_pem, monkeypatch):
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    foreign = OAuth1Request(request.method, request.url, body=request.body, headers=dict(request.headers))
    foreign.client = Consumer(public_pem)
    return verify_rsa_sha1(foreign)


@pytest.mark.parametrize("url", AWKWARD)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_authlib_verifies_signatures_of_awkward_addresses(url, method, private_key, monkeypatch):
    request = signed(url, private_key, method=method, token="to+k/en=")
    assert authlib_verifies(request, private_key.public.pem, monkeypatch)


@pytest.mark.parametrize("url", [*AWKWARD, "https://h.example", "https://h.example?a=&&b"])
@pytest.mark.parametrize("form", [None, {"a": "1", "b c": "d+e", "ü": "~%"}])
def test_the_base_string_is_the_one_that_oauthlib_makes(url, form, private_key):
    request = signed(url, private_key, method="POST", body=form, token="to+k/en=", callback="https://a.example/?b=c&d")
    parameters = signature.collect_parameters(urlsplit(url).query, request.body or "", request.headers)
    theirs = signature.signature_base_string(
        "POST", signature.base_string_uri(url), signature.normalize_parameters(parameters)
    )
    assert base_string("POST", url, request.headers["Authorization"], request.body or "") == theirs


@pytest.mark.parametrize("body", [{"a": "1", "b c": "d+e"}, [("x", "2"), ("x", "1"), ("x", "")], {"ü": "~%"}])
def test_authlib_verifies_signatures_over_forms(body, private_key, monkeypatch):
    request = signed("https://h.example/x?y=1", private_key, method="POST", body=body)
    assert authlib_verifies(request, private_key.public.pem, monkeypatch)


def test_callback_and_verifier_are_part_of_the_signature(private_key, monkeypatch):
    callback = "https://app.example.com/complete/bitbucket-server/?integration=a&x=+~"
    request = signed(AWKWARD[0], private_key, method="POST", callback=callback, token="T", verifier="AbC123")
    assert authlib_verifies(request, private_key.public.pem, monkeypatch)
    assert header_parameters(request)["oauth_callback"] == callback


def test_another_key_does_not_verify(private_key, other_private_key, monkeypatch):
    request = signed(AWKWARD[0], private_key, method="POST")
    assert not authlib_verifies(request, other_private_key.public.pem, monkeypatch)


def test_a_changed_parameter_does_not_verify(private_key, monkeypatch):
    request = signed(AWKWARD[2], private_key)
    request.url = request.url.replace("start=0", "start=1")
    assert not authlib_verifies(request, private_key.public.pem, monkeypatch)


def test_callback_and_verifier_stand_only_where_they_were_given(private_key):
    parameters = header_parameters(signed(AWKWARD[1], private_key, token="T"))
    assert "oauth_callback" not in parameters
    assert "oauth_verifier" not in parameters
    assert parameters["oauth_signature_method"] == "RSA-SHA1"


def test_the_time_may_be_another_clocks(private_key, monkeypatch):
    request = signed(AWKWARD[1], private_key, timestamp=1234567890)
    assert header_parameters(request)["oauth_timestamp"] == "1234567890"
    assert authlib_verifies(request, private_key.public.pem, monkeypatch)


def test_no_nonce_is_used_twice(private_key):
    nonces = {header_parameters(signed(AWKWARD[1], private_key))["oauth_nonce"] for _ in range(50)}
    assert len(nonces) == 50
    assert min(map(len, nonces)) >= 22, "128 bits"


def test_nothing_of_a_signature_is_logged_or_shown(private_key, caplog):
    with caplog.at_level(logging.DEBUG):
        signed(AWKWARD[1], private_key, token="secret-token", verifier="secret-verifier")
    assert "secret" not in caplog.text
    assert repr(authorization("GET", AWKWARD[1], "c", private_key, token="secret-token")) == "<secret>"


# Net::OAuth takes parameters once only, sorts "a-b" before "a", and keeps default ports: RFC 5849 says otherwise.
FOR_NET_OAUTH = [
    "https://bitbucket.example.com/plugins/servlet/oauth/request-token",
    "http://127.0.0.1:7990/bitbucket/rest/api/latest/users?filter=jane%40example&start=0&limit=25",
    "https://h.example/rest?a=%2B&b=+&c=%25&d=~&e=%7E",
    "https://h.example/rest?a=with%20space&b=",
    "https://h.example/rest?name=J%C3%B6rg&other=%E5%8B%87",
    "https://h.example:8443/a%20b/%7Ejane/x%2Fy?z=1&a=%3D%26%25",
]

NET_OAUTH = r"""
use strict; use warnings;
use Net::OAuth; use Crypt::OpenSSL::RSA;
$Net::OAuth::PROTOCOL_VERSION = Net::OAuth::PROTOCOL_VERSION_1_0A;
my ($kind, $method, $url, $header, $public) = @ARGV;
my ($address, $query) = split /\?/, $url, 2;
my %extra;
for (split /&/, $query // '') {
    my ($name, $value) = map { s/\+/ /gr =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ger } split /=/, $_, 2;
    utf8::decode($name); utf8::decode($value);
    $extra{$name} = $value;
}
my $request = Net::OAuth->request($kind)->from_authorization_header($header,
    request_url => $address, request_method => $method, consumer_secret => '', token_secret => '',
    extra_params => \%extra);
my $key = Crypt::OpenSSL::RSA->new_public_key($public);
$key->use_pkcs1_padding if $key->can('use_pkcs1_padding');
print $request->verify($key) ? 'verified' : 'refused: ' . $request->signature_base_string;
"""


def perl_has_net_oauth():
    modules = ["perl", "-MNet::OAuth", "-MCrypt::OpenSSL::RSA", "-e", "1"]
    return shutil.which("perl") is not None and subprocess.run(modules, capture_output=True).returncode == 0


def net_oauth_says(kind, request, public_pem, must_be_there):
    must_be_there(perl_has_net_oauth(), "Perl with Net::OAuth and Crypt::OpenSSL::RSA")
    arguments = [kind, request.method, request.url, request.headers["Authorization"], public_pem]
    run = subprocess.run(["perl", "-e", NET_OAUTH, *arguments], capture_output=True, text=True, check=False)
    return run.stdout or run.stderr


@pytest.mark.program
@pytest.mark.parametrize("url", FOR_NET_OAUTH)
def test_perls_net_oauth_verifies_signatures(url, private_key, must_be_there):
    request = signed(url, private_key, token="to+k/en=")
    assert net_oauth_says("protected resource", request, private_key.public.pem, must_be_there) == "verified"


@pytest.mark.program
@pytest.mark.parametrize("query", ["", "?integration=a-1", "?x=%C3%A9+~%2B%25&y=a%20b"])
def test_perls_net_oauth_verifies_callbacks(query, private_key, must_be_there):
    request = signed(AWKWARD[0], private_key, method="POST", callback=f"https://app.example/complete/{query}")
    assert net_oauth_says("request token", request, private_key.public.pem, must_be_there) == "verified"
