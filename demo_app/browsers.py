"""Names of browsers, in words that a person recognizes."""

from __future__ import annotations

_BROWSERS = {
    # The more exact one first: almost all of them say Chrome and Safari, too.
    "Edg": "Edge",
    "OPR/": "Opera",
    "SamsungBrowser": "Samsung Internet",
    "Firefox": "Firefox",
    "FxiOS": "Firefox",
    "CriOS": "Chrome",
    "Chrome": "Chrome",
    "Safari": "Safari",
}
_SYSTEMS = {
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Android": "Android",
    "CrOS": "ChromeOS",
    "Windows": "Windows",
    "Mac OS X": "macOS",
    "Linux": "Linux",
}


def in_words(user_agent: str) -> str:
    """Browser and system that the header *user_agent* names: "Firefox on Linux". Nothing of its text is repeated."""
    browser = next((name for mark, name in _BROWSERS.items() if mark in user_agent), "Unknown browser")
    system = next((name for mark, name in _SYSTEMS.items() if mark in user_agent), "")
    return f"{browser} on {system}" if system else browser
