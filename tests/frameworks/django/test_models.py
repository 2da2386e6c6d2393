"""The tables: what the database itself refuses, the migration, and a model of integrations of one's own."""

import json
import os
import subprocess
import sys
import textwrap
from urllib.parse import parse_qs, urlsplit

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from social_django.models import UserSocialAuth

from social_bitbucket_server.django import integrations
from social_bitbucket_server.django.models import ApplicationLink, Integration, KeyPair
from tests.postgresql import PostgreSQL, programs


def test_the_migration_is_that_of_the_models():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.parametrize("field", ["slug", "namespace"])
def test_two_integrations_never_share_what_tells_them_apart(acme, globex, field):
    with pytest.raises(IntegrityError), transaction.atomic():
        Integration.objects.filter(pk=globex.pk).update(**{field: getattr(acme, field)})


def test_two_application_links_never_share_a_consumer_key(acme, globex):
    with pytest.raises(IntegrityError), transaction.atomic():
        ApplicationLink.objects.create(consumer_key=acme.consumer_key, integration=globex, number=2)


def test_two_integrations_never_share_a_key_pair(acme, globex, keys):
    with pytest.raises(IntegrityError), transaction.atomic():
        integrations.add_key_pair(globex, keys[0], "retired", globex.active_key_pair.link)


@pytest.mark.parametrize("state", ["active", "pending", "replaced"])
def test_an_integration_has_one_key_pair_of_each_state(acme, keys, state):
    KeyPair.objects.update(state=state)
    with pytest.raises(IntegrityError), transaction.atomic():
        integrations.add_key_pair(acme, keys[1], state, ApplicationLink.objects.get())


def test_an_integration_has_many_key_pairs_that_are_retired(acme, keys):
    KeyPair.objects.update(state="retired")
    integrations.add_key_pair(acme, keys[1], "retired", ApplicationLink.objects.get())
    assert acme.key_pairs.count() == 2


def test_a_database_without_conditional_constraints_is_told_nothing(monkeypatch):
    monkeypatch.setattr(connection.features, "supports_partial_indexes", False)
    messages = run_checks(app_configs=[apps.get_app_config("social_bitbucket_server")], databases=["default"])
    assert [message.id for message in messages if message.id.startswith("models.")] == []


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
    organization_field = "organization"
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE)
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
from social_bitbucket_server.django import integrations, login_ways

organization = Organization.objects.create()
record, other = (
    Integration(name=slug, slug=slug, base_url="https://bitbucket.example.com", organization=organization)
    for slug in ("acme", "acme-two")
)
integrations.create(record)
integrations.create(other)
login_ways.enforce(record)
staff = Client()
staff.force_login(
    get_user_model().objects.create_superuser("root"), backend="django.contrib.auth.backends.ModelBackend"
)
print(json.dumps({
    "found": integrations.find(record.pk).id == record.pk,
    "key": record.key_pairs.count(),
    "only": login_ways.enforced(other).slug,
    "shares": record.shares_limits_of() == other.shares_limits_of() == str(organization.pk),
    "setup": staff.get(f"/admin/organizations/integration/{record.pk}/setup/").status_code,
    "events": staff.get("/admin/social_bitbucket_server/event/").status_code,
}))
"""


def write_app(folder, **modules):
    """Make an application of these *modules* in *folder*."""
    folder.mkdir()
    (folder / "__init__.py").touch()
    for name, code in modules.items():
        (folder / f"{name}.py").write_text(code)


def run_with(settings, program, folder):
    """Run *program* in a project with these *settings*, and return what it prints as JSON."""
    (folder / "own_settings.py").write_text(
        f"from tests.frameworks.django.settings import *\n{textwrap.dedent(settings)}"
    )
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "own_settings",
        "PYTHONPATH": os.pathsep.join([str(folder), os.getcwd()]),
    }
    program = f"import django\ndjango.setup()\n{program}"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.program
def test_an_application_has_a_model_of_integrations_of_its_own(tmp_path):
    write_app(tmp_path / "organizations", models=OWN_MODEL, admin=OWN_ADMIN)
    settings = f"""
        INSTALLED_APPS = [*INSTALLED_APPS, "organizations"]
        SOCIAL_AUTH_BITBUCKET_SERVER_INTEGRATION_MODEL = "organizations.Integration"
        DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": {str(tmp_path / "db")!r}}}}}
    """
    assert run_with(settings, USE_IT, tmp_path) == {
        "found": True,
        "key": 1,
        "only": "acme",
        "shares": True,
        "setup": 200,
        "events": 200,
    }


OWN_MANAGER = """\
from django.db import models

from social_bitbucket_server.django.models import AbstractIntegration


class Organization(models.Model):
    pass


class WithOrganizations(models.Manager):
    def get_queryset(self):
        return super().get_queryset().select_related("organization")


class Integration(AbstractIntegration):
    organization = models.ForeignKey(Organization, null=True, on_delete=models.CASCADE)
    objects = WithOrganizations()
"""

ROTATE = """\
import json

from django.core.management import call_command

call_command("makemigrations", "organizations", verbosity=0)
call_command("migrate", verbosity=0)

from organizations.models import Integration
from social_bitbucket_server.django import integrations, key_rotation

record = Integration(name="Acme", slug="acme", base_url="https://bitbucket.example.com")
integrations.create(record)
key_rotation.begin(record)
print(json.dumps(record.pending_key_pair is not None))
"""


@pytest.mark.program
def test_a_key_pair_is_made_where_the_models_own_manager_joins_a_table_that_may_have_no_row(tmp_path, must_be_there):
    folder = programs()
    must_be_there(folder is not None, "PostgreSQL")
    write_app(tmp_path / "organizations", models=OWN_MANAGER)
    with PostgreSQL(folder) as server:
        address = urlsplit(server.new_database())
        database = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": address.path[1:],
            "USER": address.username,
            "HOST": parse_qs(address.query)["host"][0],
        }
        settings = f"""
            INSTALLED_APPS = [*INSTALLED_APPS, "organizations"]
            SOCIAL_AUTH_BITBUCKET_SERVER_INTEGRATION_MODEL = "organizations.Integration"
            DATABASES = {{"default": {database!r}}}
        """
        assert run_with(settings, ROTATE, tmp_path) is True


ROUTER = """\
class Router:
    def db_for_write(self, model, **hints):
        return "logins" if model._meta.app_label == "social_bitbucket_server" else None

    db_for_read = db_for_write
"""

FAIL_IN_BETWEEN = """\
import json

from django.core.management import call_command
from django.test import override_settings

call_command("migrate", database="logins", verbosity=0)

from social_bitbucket_server.django import integrations
from social_bitbucket_server.django.models import Event, Integration, KeyPair
from social_bitbucket_server.problems import BitbucketServerError

record = Integration(name="Acme", slug="acme", base_url="https://bitbucket.example.com")
with override_settings(SOCIAL_AUTH_BITBUCKET_SERVER_KEY_RING=None):
    try:
        integrations.create(record)
    except BitbucketServerError:
        pass
print(json.dumps([model.objects.using("logins").count() for model in (Integration, KeyPair, Event)]))
"""


@pytest.mark.program
def test_what_fails_in_between_leaves_nothing_in_a_database_of_its_own(tmp_path):
    (tmp_path / "routers.py").write_text(ROUTER)
    settings = f"""
        DATABASES["logins"] = {{"ENGINE": "django.db.backends.sqlite3", "NAME": {str(tmp_path / "db")!r}}}
        DATABASE_ROUTERS = ["routers.Router"]
    """
    assert run_with(settings, FAIL_IN_BETWEEN, tmp_path) == [0, 0, 0]
