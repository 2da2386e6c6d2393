"""The class of problems, and the remedies that several of them share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from social_core.exceptions import SocialAuthBaseException

    from .code import Code


START_AGAIN = "Go back to the login page and begin again."
ASK_SERVER = "Open the base URL in a browser from this machine's network and check that Bitbucket answers there."


class Who(StrEnum):
    """People who can remove a problem."""

    PERSON = "you"
    ORGANIZATION_ADMIN = "your organization's admin"
    BITBUCKET_ADMIN = "your Bitbucket admin"
    OPERATOR = "the operator of this application"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that can go wrong.

    *code* is stable and may be relied upon; *title*, *meaning* and *remedy* are sentences for people; *who* can
    carry out the remedy. *family* and *social_code* say how social-core's applications see it.
    """

    code: Code
    title: str
    meaning: str
    remedy: str
    who: Who
    family: type[SocialAuthBaseException]
    social_code: str

    @property
    def documentation(self) -> str:
        """Path and anchor of the problem's explanation in this project's documentation."""
        return f"docs/problems.md#{self.code}"
