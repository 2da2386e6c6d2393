"""Rules of many organizations, for an application with tables of its own."""

from __future__ import annotations

from social_bitbucket_server.organizations import EventCode, EventKind


def sentences(kind: EventKind) -> dict[str, str]:
    return {code.value: code.sentence for code in EventCode if code.kind is kind and code.is_shown}


def labels() -> list[tuple[str, str, int]]:
    return [(kind.value, kind.label, len(kind.codes)) for kind in EventKind]
