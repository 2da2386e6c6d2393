"""Inspecting what a browser shows: by the rules of axe, and by the width of the screen."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.acts import WIDTHS, overflow

axe_playwright = pytest.importorskip("axe_playwright_python.sync_playwright")

WCAG = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
_OPTIONS = {
    "resultTypes": ["violations"],
    "runOnly": {"type": "tag", "values": WCAG},
    "rules": {"target-size": {"enabled": True}},  # off by default, as is everything that is new in WCAG 2.2
}
_COLOURS = {
    "resultTypes": ["violations"],
    "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]},
}


class Inspector:
    """Collects the *findings* of all pages that it is shown: WCAG 2.2, levels A and AA, and pages that are wider than
    their screen."""

    def __init__(self) -> None:
        self.findings: list[str] = []
        self._axe = axe_playwright.Axe().axe_script

    def inspect(self, page: Any, state: str, part: str | None = None) -> None:
        """Inspect *page* in each width, in light and in dark. *state* names it in the findings. *part* selects the part
        that axe inspects; ``None`` for the whole page."""
        page.wait_for_load_state()
        page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
        page.evaluate(self._axe)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 844})
            for scheme, options in (("dark", _COLOURS), ("light", _OPTIONS)):
                page.emulate_media(color_scheme=scheme)
                answer = page.evaluate("([part, options]) => axe.run(part ?? document, options)", [part, options])
                for violation in answer["violations"]:
                    places = ", ".join(" ".join(map(str, node["target"])) for node in violation["nodes"])
                    self.findings.append(f"{state}, {width} pixels, {scheme}: {violation['id']} at {places}")
        excess = overflow(page)
        if any(excess):
            self.findings.append(f"{state}: {excess} pixels wider than the screens")
