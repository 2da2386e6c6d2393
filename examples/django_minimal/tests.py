import pytest
from django.contrib.auth.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def bitbucket(bitbucket_sandbox, settings):
    for name, value in bitbucket_sandbox.settings().items():
        setattr(settings, name, value)


def test_jane_logs_in(client, bitbucket_sandbox):
    answer = bitbucket_sandbox.login(client, "jane")
    assert answer.headers["Location"] == "/"
    assert "Hello jane" in client.get("/").text


def test_the_same_account_is_the_same_user(client, bitbucket_sandbox):
    bitbucket_sandbox.login(client, "jane")
    client.post("/logout/")
    bitbucket_sandbox.login(client, "jane")
    assert User.objects.get().username == "jane"


def test_whoever_declines_is_told_what_to_do(client, bitbucket_sandbox):
    answer = bitbucket_sandbox.login(client, "jane", allow=False)
    assert "Access was declined in Bitbucket." in answer.text
    assert not User.objects.exists()
