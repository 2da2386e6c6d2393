"""The project with the tables of this package in a second database."""

from tests.frameworks.django.settings import *  # noqa: F403  # a project's settings are names
from tests.frameworks.django.settings import DATABASES as ONE_DATABASE

LABEL = "social_bitbucket_server"


class Router:
    """Keeps this package's tables in a database of their own, and all others in the default one."""

    def db_for_read(self, model, **_hints):
        return LABEL if model._meta.app_label == LABEL else None

    db_for_write = db_for_read

    def allow_migrate(self, db, app_label, **_hints):
        return (db == LABEL) == (app_label == LABEL)


DATABASE_ROUTERS = ["tests.frameworks.django.two_databases.Router"]
_ONE = ONE_DATABASE["default"]
DATABASES = {**ONE_DATABASE, LABEL: {**_ONE, "NAME": _ONE["NAME"].with_suffix(".second.sqlite")}}
