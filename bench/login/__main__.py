"""``make bench``: what a login costs, beside what it costs elsewhere and what it costs at the least."""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from social_bitbucket_server.crypto import PrivateKey

from . import measure
from .contenders import CONTENDERS, Contender
from .delay import delayed
from .measure import Series
from .server import Server, running

KEY_SIZES = (2048, 3072, 4096)
ROUND_TRIPS = (0, 20, 100)
"""Milliseconds."""


@dataclass(frozen=True)
class Bench:
    """A server with its certificate authority's file, and how thorough to be."""

    server: Server
    ca: str
    rounds: int

    def contenders(self, pem: str, port: int | None = None) -> dict[str, Contender]:
        url = f"https://127.0.0.1:{port or self.server.port}"
        return {name: kind(url, pem, self.ca) for name, kind in CONTENDERS.items()}


@contextmanager
def bench(rounds: int) -> Iterator[Bench]:
    """Start the server."""
    authority = trustme.CA()
    with tempfile.TemporaryDirectory() as folder:
        certificate, ca = Path(folder, "server.pem"), Path(folder, "ca.pem")
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
        authority.cert_pem.write_to_path(str(ca))
        with running(str(certificate)) as server:
            yield Bench(server, str(ca), rounds)


def run(rounds: int) -> dict[str, Any]:
    """Return all figures: seconds, counts, and ratios."""
    with bench(rounds) as ready:
        pems = {bits: PrivateKey.generate(bits).pem() for bits in KEY_SIZES}
        _check(ready.contenders(pems[2048]))
        found: dict[str, Any] = {"machine": {"python": platform.python_version(), "cores": os.cpu_count()}}
        found["signature"] = {
            bits: _compared(measure.signatures(pem, rounds=rounds, each=40), "key.sign") for bits, pem in pems.items()
        }
        found["cpu"] = {}
        for bits, pem in pems.items():
            before = ready.server.counts()
            series = measure.cpu(ready.contenders(pem), rounds=rounds, logins=5)
            used = ready.server.counts() - before
            found["cpu"][bits] = _compared(series, "obvious", "floor") | {
                "server": {"cpu_per_login": 4 * used.seconds / used.requests}
            }
        pem = pems[2048]
        found["traffic"] = {
            name: measure.traffic(contender, ready.server) for name, contender in ready.contenders(pem).items()
        }
        found["wall"] = {}
        for milliseconds in ROUND_TRIPS:
            with delayed(ready.server.port, milliseconds / 1000) as port:
                found["wall"][milliseconds] = {
                    temperature: _compared(
                        measure.wall(
                            ready.contenders(pem, port), rounds=max(2, rounds // 2), cold=temperature == "cold"
                        ),
                        "obvious",
                        "floor",
                    )
                    for temperature in ("cold", "warm")
                }
        return found


def _check(contenders: dict[str, Contender]) -> None:
    """Raise RuntimeError unless every contender logs in the same person."""
    people = {name: contender.login() for name, contender in contenders.items()}
    if set(people.values()) != {"jane"}:
        raise RuntimeError(f"The contenders do not log in the same person: {people}")


def _compared(series: dict[str, Series], *others: str) -> dict[str, Any]:
    return {
        "seconds": {name: one.median for name, one in series.items()},
        "ratios": {other: vars(series["ours"].over(series[other])) for other in others},
    }


def table(found: dict[str, Any]) -> str:
    """Return *found* as one table for people."""
    lines = [f"{'':46}{'ours':>10}{'obvious':>10}{'Authlib':>10}{'floor':>10}   ours as a multiple of", "-" * 132]

    def row(label: str, one: dict[str, Any], unit: str = "ms") -> None:
        seconds = one["seconds"]
        figures = "".join(
            f"{seconds[name] * 1000:10.2f}" if name in seconds else f"{'':10}"
            for name in ("ours", "obvious", "Authlib", "floor")
        )
        ratios = "  ".join(
            f"{other} {ratio['median']:.3f} ({ratio['lower']:.3f}-{ratio['upper']:.3f})"
            for other, ratio in one["ratios"].items()
        )
        lines.append(f"{f'{label}, {unit}':46}{figures}   {ratios}")

    for bits, one in found["signature"].items():
        row(f"a signature, {bits} bits", one)
    for bits, one in found["cpu"].items():
        row(f"CPU a login, {bits} bits", one)
    for milliseconds, both in found["wall"].items():
        for temperature, one in both.items():
            row(f"wall a {temperature} login, {milliseconds} ms away", one)
    for what in ("connections", "requests", "received", "sent"):
        for temperature in ("cold", "warm"):
            figures = "".join(f"{found['traffic'][name][temperature][what]:10}" for name in CONTENDERS)
            lines.append(f"{f'{what} of a {temperature} login':46}{figures}")
    server = found["cpu"][2048]["server"]["cpu_per_login"] * 1000
    lines += [
        "",
        "Ratios: the median of the rounds' own ratios, and their quartiles. The floor is four signatures of a parsed",
        "key and four requests on one connection. 2048 bits where nothing else is said.",
        f"The server is another process and takes {server:.2f} ms of processor time for a login's four requests.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Print the table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11, help="how often everything is measured")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="where the figures are written")
    options = parser.parse_args()
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        os.environ.pop(name, None)  # requests would take it instead of the authority that it is told to trust
    found = run(options.rounds)
    options.json.write_text(json.dumps(found, indent=1) + "\n")
    print(table(found))


if __name__ == "__main__":
    main()
