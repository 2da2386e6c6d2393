"""The copy buttons of the demo application where the browser gives no clipboard."""

from pathlib import Path

import pytest

import demo_app
from tests.browser.waiting import expect

pytestmark = pytest.mark.browser

SCRIPT = Path(demo_app.__file__).parent / "static/app.js"
PAGE = """\
<p id="announcer"></p>
<input id="key" value="packages" readonly>
<button data-copies="key" hidden>Copy<span> the key</span></button>
"""
LATER = "window.later = []; window.setTimeout = (act) => later.push(act);"
REFUSED = "{ value: { writeText: () => Promise.reject(new Error('refused')) } }"


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
    expect(button).to_have_text("Not copied")
    expect(page.locator("#announcer")).to_have_text("Not copied. The value is selected: copy it by hand.")
    assert page.evaluate("document.activeElement.id") == "key"
    assert page.evaluate("getSelection().toString()") == "packages"
    page.evaluate("() => later.forEach((act) => act())")
    expect(button).to_have_text("Copy the key")
