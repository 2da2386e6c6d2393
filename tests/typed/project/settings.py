"""Settings for the checker's plugin."""

SECRET_KEY = "x" * 50
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "social_django",
    "social_bitbucket_server.django",
]
