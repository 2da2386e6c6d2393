from django.contrib.auth.views import LogoutView
from django.urls import include, path
from django.views.generic import TemplateView

urlpatterns = [
    path("", TemplateView.as_view(template_name="home.html")),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("", include("social_django.urls")),
]
