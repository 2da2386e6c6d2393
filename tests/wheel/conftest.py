"""Empty environments outside the checkout, with the wheel and one extra each.

``make test-wheel`` builds the distributions and runs these tests. ``make test`` leaves them out, because they install
packages.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
DIST = PROJECT / "dist"
_UV = Path(sys.executable).with_name("uv")
_OURS = ("COV_", "DJANGO_SETTINGS_MODULE", "PYTEST_", "PYTHON", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Environment:
    """A virtual environment with the wheel in it."""

    folder: Path

    def program(self, name: str) -> str:
        """Return the path of the program *name* in this environment."""
        return str(self.folder / "bin" / name)

    def run(self, *command: str, cwd: Path) -> str:
        """Run a program of this environment in the folder *cwd*, and return what it prints. It must succeed."""
        program, *arguments = command
        finished = subprocess.run(
            [self.program(program), *arguments],
            cwd=cwd,
            env=strangers_environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout


def strangers_environment() -> dict[str, str]:
    """Return the variables of this process without those that concern its own Python and tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}


@pytest.fixture(scope="session")
def wheel() -> Path:
    wheels = sorted(DIST.glob("*.whl"))
    assert len(wheels) == 1, f"{DIST} has {len(wheels)} wheels. Run: make test-wheel"
    return wheels[0]


@pytest.fixture(scope="session")
def install(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Environment]:
    """Makes an environment with the wheel, the extra of this name if there is one, and *others*."""
    made: dict[tuple[str, ...], Environment] = {}

    def install(extra: str = "", *others: str) -> Environment:
        key = (extra, *others)
        if key not in made:
            folder = tmp_path_factory.mktemp(extra or "base") / "venv"
            source = f"{wheel}[{extra}]" if extra else str(wheel)
            for command in (
                ("venv", "--python", sys.executable, str(folder)),
                ("pip", "install", "--python", str(folder / "bin" / "python"), source, *others),
            ):
                subprocess.run([_UV, "--quiet", *command], cwd=folder.parent, env=strangers_environment(), check=True)
            made[key] = Environment(folder)
        return made[key]

    return install
