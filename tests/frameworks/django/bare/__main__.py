"""One login."""

import django
from django.conf import settings
from social_core.pipeline import DEFAULT_AUTH_PIPELINE

from social_bitbucket_server.sandbox import Sandbox


def main(sandbox):
    settings.configure(
        SECRET_KEY="x" * 50,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "social_django",
            "tests.frameworks.django.bare",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        ALLOWED_HOSTS=["testserver"],
        ROOT_URLCONF="tests.frameworks.django.bare.urls",
        AUTH_USER_MODEL="bare.User",
        AUTHENTICATION_BACKENDS=["social_bitbucket_server.backends.BitbucketServerOAuth1"],
        LOGIN_REDIRECT_URL="/done/",
        SOCIAL_AUTH_BITBUCKET_SERVER_ROLES={"developer": {"groups": ["developers"]}},
        SOCIAL_AUTH_BITBUCKET_SERVER_GROUPS_MAP={"developer": ["Developers"]},
        SOCIAL_AUTH_BITBUCKET_SERVER_PIPELINE=[
            *DEFAULT_AUTH_PIPELINE,
            "social_bitbucket_server.django.groups.sync_groups",
        ],
        **sandbox.settings(),
    )
    django.setup()
    from django.core.management import call_command
    from django.test import Client

    from tests.frameworks.django.bare.models import Group, User

    call_command("migrate", run_syncdb=True, verbosity=0)
    Group.objects.create(name="Developers")
    client = Client()
    begun = client.post("/login/bitbucket-server/")
    answer = client.get(sandbox.authorize(begun["Location"]))
    print(answer["Location"], *User.objects.get().groups.values_list("name", flat=True))


with Sandbox() as sandbox:
    main(sandbox)
