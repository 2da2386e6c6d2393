"""A project with many organizations, each with a Bitbucket Server of its own."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("SECRET_KEY", "django-insecure-only-for-trying-it-out")
DEBUG = True
ALLOWED_HOSTS: list[str] = []

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

ROOT_URLCONF = "mysite.urls"
WSGI_APPLICATION = "mysite.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "mysite" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / "db.sqlite3",
        "OPTIONS": {"transaction_mode": "IMMEDIATE"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
USE_TZ = True

AUTHENTICATION_BACKENDS = [
    "social_bitbucket_server.backends.BitbucketServerOAuth1",
    "django.contrib.auth.backends.ModelBackend",
]
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"

SOCIAL_AUTH_BITBUCKET_SERVER_INTEGRATIONS = "social_bitbucket_server.django.integrations.find"
SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN = os.environ.get("ORIGIN", "http://127.0.0.1:8000")
SOCIAL_AUTH_BITBUCKET_SERVER_APPLICATION_NAME = "My site"
SOCIAL_AUTH_BITBUCKET_SERVER_KEY_RING = os.environ.get("KEY_RING")
# For a Bitbucket Server stand-in on this machine; refused where the origin is another machine's.
SOCIAL_AUTH_BITBUCKET_SERVER_TEST_ADDRESSES = [] if "ORIGIN" in os.environ else ["127.0.0.1"]
