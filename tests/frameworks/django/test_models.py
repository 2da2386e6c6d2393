"""The tables: what the database itself refuses, the migration, and a model of integrations of one's own."""

import json
import os
import subprocess
import sys
import textwrap

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import IntegrityError, transaction
from social_django.models import UserSocialAuth

from social_bitbucket_server.django import integrations
from social_bitbucket_server.django.models import Integration, KeyPair


def test_the_migration_is_that_of_the_models():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.parametrize("field", ["slug", "consumer_key", "namespace"])
def test_two_integrations_never_share_what_tells_them_apart(acme, globex, field):
    with pytest.raises(IntegrityError), transaction.atomic():
        Integration.objects.filter(pk=globex.pk).update(**{field: getattr(acme, field)})


def test_two_integrations_never_share_a_key_pair(acme, globex, keys):
    with pytest.raises(IntegrityError), transaction.atomic():
        integrations.add_key_pair(globex, keys[0], "retired")


@pytest.mark.parametrize("state", ["active", "pending"])
def test_an_integration_has_one_key_pair_of_each_state(acme, keys, state):
    KeyPair.objects.update(state=state)
    with pytest.raises(IntegrityError), transaction.atomic():
        integrations.add_key_pair(acme, keys[1], state)


def test_two_identities_are_never_the_same(acme):
    user = get_user_model().objects.create_user("jane")
    UserSocialAuth.objects.create(user=user, provider="bitbucket-server", uid=f"{acme.namespace}:1")
    with pytest.raises(IntegrityError), transaction.atomic():
        UserSocialAuth.objects.create(user=user, provider="bitbucket-server", uid=f"{acme.namespace}:1")


OWN_MODEL = """\
from django.db import models

from social_bitbucket_server.django.models import AbstractIntegration


class Organization(models.Model):
    networks = models.JSONField(default=list)


class Integration(AbstractIntegration):
    organization = models.OneToOneField(Organization, on_delete=models.CASCADE)
"""

OWN_ADMIN = """\
from django.contrib import admin

from social_bitbucket_server.django.admin import IntegrationAdmin

from .models import Integration

admin.site.register(Integration, IntegrationAdmin)
"""

USE_IT = """\
import json

from django.core.management import call_command

call_command("makemigrations", "organizations", verbosity=0)
call_command("migrate", verbosity=0)
call_command("makemigrations", check=True, dry_run=True, verbosity=0)

from django.contrib.auth import get_user_model
from django.test import Client
from organizations.models import Integration, Organization
from social_bitbucket_server.django import integrations

organization = Organization.objects.create()
record = Integration(name="Acme", slug="acme", base_url="https://bitbucket.example.com", organization=organization)
integrations.create(record)
staff = Client()
staff.force_login(
    get_user_model().objects.create_superuser("root"), backend="django.contrib.auth.backends.ModelBackend"
)
print(json.dumps({
    "found": integrations.find(record.pk).id == record.pk,
    "key": record.key_pairs.count(),
    "setup": staff.get(f"/admin/organizations/integration/{record.pk}/setup/").status_code,
    "events": staff.get("/admin/social_bitbucket_server/event/").status_code,
}))
"""


def test_an_application_has_a_model_of_integrations_of_its_own(tmp_path):
    app = tmp_path / "organizations"
    app.mkdir()
    (app / "__init__.py").touch()
    (app / "models.py").write_text(OWN_MODEL)
    (app / "admin.py").write_text(OWN_ADMIN)
    (tmp_path / "own_settings.py").write_text(
        textwrap.dedent(f"""\
        from tests.frameworks.django.settings import *

        INSTALLED_APPS = [*INSTALLED_APPS, "organizations"]
        SOCIAL_AUTH_BITBUCKET_SERVER_INTEGRATION_MODEL = "organizations.Integration"
        DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": {str(tmp_path / "db")!r}}}}}
        """)
    )
    program = f"import django\ndjango.setup()\n{USE_IT}"
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "own_settings",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.getcwd()]),
    }
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"found": True, "key": 1, "setup": 200, "events": 200}
