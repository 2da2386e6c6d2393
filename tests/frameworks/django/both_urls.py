"""The addresses of a project with many organizations that has other ways to log in besides, at social_django's."""

from django.urls import include, path

from tests.frameworks.django import urls

urlpatterns = [*urls.urlpatterns, path("social/", include("social_django.urls"))]
