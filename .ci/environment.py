"""Make a virtual environment with one of the project's extras, unless it is there: ``environment.py FOLDER EXTRA``."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
STAMP = ".installed"
"""The file in a complete environment that says what it was made from."""


def origin(folder: Path, extra: str) -> str:
    """Return all that the environment in *folder* depends on: its place, the Python, the extra, and its packages."""
    dependencies = hashlib.sha256((PROJECT / "pyproject.toml").read_bytes()).hexdigest()
    return "\n".join([str(folder), sys.base_prefix, sys.version, extra, dependencies])


def is_complete(folder: Path, extra: str) -> bool:
    """Return whether the environment was installed to the end, and nothing that it depends on has changed since."""
    stamp = folder / STAMP
    return stamp.is_file() and stamp.read_text() == origin(folder, extra)


def make(folder: Path, extra: str) -> None:
    """Make the environment from scratch. Raises CalledProcessError after showing what the failed program said."""
    _say(f"Step 1 of 3: making a virtual environment in {folder.name} with Python {sys.version.split()[0]}")
    _run(sys.executable, "-m", "venv", "--clear", str(folder))
    _say(f"Step 2 of 3: downloading what {extra} needs")
    # Compiling every module takes as long as the downloads. Python compiles those that are imported.
    options = ["--no-compile", "--no-input", "--progress-bar=off", "--disable-pip-version-check"]
    _run(str(folder / "bin" / "python"), "-m", "pip", "install", *options, "--editable", f"{PROJECT}[{extra}]")
    # Written last, so that an interrupted installation starts again.
    (folder / STAMP).write_text(origin(folder, extra))


def progress(line: str) -> str:
    """Return what to say about this *line* of pip's output, or an empty string."""
    if line.startswith("Installing collected packages:"):
        return f"Step 3 of 3: installing {line.count(',') + 1} packages"
    is_download = line.lstrip().startswith("Downloading ") and ".metadata " not in line
    return line.rstrip() if is_download or line.startswith("WARNING: Retrying") else ""


def _run(*command: str) -> None:
    output: list[str] = []
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(  # noqa: S603  # there is no shell
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout or ():
            output.append(line)
            _say(progress(line))
    if process.returncode:
        sys.stderr.writelines(output)
        raise subprocess.CalledProcessError(process.returncode, command)


def _say(text: str) -> None:
    if text:
        print(text, flush=True)  # noqa: T201


def main(name: str, extra: str) -> str:
    """Make the environment in the project's folder *name* if it is not there. Returns why it failed, or nothing."""
    folder = PROJECT / name
    try:
        if not is_complete(folder, extra):
            make(folder, extra)
    except subprocess.CalledProcessError:
        return f"{name} could not be made, for the reason above; run the same command again to start over."
    except KeyboardInterrupt:
        return f"{name} is incomplete; run the same command again to start over."
    return ""


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) or 0)
