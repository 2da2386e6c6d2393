"""The copy buttons of Django's administration."""

from pathlib import Path

import pytest

import social_bitbucket_server
from tests.browser.waiting import expect

SCRIPT = Path(social_bitbucket_server.__file__).parent / "django/static/social_bitbucket_server/copy.js"
PAGE = """\
<p id="announcer"></p>
<input id="key" value="packages">
<button data-copies="key" data-copied="Copied" data-refused="Not copied" data-selected="It is selected." hidden>\
Copy<span> the key</span></button>
"""
LATER = "window.later = []; window.setTimeout = (act) => later.push(act);"
REFUSED = "{ value: { writeText: () => Promise.reject(new Error('refused')) } }"


def test_a_button_that_was_pressed_twice_says_what_it_does_again(page):
    page.set_content(PAGE)
    page.evaluate(f"() => {{ {LATER} }}")
    page.add_script_tag(path=SCRIPT)
    button = page.get_by_role("button")
    for presses in (1, 2):
        button.click()
        page.wait_for_function(f"later.length === {presses}")
        expect(button).to_have_text("Copied the key")
    page.evaluate("() => later.forEach((act) => act())")
    expect(button).to_have_text("Copy the key")


@pytest.mark.parametrize(
    "refuse",
    [
        f"Object.defineProperty(navigator, 'clipboard', {REFUSED})",
        "Object.defineProperty(navigator, 'clipboard', { value: undefined }); document.execCommand = () => false",
    ],
    ids=["clipboard", "without one"],
)
def test_a_refused_clipboard_is_said_and_the_value_selected(page, refuse):
    page.set_content(PAGE)
    page.evaluate(f"() => {{ {LATER} {refuse}; }}")
    page.add_script_tag(path=SCRIPT)
    button = page.get_by_role("button")
    button.click()
    expect(button).to_have_text("Not copied the key")
    expect(page.locator("#announcer")).to_have_text("It is selected.")
    assert page.evaluate("document.activeElement.id") == "key"
    assert page.evaluate("getSelection().toString()") == "packages"
    page.evaluate("() => later.forEach((act) => act())")
    expect(button).to_have_text("Copy the key")
