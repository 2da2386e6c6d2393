"""The subjects, one module for each: where its code is broken, and which tests are asked."""

from __future__ import annotations

from . import (
    addresses,
    key_ring,
    login_backend,
    membership,
    pending_logins,
    profile,
    sessions,
    signing,
    storage,
    transport,
)

SUBJECTS = tuple(
    module.SUBJECT
    for module in (
        signing,
        pending_logins,
        login_backend,
        profile,
        membership,
        transport,
        addresses,
        key_ring,
        storage,
        sessions,
    )
)
