"""The tests that docs/testing.md shows run as they stand, beside the application of the README."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


def code(page, heading):
    """Return the first Python block of *page* after *heading*."""
    text = (REPOSITORY / page).read_text().partition(heading)[2]
    return re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]


@pytest.mark.program
def test_the_flask_test_passes_and_leaves_the_developers_database_alone(tmp_path):
    (tmp_path / "app.py").write_text(code("README.md", "## Add it to a Flask application"))
    (tmp_path / "test_app.py").write_text(code("docs/testing.md", "\nWith Flask, save"))
    own = ("COV_", "PYTEST_", "SECRET_KEY", "BITBUCKET_URL", "DATABASE_URL")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:django"]
    ran = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert "1 passed" in ran.stdout, ran.stdout + ran.stderr
    assert not list(tmp_path.rglob("*.db"))
