"""docs/events.md lists every event in the words of the code."""

from __future__ import annotations

import re
from pathlib import Path

from social_bitbucket_server.organizations import EventCode, EventKind

PAGE = (Path(__file__).parents[3] / "docs" / "events.md").read_text()


def test_every_event_is_listed_under_its_kind() -> None:
    sections = dict(re.findall(r"^## (.+)\n((?:.+\n|\n(?!## ))*)", PAGE, re.MULTILINE))
    assert list(sections) == [kind.label for kind in EventKind]
    for kind in EventKind:
        listed = re.findall(r"^\| `(.+?)` \| (.+?) \|$", sections[kind.label], re.MULTILINE)
        operator = {False: " *operator*", True: ""}
        events = [event for event in EventCode if event.kind is kind]
        assert listed == [(event.value, event.sentence + operator[event.is_shown]) for event in events]
