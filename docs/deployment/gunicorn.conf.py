"""gunicorn for an application in Flask or Django: processes, threads, and the time that running requests get.

The variable WEB_CONCURRENCY is the number of processes. systemd's socket, or ``--bind``, says where gunicorn listens.
"""

from __future__ import annotations

from typing import Any

wsgi_app = "my_application:create_app()"  # in Django "mysite.wsgi:application"

# A login waits for a Bitbucket Server most of its time, and holds no connection to the database meanwhile.
# The slow logins of one organization hold a quarter of the threads (SLOW_STEPS).
worker_class = "gthread"
threads = 16

# The first process loads the application once. A process that died is replaced at once, without loading it again.
preload_app = True

# Behind nginx: keep its connections for longer than it does (60 seconds), so that it never sends into a closed one.
keepalive = 75

# Running requests may finish: an answer of a Bitbucket Server takes ten seconds at most, a check-up fifteen.
graceful_timeout = 60
timeout = 60

# Request lines and headers are short here. nginx and the application limit bodies.
limit_request_line = 4094
limit_request_fields = 60

# The heartbeats of the processes are files; on a disk they could block.
worker_tmp_dir = "/dev/shm"  # noqa: S108  # gunicorn makes it unguessable and private

# No access log: the address of a login that comes back holds its verifier. nginx writes one without the query.
accesslog = None
errorlog = "-"

# systemd starts and stops gunicorn, and shows its state. No control socket is needed.
control_socket_disable = True


def post_fork(_server: Any, worker: Any) -> None:
    """Give each process its own database connections. ``create_app`` keeps the engine in ``app.extensions``. Django
    opens connections for each process by itself, so leave this function out there."""
    worker.app.wsgi().extensions["engine"].dispose(close=False)
