"""The addresses of a project with one server: social_django's own."""

from django.urls import include, path

from tests.frameworks.django.urls import home

urlpatterns = [path("", home), path("", include("social_django.urls"))]
