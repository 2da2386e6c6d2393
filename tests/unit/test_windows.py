"""Windows has neither forks nor Unix's own modules; everything is imported without them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import social_bitbucket_server

pytestmark = pytest.mark.program

WITHOUT_UNIX = """
import os, signal, socket, sys

for module in ("fcntl", "grp", "pwd", "pty", "resource", "syslog", "termios", "tty"):
    sys.modules[module] = None
for place, names in (
    (os, "register_at_fork fork getuid geteuid getloadavg O_NOFOLLOW O_CLOEXEC O_NONBLOCK killpg setsid fchmod chown"),
    (signal, "SIGALRM SIGHUP SIGKILL SIGUSR1 SIGUSR2 setitimer pthread_sigmask"),
    (socket, "AF_UNIX TCP_INFO SO_REUSEPORT MSG_DONTWAIT socketpair"),
):
    for name in names.split():
        if hasattr(place, name):
            delattr(place, name)
"""
COMMANDS = (
    WITHOUT_UNIX
    + """
import importlib, pkgutil
import social_bitbucket_server
from social_bitbucket_server.__main__ import main

def is_ours(name):
    return not name.startswith("social_bitbucket_server.django")  # it wants settings

def refuse(name):
    assert not is_ours(name), name

for module in pkgutil.walk_packages(social_bitbucket_server.__path__, "social_bitbucket_server.", refuse):
    if is_ours(module.name):
        importlib.import_module(module.name)
assert main(["keygen", "--out", "key.pem", "--bits", "2048"]) == 0
assert main(["public", "key.pem"]) == 0
assert main(["explain", "timeout"]) == 0
worksheet = ["worksheet", "--url", "https://b.example", "--application-url", "https://a.example/"]
assert main([*worksheet, "--private-key-file", "key.pem"]) == 0
check = ["check", "--url", "http://127.0.0.1:9", "--consumer-key", "acme", "--private-key-file", "key.pem"]
assert main(check) == 13
"""
)


def test_every_module_and_command_works_without_what_unix_alone_has(tmp_path):
    root = str(Path(social_bitbucket_server.__file__).parents[1])
    finished = subprocess.run(
        [sys.executable, "-c", COMMANDS],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
