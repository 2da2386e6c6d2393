"""The transport of this process, which everything uses that asks a server."""

from __future__ import annotations

import os

from .transport import Transport

_transports: dict[int, Transport] = {}


def default_transport() -> Transport:
    """Return the transport of this process. It is made when it is first asked for.

    A forked process makes its own: it uses no connection of its parent. Do not keep the result, so that this holds for
    every object that a fork copies.
    """
    # Without a lock: a thread that does not exist in the child could have held it. The parent's transport stays, since
    # letting go of its connections takes their locks.
    process = os.getpid()
    return _transports.get(process) or _transports.setdefault(process, Transport())


def use_transport(transport: Transport) -> None:
    """Let all threads of this process use *transport* from now on. Tests begin with one that has learnt nothing."""
    _transports[os.getpid()] = transport
