"""A Django project with many organizations, whose servers may be on this machine."""

import os
import tempfile
from pathlib import Path

SECRET_KEY = "x" * 50
ALLOWED_HOSTS = ["app.example", "testserver", "127.0.0.1"]
ROOT_URLCONF = "tests.frameworks.django.urls"
USE_TZ = True
USE_I18N = True
LANGUAGE_CODE = "en"
STATIC_URL = "/static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "social_django",
    "social_bitbucket_server.django",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "social_bitbucket_server.django.middleware.IntegrationSessionMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "social_bitbucket_server.django.middleware.LoginErrorMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": Path(tempfile.gettempdir()) / f"social-bitbucket-server-tests-{os.getpid()}.sqlite",
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 60,
            # No test waits for the disk: the database ends with its process.
            "init_command": "PRAGMA synchronous = OFF",
        },
    }
}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
AUTHENTICATION_BACKENDS = [
    "social_bitbucket_server.backends.BitbucketServerOAuth1",
    "django.contrib.auth.backends.ModelBackend",
]
LOGIN_REDIRECT_URL = "/"
SOCIAL_AUTH_BITBUCKET_SERVER_INTEGRATIONS = "social_bitbucket_server.django.integrations.find"
SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN = "http://127.0.0.1:8000"
SOCIAL_AUTH_BITBUCKET_SERVER_KEY_RING = "1:" + "A" * 42 + "E="
SOCIAL_AUTH_BITBUCKET_SERVER_TEST_ADDRESSES = ["127.0.0.1"]
SOCIAL_AUTH_BITBUCKET_SERVER_APPLICATION_NAME = "Packages"
