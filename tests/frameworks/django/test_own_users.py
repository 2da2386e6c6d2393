"""A project whose people have UUIDs and log in by their e-mail address, and no user name."""

import pytest

from tests.frameworks.django.test_models import run_with, write_app

PEOPLE = """\
import uuid

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models


class Users(BaseUserManager):
    def create_user(self, email, password=None, **fields):
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save()
        return user

    def create_superuser(self, email, password=None):
        return self.create_user(email, password, is_staff=True, is_superuser=True)


class User(AbstractBaseUser, PermissionsMixin):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    email = models.EmailField(unique=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    objects = Users()
    USERNAME_FIELD = "email"
"""

USE_THEM = """\
import json

from django.core.management import call_command

call_command("makemigrations", "people", verbosity=0)
call_command("migrate", verbosity=0)

from django.contrib.auth import get_user_model
from people.models import User
from social_bitbucket_server.crypto import PrivateKey
from social_bitbucket_server.django import integrations
from social_bitbucket_server.django.models import Event
from social_bitbucket_server.sandbox import Sandbox
from tests.frameworks.django.conftest import Visitor, make_integration

integrations.make_private_key = lambda: PrivateKey.generate(2048)
User.objects.create_superuser("root@app.example", "a password")
staff = Visitor()
assert staff.client.login(username="root@app.example", password="a password")
with Sandbox() as sandbox:
    record = make_integration("acme", sandbox)
    first, again = Visitor(), Visitor()
    first.log_in(record, sandbox)
    again.log_in(record, sandbox)
    jane = User.objects.get(is_staff=False)
    pages = f"/admin/social_bitbucket_server/integration/{record.pk}/"
    found = {
        "email": jane.email,
        "names": [first.name, again.name],
        "event": Event.objects.filter(what="login.success").latest("id").user_id == str(jane.pk),
        "listed": jane.email in staff.open(f"{pages}people/").content.decode(),
    }
    identity = jane.social_auth.get().pk
    assert staff.post(f"{pages}disable-person/", form_at=f"{pages}people/", identity=identity).status_code == 303
    found["disabled"] = [first.name, User.objects.get(pk=jane.pk).is_active]
print(json.dumps(found))
"""


@pytest.mark.program
def test_people_with_uuids_and_without_user_names_log_in_and_are_disabled(tmp_path):
    write_app(tmp_path / "people", models=PEOPLE)
    settings = f"""
        INSTALLED_APPS = [*INSTALLED_APPS, "people"]
        AUTH_USER_MODEL = "people.User"
        DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": {str(tmp_path / "db")!r}}}}}
    """
    assert run_with(settings, USE_THEM, tmp_path) == {
        "email": "jane@example.com",
        "names": ["jane@example.com", "jane@example.com"],
        "event": True,
        "listed": True,
        "disabled": ["nobody", False],
    }
