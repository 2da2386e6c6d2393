"""Ports for programs that must be told theirs."""

from __future__ import annotations

import secrets
import socket

# Below those that the kernel gives to whoever does not choose, which are taken again at once on a busy machine.
_CHOSEN = range(10240, 32768)


def free_port() -> int:
    """One where nothing listens on this machine. Not by chance that a seed repeats: every worker has the same seed."""
    while True:
        port = secrets.choice(_CHOSEN)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:  # taken
            continue
        return port
