"""The colours of the pages can be told apart by people who see little, in light and in dark: WCAG 2.2, level AA."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT, EDGE = 4.5, 3.0
"""The least contrast of text, and of what a field, a button or the focus is known by."""

PAGES = {
    "social_bitbucket_server/flask/organizations/static/bitbucket_server.css": {
        TEXT: {
            "text": "page surface sunken accent-soft wait-soft bad-soft",
            "muted": "page surface sunken bad-soft",
            "accent": "page surface sunken accent-soft",
            "on-accent": "accent accent-strong",
            "wait": "wait-soft",
            "bad": "page surface bad-soft",
            "on-bad": "bad bad-strong",
        },
        EDGE: {"edge": "page surface sunken", "accent": "page surface sunken", "bad": "page surface"},
    },
    "demo_app/static/style.css": {
        TEXT: {"app-text": "app-page app-bar", "app-muted": "app-bar"},
        EDGE: {"app-accent": "app-page app-bar"},
    },
    "social_bitbucket_server/sandbox/static/sandbox.css": {
        TEXT: {
            "text": "page card notice refusal done",
            "quiet": "page card",
            "accent": "page card notice",
            "on-accent": "accent",
            "danger": "page card",
        },
        EDGE: {"field-line": "page card", "accent": "page card"},
    },
    "social_bitbucket_server/django/static/social_bitbucket_server/pages.css": {
        TEXT: {"text": "back panel", "muted": "back panel", "accent": "back panel", "on-accent": "accent"},
        EDGE: {"edge": "back", "accent": "back panel"},
    },
}


def colours(stylesheet: str) -> dict[str, dict[str, str]]:
    """Return the colours by scheme and name."""
    light, _, others = (ROOT / stylesheet).read_text().partition("(prefers-color-scheme: dark)")
    dark, _, _ = others.partition("}")
    named = [dict(re.findall(r"--([a-z-]+): #([0-9a-f]{3,6});", block)) for block in (light, dark)]
    return {"light": named[0], "dark": {**named[0], **named[1]}}


def luminance(colour: str) -> float:
    digits = "".join(digit * 2 for digit in colour) if len(colour) == 3 else colour
    shares = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_black_on_white_has_the_greatest_contrast() -> None:
    assert contrast("000", "ffffff") == pytest.approx(21)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("stylesheet", PAGES)
def test_text_and_edges_stand_out(stylesheet: str, scheme: str) -> None:
    named = colours(stylesheet)[scheme]
    too_weak = {
        f"{front} on {back}: {found:.2f}"
        for least, pairs in PAGES[stylesheet].items()
        for front, backs in pairs.items()
        for back in backs.split()
        if (found := contrast(named[front], named[back])) < least
    }
    assert too_weak == set()
