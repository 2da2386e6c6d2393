"""The audit log: one line of JSON for each event, with numbers and identifiers only.

Never tokens, verifiers, keys, cookies, addresses, names of people, or text from the other side.
"""

from __future__ import annotations

import hashlib
import json
import logging
from typing import Literal

from flask import g, has_request_context, request

from . import clock

logger = logging.getLogger("demo_app.audit")

Event = Literal[
    "admin.denied",
    "integration.created",
    "integration.deleted",
    "integration.disabled",
    "integration.updated",
    "key.created",
    "key.decrypt_failed",
    "key.retired",
    "login.begin",
    "login.failure",
    "login.mixup",
    "login.success",
    "outbound.blocked",
    "request.failure",
    "session.revoked",
    "user.created",
    "user.disabled",
    "user.enabled",
]


def set_up() -> None:
    """Write the log to the standard error stream where the server's configuration sends it nowhere else."""
    logger.setLevel(logging.INFO)
    if not logger.hasHandlers():
        logger.addHandler(logging.StreamHandler())


def record(event: Event, *, outcome: str = "success", **details: str | int | bool | None) -> None:
    """Write down *event* with *details* that are not None; the request adds who asked and its reference number."""
    line: dict[str, str | int | bool | None] = {
        "ts": clock.now().isoformat(),
        "event": event,
        "outcome": outcome,
        **details,
    }
    if has_request_context():
        line["org_id"] = g.organization.id if g.get("organization") else None
        line["src_ip"] = request.remote_addr
        line["ua_hash"] = hashlib.sha256(request.user_agent.string.encode()).hexdigest()[:12]
        line["corr_id"] = g.get("reference")
    logger.info(json.dumps({name: value for name, value in line.items() if value is not None}))
