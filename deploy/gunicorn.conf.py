"""Gunicorn for the demo application: how many processes and threads serve, and for how long they may finish.

The number of processes is the variable WEB_CONCURRENCY. Where it listens is systemd's (demo-app.socket), or ``--bind``.
"""

from __future__ import annotations

from typing import Any

wsgi_app = "demo_app:create_app()"

# A login waits for somebody else's server most of its time, and holds no connection to the database meanwhile.
# One organization's slow logins hold a quarter of them (SLOW_STEPS).
worker_class = "gthread"
threads = 16

# The tables are brought up to date once, and a process that died is replaced at once, without loading anything.
preload_app = True

# Behind nginx: keep its connections for longer than it does (60 seconds), so that it never sends into a closed one.
keepalive = 75

# What is under way may finish: an answer of a Bitbucket Server takes ten seconds at most, a connection test a few.
graceful_timeout = 60
timeout = 60

# Each of a request line's and a header's parts is short here; bodies are limited by nginx and by the application.
limit_request_line = 4094
limit_request_fields = 60

# The heartbeats of the processes are files; on a disk they could block.
worker_tmp_dir = "/dev/shm"  # noqa: S108  # gunicorn makes it unguessable and private

# No access log: the address of a login that comes back holds its verifier. nginx writes one without the query.
accesslog = None
errorlog = "-"

# systemd ends it, starts it again and shows what it does; nobody needs another way in.
control_socket_disable = True


def post_fork(_server: Any, worker: Any) -> None:
    """A process has database connections of its own, never its parent's."""
    worker.app.wsgi().extensions["engine"].dispose(close=False)
