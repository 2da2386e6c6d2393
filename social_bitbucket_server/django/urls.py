"""The addresses, to be included anywhere: ``path("", include("social_bitbucket_server.django.urls"))``."""

from __future__ import annotations

from django.urls import path

from ..organizations import OAuth
from .setup_views import SetupCredentials, SetupPage, SetupScript, SetupServer, SetupTest
from .views import Complete, LoginPage, link

app_name = "social_bitbucket_server"

urlpatterns = [
    path("login/bitbucket-server/<slug:slug>/", LoginPage.as_view(), name="login"),
    path("login/bitbucket-server/<slug:slug>/<int:number>/", link, name="link"),
    path("complete/bitbucket-server/<slug:integration>/", Complete.as_view(), name="complete"),
    path(
        "complete/bitbucket-server-oauth2/<slug:integration>/",
        Complete.as_view(oauth=OAuth.TWO),
        name="complete-oauth2",
    ),
    path("setup/bitbucket-server/<slug:token>/", SetupPage.as_view(), name="setup"),
    path("setup/bitbucket-server/<slug:token>/test/", SetupTest.as_view(), name="setup-test"),
    path("setup/bitbucket-server/<slug:token>/credentials/", SetupCredentials.as_view(), name="setup-credentials"),
    path("setup/bitbucket-server/<slug:token>/server/", SetupServer.as_view(), name="setup-server"),
    path("setup/bitbucket-server/<slug:token>/link.sh", SetupScript.as_view(), name="setup-script"),
]
