"""The copy buttons of Django's administration."""

from pathlib import Path

import social_bitbucket_server

SCRIPT = Path(social_bitbucket_server.__file__).parent / "django/static/social_bitbucket_server/copy.js"
PAGE = """\
<p id="announcer"></p>
<input id="key" value="packages">
<button data-copies="key" data-copied="Copied" hidden>Copy<span> the key</span></button>
"""
LATER = "window.later = []; window.setTimeout = (act) => later.push(act);"


def test_a_button_that_was_pressed_twice_says_what_it_does_again(page):
    from playwright.sync_api import expect

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
