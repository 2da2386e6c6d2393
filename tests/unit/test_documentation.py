"""Tests of the documentation as Markdown: its links, and the way to the answers of the first hour."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from social_bitbucket_server.flask.organizations.commands import group

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    file
    for file in [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    if "_build" not in file.parts
)
LINK = re.compile(r"\]\((?!https?://|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")
CODE = re.compile(r"^( *)(`{3,}).*?^\1\2\s*$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
MOST_CLICKS = 2


def links(page: Path) -> list[tuple[Path, str]]:
    """Return the file and the anchor of each link to this project in *page*."""
    text = CODE.sub("", page.read_text())
    return [((page.parent / target).resolve() if target else page, anchor) for target, anchor in LINK.findall(text)]


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of *page*, as forges make them."""
    text = re.sub(r"^( *)(`{3,}).*?^\1\2\s*$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#{1,6} (.+?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = [
        f"{target.name}#{anchor}"
        for target, anchor in links(page)
        if not target.exists() or (anchor and anchor not in anchors(target))
    ]
    assert lost == []


def test_links_of_the_site_stay_in_its_folder() -> None:
    outside = [f"{page.name}: {target}" for page in DOCS.rglob("*.md") for target, _ in links(page) if page in PAGES]
    assert [line for line in outside if str(DOCS) not in line.partition(": ")[2]] == []


def clicks() -> dict[Path, int]:
    """Return how many links lead from the start page to each page, without the list of questions."""
    found = {DOCS / "index.md": 0}
    for page in (queue := [DOCS / "index.md"]):
        for target, _ in links(page):
            if target.suffix == ".md" and target.name != "questions.md" and target not in found:
                found[target] = found[page] + 1
                queue.append(target)
    return found


def test_the_forty_questions_have_an_answer_within_two_clicks() -> None:
    rows = re.findall(
        r"^\| (\d+) \| .+ \| \[.+\]\((.+?)(?:#.*)?\) \| (\d) \|$", (DOCS / "questions.md").read_text(), re.MULTILINE
    )
    counted = clicks()
    assert [int(number) for number, _, _ in rows] == list(range(1, 41))
    assert [(number, counted[DOCS / page]) for number, page, _ in rows] == [(row[0], int(row[2])) for row in rows]
    assert max(int(count) for _, _, count in rows) <= MOST_CLICKS


def test_every_command_of_flask_is_listed() -> None:
    table = (DOCS / "flask-organizations.md").read_text().partition("\n## Commands\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.+?`) \|", table, re.MULTILINE)
    listed = {name for cell in cells for name in re.findall(r"`(?:flask bitbucket-server|…) ([a-z-]+)", cell)}
    assert listed == set(group.commands)
