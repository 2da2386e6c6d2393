"""Asking in Django, between two logins, whether people still may log in, as docs/calling-bitbucket.md says it."""

import re
from pathlib import Path

import pytest
from django.test import override_settings
from social_django.models import UserSocialAuth

from tests.frameworks.django.conftest import Visitor

PAGE = Path(__file__).parents[3] / "docs/calling-bitbucket.md"


@pytest.fixture
def log_out_who_left():
    (code,) = re.findall(r"```python\n(from django[^`]*)```", PAGE.read_text())
    names = {}
    exec(code, names)
    return names["log_out_who_left"]


def test_who_is_disabled_in_bitbucket_is_logged_out_and_nobody_else(acme, bitbucket_sandbox, log_out_who_left):
    with override_settings(SOCIAL_AUTH_BITBUCKET_SERVER_STORE_ACCESS_TOKEN=True):
        jane, kim = Visitor(), Visitor()
        jane.log_in(acme, bitbucket_sandbox, "jane")
        kim.log_in(acme, bitbucket_sandbox, "kim")
        assert all(identity.extra_data["integration"] == acme.pk for identity in UserSocialAuth.objects.all())
        log_out_who_left()
        assert (jane.name, kim.name) == ("jane", "kim")
        bitbucket_sandbox.users.disable("jane")
        bitbucket_sandbox.revoke("kim")
        log_out_who_left()
        assert kim.name == "kim"
        assert jane.name != "jane"
