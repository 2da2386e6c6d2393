"""Databases that compare without case, as MariaDB does by default: nobody is taken for a person of another server."""

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from social_django.models import UserSocialAuth

from social_bitbucket_server.django import integrations
from social_bitbucket_server.django.models import Integration
from tests.frameworks.django.conftest import make_integration
from tests.frameworks.django.test_models import run_with


def test_an_integration_is_not_made_with_a_namespace_of_other_case(bitbucket_sandbox):
    make_integration("acme", bitbucket_sandbox, namespace="k3v9x1")
    with pytest.raises(ValidationError, match="differs in more than case"):
        make_integration("globex", bitbucket_sandbox, namespace="K3V9X1")
    assert Integration.objects.count() == 1


def test_an_integration_that_is_there_is_saved_as_before(acme):
    acme.name = "Acme Ltd"
    acme.save()
    assert Integration.objects.get().name == "Acme Ltd"


def test_people_of_a_namespace_of_other_case_are_not_an_integrations_own(acme):
    Integration.objects.filter(pk=acme.pk).update(namespace="acme")
    acme.refresh_from_db()
    jane, kim = (get_user_model().objects.create_user(name) for name in ("jane", "kim"))
    for user, uid in ((jane, "acme:1"), (kim, "ACME:1"), (kim, "other-acme:1")):
        UserSocialAuth.objects.create(user=user, provider="bitbucket-server", uid=uid)
    assert [identity.user for identity in integrations.identities(acme)] == [jane]
    assert integrations.people_without_another(acme) == 1
    integrations.delete(acme)
    assert {identity.uid for identity in UserSocialAuth.objects.all()} == {"ACME:1", "other-acme:1"}


WITHOUT_CASE = """\
import json

from django.core.checks import Tags, run_checks
from django.core.management import call_command
from django.db import connection

call_command("migrate", verbosity=0)
with connection.cursor() as cursor:
    cursor.execute("PRAGMA writable_schema = ON")
    cursor.execute(
        "UPDATE sqlite_master SET sql = replace(sql, %s, %s) WHERE name = 'social_auth_usersocialauth'",
        ['"uid" varchar(255)', '"uid" varchar(255) COLLATE NOCASE'],
    )
connection.close()
with connection.cursor() as cursor:
    cursor.execute("REINDEX")
"""

LOG_IN = """\
from django.contrib.auth import get_user_model
from social_bitbucket_server.django.models import Event, Integration
from social_bitbucket_server.sandbox import Sandbox
from social_django.models import UserSocialAuth
from tests.frameworks.django.conftest import Visitor, make_integration

with Sandbox() as one, Sandbox() as two:
    acme, globex = make_integration("acme", one, namespace="acme"), make_integration("globex", two)
    Integration.objects.filter(pk=globex.pk).update(namespace="Acme")
    first, second = Visitor(), Visitor()
    statuses = [first.log_in(acme, one).status_code, second.log_in(globex, two).status_code]
    again = first.log_in(acme, one).status_code
print(json.dumps({
    "statuses": [*statuses, again],
    "problem": Event.objects.exclude(problem="").get().problem,
    "uids": list(UserSocialAuth.objects.values_list("uid", flat=True)),
    "users": get_user_model().objects.count(),
    "names": [first.name, second.name],
    "warned": [message.id for message in run_checks(tags=[Tags.database], databases=["default"])],
}))
"""


@pytest.mark.program
def test_somebody_with_the_same_number_in_a_namespace_of_other_case_is_refused(tmp_path):
    settings = f"DATABASES['default']['NAME'] = {str(tmp_path / 'db')!r}"
    assert run_with(settings, WITHOUT_CASE + LOG_IN, tmp_path) == {
        "statuses": [303, 503, 303],
        "problem": "identity_similar",
        "uids": ["acme:2"],
        "users": 1,
        "names": ["jane", "nobody"],
        "warned": ["social_bitbucket_server.W005"],
    }


LOG_IN_BY_STOCK_VIEWS = """\
from django.contrib.auth import get_user_model
from django.test import override_settings
from social_bitbucket_server.django.models import Event
from social_bitbucket_server.crypto.rsa import PrivateKey
from social_bitbucket_server.sandbox import Sandbox
from social_django.models import UserSocialAuth
from tests.frameworks.django.test_single_server import Person

class Stranger(Person):
    fields = {"integration": "acme"}

key = PrivateKey.generate()
gone = get_user_model().objects.create_user("gone")
UserSocialAuth.objects.create(user=gone, provider="bitbucket-server", uid="acme:2")
with Sandbox() as sandbox:
    sandbox.link(consumer_key="app", public_key=key.public.pem)
    fields = {"url": sandbox.url, "consumer_key": "app", "private_key": key.pem(), "namespace": "Acme"}
    with override_settings(SOCIAL_AUTH_BITBUCKET_SERVER_INTEGRATIONS={"acme": fields}):
        stranger = Stranger()
        status = stranger.come_back(sandbox).status_code
print(json.dumps({
    "status": status,
    "problem": Event.objects.exclude(problem="").get().problem,
    "uids": list(UserSocialAuth.objects.values_list("uid", flat=True)),
    "users": list(get_user_model().objects.values_list("username", flat=True)),
    "name": stranger.name,
}))
"""


@pytest.mark.program
def test_social_djangos_own_views_refuse_somebody_whose_uid_differs_in_case_alone(tmp_path):
    settings = f"""
        DATABASES["default"]["NAME"] = {str(tmp_path / "db")!r}
        ROOT_URLCONF = "tests.frameworks.django.single_urls"
        SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN = "http://testserver"
        SOCIAL_AUTH_BITBUCKET_SERVER_TEST_ADDRESSES = []
    """
    assert run_with(settings, WITHOUT_CASE + LOG_IN_BY_STOCK_VIEWS, tmp_path) == {
        "status": 503,
        "problem": "identity_similar",
        "uids": ["acme:2"],
        "users": ["gone"],
        "name": "nobody",
    }
