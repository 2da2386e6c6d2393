"""The demo's two ports: which ones are chosen, and whether the demo can have them.

``python demo_app/ports.py`` checks both before anything is installed, so this module needs only the standard library.
"""

from __future__ import annotations

import errno
import os
import socket
import sys

HOST = "127.0.0.1"
DEFAULTS = {"DEMO_PORT": 8000, "SANDBOX_PORT": 7990}
"""The environment variables that choose the ports of the application and of the sandbox, with their defaults."""

_HIGHEST = 65535
_FIRST_WITHOUT_PRIVILEGES = 1024


class CannotStartError(Exception):
    """The demo cannot start. The message is one sentence: the reason, and the variable to set."""


def check() -> None:
    """Hold both ports at once for a moment. Raises CannotStartError for the first one that the demo cannot have."""
    if chosen("DEMO_PORT") == chosen("SANDBOX_PORT"):
        raise CannotStartError("DEMO_PORT and SANDBOX_PORT must be two different ports.")
    with listen("DEMO_PORT"), listen("SANDBOX_PORT"):
        pass


def chosen(variable: str) -> int:
    """Return the port that the environment *variable* names, or its default. Raises CannotStartError if it is none."""
    text = os.environ.get(variable, str(DEFAULTS[variable]))
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= _HIGHEST:
        raise CannotStartError(f"{variable} must be a port number from 1 to {_HIGHEST}.")
    return int(text)


def listen(variable: str) -> socket.socket:
    """Return a socket that listens on the port of *variable*. Raises CannotStartError if that is impossible."""
    port = chosen(variable)
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        example = f"{variable}={_free_port_after(port)} make demo"
        raise CannotStartError(
            f"Port {port} {reason}; choose another one with {variable}, for example: {example}"
        ) from error


def _free_port_after(port: int) -> int:
    chosen_ports = {chosen(variable) for variable in DEFAULTS}
    for candidate in range(max(port + 1, _FIRST_WITHOUT_PRIVILEGES), _HIGHEST):
        if candidate not in chosen_ports and _is_free(candidate):
            return candidate
    return _free_port_after(_FIRST_WITHOUT_PRIVILEGES)


def _is_free(port: int) -> bool:
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True


def main() -> None:
    """Check both ports. If the demo cannot have them, exit with the reason and status 1."""
    try:
        check()
    except CannotStartError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
