"""People who log in, each with a browser that keeps cookies."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from urllib.parse import parse_qs, urlencode, urlsplit

_TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')
_SECONDS = 120
_TURNS = 4  # for which a person waits


class Person:
    """Person *number* at the application on *port*, whose organization has one *integration*."""

    def __init__(self, port: int, integration: str, number: int) -> None:
        self._port, self._integration, self._number = port, integration, number
        self._cookies: dict[str, str] = {}
        self._token = ""
        self._refresh = 0

    def open_page(self) -> int:
        """Open the login page; returns the status."""
        status, _, _ = self._ask("GET", "/")
        return status

    def log_in(self) -> str:
        """Log in; returns ``logged in``, or the step and status that it ended with."""
        self.prepare()
        return self.press()

    def prepare(self) -> None:
        """Open the login page in a new browser session."""
        self._cookies.clear()
        _, _, page = self._ask("GET", "/")
        token = _TOKEN.search(page)
        self._token = token[1] if token else ""

    def press(self) -> str:
        """Press the button of the open page, allow the login, and come back; returns what :meth:`log_in` does."""
        if not self._token:
            return "no page"
        path = f"/login/bitbucket-server/{self._integration}/"
        status, location, _ = self._ask("POST", path, urlencode({"csrf_token": self._token}))
        if status != 303:
            return f"begin {status}"
        (request_token,) = parse_qs(urlsplit(location).query)["oauth_token"]
        query = urlencode({"oauth_token": request_token, "oauth_verifier": f"V{self._number}"})
        callback = f"/complete/bitbucket-server/{self._integration}/?{query}"
        status, _, _ = self._ask("GET", callback)
        for _ in range(_TURNS):
            if self._refresh:
                time.sleep(self._refresh)
                status, _, _ = self._ask("GET", callback)
        return "logged in" if status == 303 else f"callback {status}"

    def _ask(self, method: str, target: str, form: str | None = None) -> tuple[int, str, str]:
        """Return status, address to go on to, and page; the status is 0 where no answer came."""
        self._refresh = 0
        connection = HTTPConnection("127.0.0.1", self._port, timeout=_SECONDS)
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request(method, target, form, headers)
            response = connection.getresponse()
            page = response.read().decode()
            self._refresh = int(response.headers.get("Refresh", 0))
            for line in response.headers.get_all("Set-Cookie", ()):
                name, _, value = line.partition(";")[0].partition("=")
                self._cookies[name] = value
            return response.status, response.headers.get("Location", ""), page
        except OSError:
            return 0, "", ""
        finally:
            connection.close()


def crowd(port: int, integration: str, *, at_once: int, logins: int) -> Counter[str]:
    """Let so many people log in, *at_once* at a time; returns how often each ending came."""
    with ThreadPoolExecutor(at_once) as people:
        return Counter(people.map(lambda number: Person(port, integration, number).log_in(), range(1, logins + 1)))


def again_and_again(act: Callable[[], object], until: float) -> list[tuple[str, float]]:
    """Do *act* again and again, at least once; returns what it returned each time, with the seconds that it took."""
    endings: list[tuple[str, float]] = []
    while not endings or time.monotonic() < until:
        began = time.monotonic()
        ending = str(act())
        endings.append((ending, time.monotonic() - began))
        time.sleep(0.05)
    return endings


def press_together(
    people: Sequence[Person], start: threading.Barrier, *, every: float, until: float
) -> Callable[[int], list[str]]:
    """Return what the person at each position does: all press the button at the same moment. From then on each logs in
    once *every* so many seconds, spread over that time."""

    def act(position: int) -> list[str]:
        person = people[position]
        person.prepare()
        start.wait()
        began, endings = time.monotonic(), [person.press()]
        phase = every * position / len(people)
        for turn in itertools.count(1):
            due = began + every * turn + phase
            if due >= until:
                return endings
            time.sleep(max(due - time.monotonic(), 0))
            endings.append(person.log_in())
        raise AssertionError  # unreachable

    return act
