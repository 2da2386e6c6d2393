"""The whole demo in one process: the application, a sandbox Bitbucket, and an organization that is connected to it.

``python -m demo_app`` serves until Ctrl-C. The ports are those of :mod:`demo_app.ports`.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType

from waitress import create_server  # type: ignore[import-untyped]  # it has no types

from social_bitbucket_server.sandbox import Sandbox

from . import create_app, ports
from .acme import prepare

# On one's own machine one's own servers may be connected, wherever they are.
SETTINGS = {
    "SOCIAL_AUTH_BITBUCKET_SERVER_PRIVATE_NETWORKS": "*=10.0.0.0/8,172.16.0.0/12,192.168.0.0/16",
    "SOCIAL_AUTH_BITBUCKET_SERVER_TEST_ADDRESSES": [ports.HOST],
    "SOCIAL_AUTH_BITBUCKET_SERVER_HTTP_HOSTS": [ports.HOST],
}


def main() -> int:
    """Serve until Ctrl-C or SIGTERM. Return the exit status."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        _serve()
    except ports.CannotStartError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _serve() -> None:
    ports.check()
    with ports.listen("DEMO_PORT") as listener:
        origin = f"http://{ports.HOST}:{ports.chosen('DEMO_PORT')}"
        # With passwords for programs, because the worksheet's page offers a script that logs in with one.
        sandbox = Sandbox(
            context="/bitbucket", host=ports.HOST, port=ports.chosen("SANDBOX_PORT"), basic_authentication=True
        )
        sandbox.start()
        try:
            folder = Path(os.environ.get("INSTANCE_PATH", "instance"))
            app = create_app(origin, folder, **SETTINGS)
            print(prepare(app, sandbox, origin, folder), flush=True)
            server = create_server(app, sockets=[listener], threads=8, ident=None)
            try:
                server.run()
            finally:
                server.close()
        finally:
            sandbox.stop()


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
