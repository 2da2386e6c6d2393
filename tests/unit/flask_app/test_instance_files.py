"""Secrets in the instance folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flask_app.instance_files import InstanceFolder, UnsafeSettingError, make_private_file


@pytest.fixture
def folder(tmp_path: Path) -> InstanceFolder:
    return InstanceFolder(tmp_path / "instance")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_only_its_owner_can_open_the_folder(folder: InstanceFolder) -> None:
    assert mode(folder.path) == 0o700


def test_only_its_owner_can_read_a_secret(folder: InstanceFolder) -> None:
    folder.read_or_make("secret", lambda: "s")
    assert mode(folder.path / "secret") == 0o600


def test_a_secret_is_made_once(folder: InstanceFolder) -> None:
    folder.read_or_make("secret", lambda: "first")
    assert folder.read_or_make("secret", lambda: "second") == "first"


def test_what_was_never_made_is_nothing(folder: InstanceFolder) -> None:
    assert folder.read("secret") is None


def test_a_secret_that_others_can_read_is_refused_with_the_remedy(folder: InstanceFolder) -> None:
    folder.read_or_make("secret", lambda: "s")
    (folder.path / "secret").chmod(0o644)
    with pytest.raises(UnsafeSettingError, match="chmod 600"):
        folder.read("secret")


def test_a_file_that_is_there_is_not_emptied(tmp_path: Path) -> None:
    path = tmp_path / "file"
    make_private_file(path)
    path.write_text("kept")
    make_private_file(path)
    assert path.read_text() == "kept"
