"""The addresses of an application's routes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from werkzeug.routing import Rule

PLACE = re.compile(r"<(?:[^>]*:)?([a-z_]+)>")


def address_of(rule: Rule, values: Mapping[str, object]) -> str:
    """The address of *rule* with *values* in its places, as they are; of several actions it is the first one."""
    actions = re.findall(r"any\((\w+)", rule.rule)
    return PLACE.sub(lambda place: str({**values, "action": actions[:1] and actions[0]}[place[1]]), rule.rule)
