"""A Django application with views and an administration of its own."""

from __future__ import annotations

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import include, path
from social_core.exceptions import SocialAuthBaseException

from social_bitbucket_server.account import Recheck
from social_bitbucket_server.django import integrations, key_rotation, login, login_ways, setup_links
from social_bitbucket_server.django.admin import IntegrationAdmin
from social_bitbucket_server.django.errors import show_error
from social_bitbucket_server.django.events import event_recorded
from social_bitbucket_server.django.groups import leave_groups, sync_groups, sync_rechecked_groups
from social_bitbucket_server.django.limits import Limited, TooManyRequests, visitor
from social_bitbucket_server.django.middleware import IntegrationSessionMiddleware, LoginErrorMiddleware
from social_bitbucket_server.django.models import (
    AbstractIntegration,
    ApplicationLink,
    Event,
    Integration,
    KeyPair,
    integration_model,
)
from social_bitbucket_server.django.rechecks import person_rechecked
from social_bitbucket_server.django.urls import urlpatterns as ready_made
from social_bitbucket_server.django.views import Complete, LoginPage
from social_bitbucket_server.onboarding import Result
from social_bitbucket_server.organizations import EventCode, KeyState, SetupLinkLife

MIDDLEWARE = [f"{each.__module__}.{each.__qualname__}" for each in (IntegrationSessionMiddleware, LoginErrorMiddleware)]
STEPS = [f"{step.__module__}.{step.__qualname__}" for step in (sync_groups, leave_groups)]

urlpatterns = [
    path("", include((ready_made, "social_bitbucket_server"))),
    path("in/<slug:slug>/", LoginPage.as_view()),
    path("back/<slug:integration>/", Complete.as_view()),
]


class CompanyAdmin(IntegrationAdmin):
    list_display = ("name", "base_url")


admin.site.unregister(Integration)
admin.site.register(Integration, CompanyAdmin)


def limit(request: HttpRequest, what: Limited, key: str) -> None:
    if (what, key, visitor(request)) == (Limited.LOGINS, "", "203.0.113.7"):
        raise TooManyRequests(retry_after=60)


def make(name: str, slug: str, base_url: str) -> str:
    record: AbstractIntegration = integration_model()(name=name, slug=slug, base_url=base_url)
    record.full_clean()
    integrations.create(record)
    record.name = name.title()
    try:
        integrations.change(record)
        integrations.move(record)
    except integrations.ChangedMeanwhileError as refusal:
        return str(refusal)
    pair: KeyPair | None = record.active_key_pair
    assert pair is not None
    assert pair.state == KeyState.ACTIVE
    link: ApplicationLink = pair.link
    assert link.consumer_key == record.consumer_key
    steps = integrations.worksheet_of(record, pair)
    return f"{integrations.login_link(record)}: {len(steps)} steps"


def hear(sender: type, identity: object, recheck: Recheck, **_more: object) -> None:
    print(recheck.standing, recheck.problem)


def count(sender: type, event: EventCode, details: dict[str, str], **_more: object) -> None:
    print(event.sentence, details.get("user_id"))


person_rechecked.connect(hear)
person_rechecked.connect(sync_rechecked_groups)
event_recorded.connect(count)


def rotate(record: AbstractIntegration) -> bool:
    key_rotation.begin(record, with_new_link=True)
    return key_rotation.verify(record) and key_rotation.note_removal(record)


def change_ways_in(record: AbstractIntegration) -> bool:
    login_ways.close_link(record)
    login_ways.open_link(record)
    login_ways.replace_link(record)
    login_ways.enforce(record)
    login_ways.lift(record)
    address: str = setup_links.make(record, SetupLinkLife.DAY)
    print(address, setup_links.live(record), setup_links.revoke(record))
    return record.others().exists()


def test_it(record: AbstractIntegration) -> list[Result]:
    print(integrations.active(record).consumer_key)
    return list(integrations.check_up(record))


def end(record: AbstractIntegration, *, for_good: bool) -> int:
    if for_good:
        integrations.delete(record)
    else:
        integrations.enable(record, enabled=False)
    return Event.objects.filter(what=EventCode.LOGIN_FAILURE).count()


def begin(request: HttpRequest, slug: str) -> HttpResponse:
    record = integrations.find_enabled(slug=slug)
    if record is None or integrations.find(record.pk) is None:
        raise Http404
    try:
        return login.connect(request, record.pk) if request.user.is_authenticated else login.begin(request, record.pk)
    except SocialAuthBaseException as error:
        return show_error(request, error, record)


def try_it(request: HttpRequest, integration_id: str) -> HttpResponse:
    return login.try_login(request, integration_id)


def complete(request: HttpRequest, integration_id: str) -> HttpResponse:
    if login.is_trial(request, integration_id):
        return HttpResponse(login.complete_trial(request, integration_id).profile.username)
    response = login.complete(request, integration_id)
    print(request.session.get(login.INTEGRATION_SESSION_KEY))
    return response
