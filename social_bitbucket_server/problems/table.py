"""Every problem, in one table."""

from __future__ import annotations

from . import of_login, of_oauth, of_reaching, of_settings
from .problem import Problem

PROBLEMS: dict[str, Problem] = {
    problem.code: problem for table in (of_settings, of_reaching, of_oauth, of_login) for problem in table.PROBLEMS
}
"""Every problem by its code."""
