"""Locks of modules in processes that fork."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading


def hold_while_forking(lock: threading.Lock) -> None:
    """Let no process fork while another thread holds *lock*, so that the child can take it. Windows does not fork."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
