"""Every problem, in one table."""

from __future__ import annotations

from . import of_login, of_oauth, of_reaching, of_settings
from .problem import Problem

PROBLEMS: dict[str, Problem] = {
    code: Problem(code, *row)
    for table in (of_settings, of_reaching, of_oauth, of_login)
    for code, row in table.PROBLEMS.items()
}
"""Every problem by its code."""
