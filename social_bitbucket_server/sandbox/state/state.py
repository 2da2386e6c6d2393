"""Everything that one sandbox knows."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from .bounded import BoundedDict
from .external_applications import ExternalApplications
from .faults import Faults
from .grants import Grants
from .links import Links
from .oauth1_tokens import Tokens
from .projects import SANDBOX_GROUPS, SANDBOX_PROJECTS, Projects
from .records import Records
from .users import FailedLogins, Users
from .versions import version_numbers


class Clock:
    """Tells the age of tokens.

    Moving it ahead makes tokens older. It leaves alone the wall clock that timestamps are compared with: a client
    cannot be moved along with it. For a wall clock that is wrong there is ``Faults.clock_skew``.
    """

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        """Return seconds since the epoch, plus everything advanced."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass at once."""
        self._ahead += seconds


@dataclass(slots=True)
class State:
    """*base_url* is the configured base URL with the context path, *own_version* the version number as started,
    *names* other host names by which it is reached.

    *http_access_tokens*: the ids of the people who made these tokens for their own programs.
    *basic_authentication*: whether the administrator switched it on or off; ``None`` leaves it as the version comes.
    *closing* is set when the server stops, so that slow answers end at once.
    """

    base_url: str
    context: str
    own_version: str
    users: Users
    names: frozenset[str] = frozenset()
    links: Links = field(default_factory=Links)
    tokens: Tokens = field(default_factory=Tokens)
    applications: ExternalApplications = field(default_factory=ExternalApplications)
    grants: Grants = field(default_factory=Grants)
    projects: Projects = field(default_factory=lambda: Projects(SANDBOX_GROUPS, SANDBOX_PROJECTS))
    clock: Clock = field(default_factory=Clock)
    faults: Faults = field(default_factory=Faults)
    failed_logins: FailedLogins = field(default_factory=FailedLogins)
    http_access_tokens: BoundedDict[str, int] = field(default_factory=BoundedDict)
    basic_authentication: bool | None = None
    requests: Records = field(default_factory=Records)
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def version(self) -> str:
        """The version number that the server gives."""
        return self.faults.version or self.own_version

    @property
    def new_dialog(self) -> bool:
        """Return whether links are created in the dialog that came with 7.20."""
        return version_numbers(self.version)[:2] >= (7, 20)

    @property
    def has_three_types(self) -> bool:
        """Return whether that dialog has three types of application, as it has since 10.1."""
        return version_numbers(self.version)[:2] >= (10, 1)

    @property
    def takes_basic(self) -> bool:
        """Return whether programs log in by password. In 10.0 and later an administrator must switch that on."""
        if self.basic_authentication is not None:
            return self.basic_authentication
        return version_numbers(self.version) < (10, 0, 0)

    @property
    def whoami_takes_bearer_tokens(self) -> bool:
        """Return whether a bearer token counts outside of ``/rest``. It does up to 8.9.21, 8.19.11 and 9.3.1."""
        number = version_numbers(self.version)
        is_mended = (8, 9, 22) <= number < (8, 10, 0) or (8, 19, 12) <= number < (9, 0, 0)
        return number < (9, 3, 2) and not is_mended

    def wall_time(self) -> float:
        """Return seconds since the epoch by the server's own clock, which may be wrong."""
        return time.time() + self.faults.clock_skew
