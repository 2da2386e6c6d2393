"""The addresses of the project with many organizations."""

from django.contrib import admin
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.urls import include, path
from django.views.decorators.http import require_POST

from social_bitbucket_server.django import integrations, login


def home(request):
    return HttpResponse(f"Hello {request.user.get_username() or 'nobody'}")


@require_POST
@login_required
def connect(request, slug):
    return login.connect(request, integrations.find_enabled(slug=slug).pk)


@require_POST
def begin(request, slug):
    return login.begin(request, integrations.find_enabled(slug=slug).pk)


def account(request):
    return HttpResponse(request.user.get_username(), status=200 if request.user.is_authenticated else 401)


urlpatterns = [
    path("", home),
    path("account/", account),
    path("report/", home),
    path("begin/<slug:slug>/", begin),
    path("connect/<slug:slug>/", connect),
    path("admin/", admin.site.urls),
    path("", include("social_bitbucket_server.django.urls")),
]
