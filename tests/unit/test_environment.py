"""The virtual environments that ``make`` uses: when they are made again, and what is said meanwhile."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

CI = Path(__file__).parents[2] / ".ci"


def load(name: str) -> ModuleType:
    """Return the module *name* of a folder that is no package."""
    spec = importlib.util.spec_from_file_location(name, CI / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


environment, suitable_python = load("environment"), load("suitable_python")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pyproject.toml").write_text("[project]")
    monkeypatch.setattr(environment, "PROJECT", tmp_path)
    return tmp_path


@pytest.fixture
def commands(project: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The commands that would have run."""
    commands: list[tuple[str, ...]] = []

    def run(*command: str) -> None:
        (project / ".venv").mkdir(exist_ok=True)
        commands.append(command)

    monkeypatch.setattr(environment, "_run", run)
    return commands


def test_an_environment_is_made_once(commands: list[tuple[str, ...]]) -> None:
    assert environment.main(".venv", "demo") == ""
    assert [command[2] for command in commands] == ["venv", "pip"]
    assert environment.main(".venv", "demo") == ""
    assert len(commands) == 2


def test_the_environment_of_another_tree_is_left_alone(project: Path, commands: list[tuple[str, ...]]) -> None:
    others = project / "others"
    others.mkdir()
    (project / ".venv").symlink_to(others)
    environment.main(".venv", "demo")
    assert commands
    assert not (project / ".venv").is_symlink()
    assert not list(others.iterdir())


def test_each_step_is_announced(commands: list[tuple[str, ...]], capsys: pytest.CaptureFixture[str]) -> None:
    environment.main(".venv", "demo")
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["Step 1 of 3", "Step 2 of 3"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), subprocess.CalledProcessError(1, "pip")])
def test_an_installation_that_was_not_finished_starts_again(
    commands: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def stop(*command: str) -> None:
        commands.append(command)
        if "pip" in command:
            raise error

    with monkeypatch.context() as patched:
        patched.setattr(environment, "_run", stop)
        assert environment.main(".venv", "demo").endswith("run the same command again to start over.")
    assert environment.main(".venv", "demo") == ""
    assert "--clear" in commands[2]


def test_changed_dependencies_make_it_again(project: Path, commands: list[tuple[str, ...]]) -> None:
    environment.main(".venv", "demo")
    (project / "pyproject.toml").write_text("[project]\ndependencies = []")
    environment.main(".venv", "demo")
    assert len(commands) == 4


def test_a_lock_file_is_installed_with_hashes_and_then_the_project_alone(
    project: Path, commands: list[tuple[str, ...]]
) -> None:
    (project / "dev.lock").write_text("flask==3.1.3 --hash=sha256:00")
    assert environment.main(".venv", "dev.lock") == ""
    _, packages, own = commands
    assert packages[-3:] == ("--require-hashes", "--requirement", str(project / "dev.lock"))
    assert own[-4:] == ("--no-deps", "--no-build-isolation", "--editable", str(project))


def test_a_changed_lock_file_makes_it_again(project: Path, commands: list[tuple[str, ...]]) -> None:
    for text in ("flask==3.1.2", "flask==3.1.3"):
        (project / "dev.lock").write_text(text)
        environment.main(".venv", "dev.lock")
    assert len(commands) == 6


@pytest.mark.parametrize("name", ["base_prefix", "version"])
def test_another_python_makes_it_again(
    commands: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    environment.main(".venv", "demo")
    monkeypatch.setattr(sys, name, "3.99.0 (another)")
    environment.main(".venv", "demo")
    assert len(commands) == 4


def test_a_moved_folder_makes_it_again(
    project: Path, commands: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.main(".venv", "demo")
    moved = project.rename(project.with_name("moved"))
    monkeypatch.setattr(environment, "PROJECT", moved)
    assert not environment.is_complete(moved / ".venv", "demo")


@pytest.mark.program
def test_a_failed_program_shows_what_it_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        environment._run(sys.executable, "-c", "import sys; sys.exit('No space left')")
    assert capsys.readouterr().err == "No space left\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Collecting flask>=3.1\n", ""),
        (
            "  Downloading flask-3.1.3-py3-none-any.whl (103 kB)\n",
            "  Downloading flask-3.1.3-py3-none-any.whl (103 kB)",
        ),
        ("  Downloading flask-3.1.3-py3-none-any.whl.metadata (3 kB)\n", ""),
        ("WARNING: Retrying (Retry(total=4)) after a broken connection\n", None),
        ("Installing collected packages: six, flask\n", "Step 3 of 3: installing 2 packages"),
    ],
)
def test_of_pips_output_downloads_retries_and_the_last_step_are_shown(line: str, said: str | None) -> None:
    assert environment.progress(line) == (line.strip() if said is None else said)


# Which Python


def test_this_python_is_suitable() -> None:
    assert suitable_python.problem() == ""


def test_an_old_python_gets_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 18, "final", 0))
    assert suitable_python.problem() == (
        "Python 3.11 or later is needed, and this is Python 3.9; "
        "choose another one with PYTHON, for example: make demo PYTHON=python3.12"
    )


@pytest.mark.parametrize("missing", ["venv", "ensurepip"])
def test_a_python_without_venv_gets_one_sentence(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else object())
    assert suitable_python.problem().endswith("install it with: apt install python3-venv")


def test_an_old_python_can_read_the_check() -> None:
    ast.parse(Path(suitable_python.__file__).read_text(), feature_version=(3, 6))


def test_the_oldest_python_is_that_of_the_package() -> None:
    required = f'requires-python = ">={".".join(map(str, suitable_python.OLDEST))}"'
    assert required in (environment.PROJECT / "pyproject.toml").read_text()
