"""Make a virtual environment for the project, unless it is there: ``environment.py FOLDER EXTRA-OR-LOCK-FILE``.

It has what an extra needs, in the newest versions, or the versions in a lock file.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
STAMP = ".installed"
"""The file in a complete environment that says what it was made from."""


def origin(folder: Path, source: str) -> str:
    """Return all that the environment in *folder* depends on: its place, the Python, the source, and its packages."""
    files = [PROJECT / "pyproject.toml", *([PROJECT / source] if is_lock_file(source) else [])]
    dependencies = (hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
    return "\n".join([str(folder), sys.base_prefix, sys.version, source, *dependencies])


def is_lock_file(source: str) -> bool:
    """Return whether *source* is a lock file and not an extra."""
    return source.endswith(".lock")


def is_complete(folder: Path, source: str) -> bool:
    """Return whether the environment was installed to the end, and nothing that it depends on has changed since."""
    stamp = folder / STAMP
    return stamp.is_file() and stamp.read_text() == origin(folder, source)


def make(folder: Path, source: str) -> None:
    """Make the environment from scratch. Raises CalledProcessError after showing what the failed program said."""
    _say(f"Step 1 of 3: making a virtual environment in {folder.name} with Python {sys.version.split()[0]}")
    if folder.is_symlink():
        folder.unlink()  # another tree's environment would be emptied
    _run(sys.executable, "-m", "venv", "--clear", str(folder))
    _say(f"Step 2 of 3: downloading what {source} {'lists' if is_lock_file(source) else 'needs'}")
    # Compiling every module takes as long as the downloads. Python compiles those that are imported.
    options = ["--no-compile", "--no-input", "--progress-bar=off", "--disable-pip-version-check"]
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", *options]
    if is_lock_file(source):
        _run(*pip, "--require-hashes", "--requirement", str(PROJECT / source))
        # The lock file has what builds the package, too.
        _run(*pip, "--quiet", "--no-deps", "--no-build-isolation", "--editable", str(PROJECT))
    else:
        _run(*pip, "--editable", f"{PROJECT}[{source}]")
    # Written last, so that an interrupted installation starts again.
    (folder / STAMP).write_text(origin(folder, source))


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


def main(name: str, source: str) -> str:
    """Make the environment in the project's folder *name* if it is not there. Returns why it failed, or nothing."""
    folder = PROJECT / name
    try:
        if not is_complete(folder, source):
            make(folder, source)
    except subprocess.CalledProcessError:
        return f"{name} could not be made, for the reason above; run the same command again to start over."
    except KeyboardInterrupt:
        return f"{name} is incomplete; run the same command again to start over."
    return ""


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) or 0)
