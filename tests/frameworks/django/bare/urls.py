"""The addresses of social_django alone."""

from django.urls import include, path

urlpatterns = [path("", include("social_django.urls"))]
