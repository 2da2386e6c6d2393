"""The copy buttons of the pages for Flask and of Django's administration."""

from pathlib import Path
from typing import NamedTuple

import pytest

import social_bitbucket_server
from tests.browser.waiting import expect

pytestmark = pytest.mark.browser


class Buttons(NamedTuple):
    """One of the two scripts, a *button* for it, and what is said when the clipboard is refused."""

    script: Path
    button: str
    refused: str
    announced: str

    def show(self, page, prepare=""):
        """*page* with a value and the button, ready to be pressed. What is to happen later is put into ``later``."""
        page.set_content(f'<p id="announcer"></p><input id="key" value="packages" readonly>{self.button}')
        page.evaluate(f"() => {{ window.later = []; window.setTimeout = (act) => later.push(act); {prepare}; }}")
        page.add_script_tag(path=self.script)
        return page.get_by_role("button")


FLASK = Buttons(
    Path(social_bitbucket_server.__file__).parent / "flask/organizations/static/bitbucket_server.js",
    '<button data-copies="key" hidden>Copy<span> the key</span></button>',
    "Not copied",
    "Not copied. The value is selected: copy it by hand.",
)
DJANGO = Buttons(
    Path(social_bitbucket_server.__file__).parent / "django/static/social_bitbucket_server/copy.js",
    '<button data-copies="key" data-copied="Copied" data-refused="Not copied" data-selected="It is selected." hidden>'
    "Copy<span> the key</span></button>",
    "Not copied the key",
    "It is selected.",
)
REFUSED = "{ value: { writeText: () => Promise.reject(new Error('refused')) } }"


def test_a_button_that_was_pressed_twice_says_what_it_does_again(page):
    button = DJANGO.show(page)
    for presses in (1, 2):
        button.click()
        page.wait_for_function(f"later.length === {presses}")
        expect(button).to_have_text("Copied the key")
    page.evaluate("() => later.forEach((act) => act())")
    expect(button).to_have_text("Copy the key")


@pytest.mark.parametrize("buttons", [FLASK, DJANGO], ids=["flask", "django"])
@pytest.mark.parametrize(
    "refuse",
    [
        f"Object.defineProperty(navigator, 'clipboard', {REFUSED})",
        "Object.defineProperty(navigator, 'clipboard', { value: undefined }); document.execCommand = () => false",
    ],
    ids=["clipboard", "without one"],
)
def test_a_refused_clipboard_is_said_and_the_value_selected(page, buttons, refuse):
    button = buttons.show(page, refuse)
    button.click()
    expect(button).to_have_text(buttons.refused)
    expect(page.locator("#announcer")).to_have_text(buttons.announced)
    assert page.evaluate("document.activeElement.id") == "key"
    assert page.evaluate("getSelection().toString()") == "packages"
    page.evaluate("() => later.forEach((act) => act())")
    expect(button).to_have_text("Copy the key")
