"""The base of pages for people who are not logged in."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_deny
from django.views.decorators.csrf import csrf_protect

_FOR_EVERYBODY = [login_not_required, never_cache, xframe_options_deny, csrf_protect]


# Events and used-up logins must stay in the database, even if the rest of the request fails.
@method_decorator([transaction.non_atomic_requests, *_FOR_EVERYBODY], name="dispatch")
class PublicView(View):
    """A view that is open to everybody, not cached, in no frame, and checks the CSRF token."""
