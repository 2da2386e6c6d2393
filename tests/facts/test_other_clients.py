"""Logins by clients that this project has not written."""

import os
import secrets
import shutil
import subprocess
from urllib.parse import parse_qsl, urlsplit

import pytest
from authlib.integrations.requests_client import OAuth1Session as AuthlibSession
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession2
from cryptography.hazmat.primitives import serialization as form
from oauthlib.oauth1 import SIGNATURE_RSA
from requests_oauthlib import OAuth1Session, OAuth2Session

from tests.unit.sandbox.calling import ACCESS_TOKEN, AUTHORIZE, CALLBACK, PROPERTIES, REQUEST_TOKEN

from .plugin import fact
from .test_oauth2 import OAUTH2, SINCE

NET_OAUTH = r"""
use strict; use warnings;
use Net::OAuth; use Crypt::OpenSSL::RSA; use HTTP::Tiny;
$Net::OAuth::PROTOCOL_VERSION = Net::OAuth::PROTOCOL_VERSION_1_0A;
my ($kind, $method, $url, $consumer, $token, $verifier, $callback) = @ARGV;
my $key = Crypt::OpenSSL::RSA->new_private_key($ENV{PRIVATE_KEY});
$key->use_pkcs1_padding if $key->can('use_pkcs1_padding');
my %of_kind = ('request token' => {callback => $callback},
    'access token' => {token => $token, token_secret => '', verifier => $verifier},
    'protected resource' => {token => $token, token_secret => ''});
my $request = Net::OAuth->request($kind)->new(consumer_key => $consumer, consumer_secret => '',
    request_url => $url, request_method => $method, signature_method => 'RSA-SHA1', timestamp => time,
    nonce => join('', map { int rand 10 } 1 .. 24), %{$of_kind{$kind}});
$request->sign($key);
my $answer = HTTP::Tiny->new->request($method, $url, {headers => {Authorization => $request->to_authorization_header}});
print $answer->{headers}{'x-ausername'} // $answer->{content};
"""


def no_environment(session):
    session.trust_env = False
    return session


@fact("9.1")
def test_requests_oauthlib_logs_in_by_oauth_1(bitbucket, caller):
    keys = {"signature_method": SIGNATURE_RSA, "rsa_key": caller.private_key}
    with no_environment(OAuth1Session(caller.key, callback_uri=CALLBACK, **keys)) as session:
        begun = session.fetch_request_token(bitbucket.url + REQUEST_TOKEN)
        address = session.authorization_url(bitbucket.url + AUTHORIZE)
        session.parse_authorization_response(bitbucket.person.callback(address))
        granted = session.fetch_access_token(bitbucket.url + ACCESS_TOKEN)
        assert granted["oauth_token_secret"] == begun["oauth_token_secret"]
        assert session.get(bitbucket.url + PROPERTIES).headers["X-AUSERNAME"] == bitbucket.name


@fact("9.1")
def test_authlib_logs_in_by_oauth_1(bitbucket, caller):
    keys = {"signature_method": "RSA-SHA1", "rsa_key": caller.private_key}
    with no_environment(AuthlibSession(caller.key, redirect_uri=CALLBACK, **keys)) as session:
        session.fetch_request_token(bitbucket.url + REQUEST_TOKEN)
        address = session.create_authorization_url(bitbucket.url + AUTHORIZE)
        session.parse_authorization_response(bitbucket.person.callback(address))
        session.fetch_access_token(bitbucket.url + ACCESS_TOKEN)
        assert session.get(bitbucket.url + PROPERTIES).headers["X-AUSERNAME"] == bitbucket.name


@fact("9.1")
@pytest.mark.program
def test_perls_net_oauth_logs_in_by_oauth_1(bitbucket, caller, must_be_there):
    modules = ["perl", "-MNet::OAuth", "-MCrypt::OpenSSL::RSA", "-MHTTP::Tiny", "-e", "1"]
    is_there = shutil.which("perl") is not None and subprocess.run(modules, capture_output=True).returncode == 0
    must_be_there(is_there, "Perl with Net::OAuth and Crypt::OpenSSL::RSA")

    def run(kind, method, path, token="", verifier=""):
        arguments = [kind, method, bitbucket.url + path, caller.key, token, verifier, CALLBACK]
        environment = {"PATH": os.environ["PATH"], "PRIVATE_KEY": traditional(caller.private_key)}
        command = ["perl", "-e", NET_OAUTH, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    begun = dict(parse_qsl(run("request token", "POST", REQUEST_TOKEN)))
    verifier = caller.back(begun["oauth_token"])["oauth_verifier"]
    granted = dict(parse_qsl(run("access token", "POST", ACCESS_TOKEN, begun["oauth_token"], verifier)))
    assert run("protected resource", "GET", PROPERTIES, granted["oauth_token"]) == bitbucket.name


def traditional(private_pem):
    """Return the key in the form that Crypt::OpenSSL::RSA reads in every version."""
    key = form.load_pem_private_key(private_pem.encode(), None)
    return key.private_bytes(form.Encoding.PEM, form.PrivateFormat.TraditionalOpenSSL, form.NoEncryption()).decode()


@fact("9.2", since=SINCE)
@pytest.mark.parametrize("kind", [OAuth2Session, AuthlibSession2])
def test_a_client_logs_in_by_oauth_2(bitbucket, monkeypatch, kind):
    if bitbucket.client is None:
        pytest.skip("Set BITBUCKET_CLIENT_ID, BITBUCKET_CLIENT_SECRET and BITBUCKET_REDIRECT_URL.")
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    client_id, client_secret, redirect_url = bitbucket.client
    state = secrets.token_urlsafe(8)
    address = f"{bitbucket.url}{OAUTH2}/authorize"
    token_address = f"{bitbucket.url}{OAUTH2}/token"
    if kind is OAuth2Session:
        session = no_environment(OAuth2Session(client_id, redirect_uri=redirect_url, scope="PUBLIC_REPOS"))
        asked, _ = session.authorization_url(address, state=state)
        options = {"client_secret": client_secret, "include_client_id": True}
    else:
        post = {"token_endpoint_auth_method": "client_secret_post"}
        session = AuthlibSession2(client_id, client_secret, redirect_uri=redirect_url, scope="PUBLIC_REPOS", **post)
        no_environment(session)
        asked, _ = session.create_authorization_url(address, state=state)
        options = {}
    with session:
        back = bitbucket.person.callback(asked)
        code = dict(parse_qsl(urlsplit(back).query))["code"]
        session.fetch_token(token_address, code=code, **options)
        assert session.get(bitbucket.url + PROPERTIES).headers["X-AUSERNAME"] == bitbucket.name
