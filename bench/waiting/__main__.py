"""Whom a slow server keeps waiting: its own people, and nobody else. Prints counts and seconds.

    python -m bench.waiting

Workers that this Python lacks are left out: ``pip install gevent pyuwsgi`` brings them.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from social_bitbucket_server.crypto import PrivateKey

from . import bitbucket, workers
from .application import ALICE
from .people import Person, again_and_again, crowd, press_together

# The crowd at a fast server shows what so many people cost by the processor alone.
HOSTILE = ("fast", "9900ms", "hangs", "endless", "400ms", "endless-400ms", "900ms")
HOSTILE_PEOPLE = 50
EVERY = 6.0
"""Seconds from one login of a hostile address to the next: ten a minute, as applications limit them."""
SECONDS = 15.0


def _crowds(port: int) -> None:
    slow = crowd(port, "400ms", at_once=8, logins=60)
    print(f"  8 people at once, 0.4 s for an answer:  {slow['logged in']} of 60 logged in{_others(slow)}")
    fast = crowd(port, "fast", at_once=48, logins=200)
    print(f"  48 people at once, a fast server:       {fast['logged in']} of 200 logged in{_others(fast)}")


def _others(endings: Counter[str]) -> str:
    others = {ending: count for ending, count in endings.items() if ending != "logged in"}
    return f"; else {others}" if others else ""


def _alice_and(port: int, hostile: str) -> tuple[list[tuple[str, float]], list[float], Counter[str]]:
    """Return Alice's logins, the seconds of pages, and the ends of the logins of *hostile* people meanwhile."""
    until = time.monotonic() + SECONDS
    crowd_size = HOSTILE_PEOPLE if hostile else 0
    start = threading.Barrier(crowd_size + 2)
    people = [Person(port, hostile, number) for number in range(1, crowd_size + 1)]
    act = press_together(people, start, every=EVERY, until=until)

    def after_start(innocent: Callable[[], object]) -> list[tuple[str, float]]:
        start.wait()
        time.sleep(0.05)
        return again_and_again(innocent, until)

    with ThreadPoolExecutor(crowd_size + 2) as everybody:
        others = [everybody.submit(act, position) for position in range(crowd_size)]
        alice = everybody.submit(after_start, Person(port, ALICE, 1).log_in)
        pages = everybody.submit(after_start, Person(port, ALICE, 2).open_page)
        endings = Counter(ending for one in others for ending in one.result())
        return alice.result(), [took for _, took in pages.result()], endings


def _hostile(port: int) -> None:
    alone, pages_alone, _ = _alice_and(port, "")
    usual, usual_page = median(took for _, took in alone), median(pages_alone)
    print(f"  alice alone: {usual:.2f} s for a login, {usual_page:.2f} s for a page; {len(alone)} logins")
    for hostile in HOSTILE:
        logins, pages, endings = _alice_and(port, hostile)
        failed = sum(ending != "logged in" for ending, _ in logins)
        login, page = max(took for _, took in logins), max(pages)
        print(
            f"  beside {hostile:13} her slowest login {login - usual:5.2f} s longer, page {page - usual_page:5.2f} s; "
            f"{len(logins) - failed} of {len(logins)} logins; the others: {dict(endings)}"
        )


def main() -> None:
    """Measure with each kind of worker."""
    for kind in workers.KINDS:
        package = workers.missing(kind)
        if package:
            print(f"{kind}: left out, because {package} is not installed.")
            continue
        with TemporaryDirectory() as folder, bitbucket.running() as address:
            (Path(folder) / "key.pem").write_text(PrivateKey.generate(2048).pem())
            with workers.serving(kind, Path(folder), address) as port:
                print(f"{kind}, one worker{'' if kind == 'gevent' else f' with {workers.THREADS} threads'}")
                _crowds(port)
                _hostile(port)


if __name__ == "__main__":
    main()
