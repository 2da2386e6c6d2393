"""Tests of the words that name a browser."""

from __future__ import annotations

import pytest

from demo_app import browsers

GECKO = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
BLINK = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)
WEBKIT = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605"
)
PHONE = "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36"
APPLE_PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 (KHTML, like Gecko) CriOS/140.0 Safari/604"
)


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        (GECKO, "Firefox on Linux"),
        (BLINK, "Chrome on Windows"),
        (f"{BLINK} Edg/140.0.0.0", "Edge on Windows"),
        (f"{BLINK} OPR/120.0.0.0", "Opera on Windows"),
        (WEBKIT, "Safari on macOS"),
        (PHONE, "Chrome on Android"),
        (APPLE_PHONE, "Chrome on iPhone"),
        ("curl/8.0", "Unknown browser"),
        ("", "Unknown browser"),
        ("<script>alert(1)</script>", "Unknown browser"),
    ],
)
def test_a_browser_is_named_in_words(user_agent: str, words: str) -> None:
    assert browsers.in_words(user_agent) == words
