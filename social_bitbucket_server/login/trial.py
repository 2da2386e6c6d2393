"""The result of a login that was only tried."""

from __future__ import annotations

from dataclasses import dataclass

from ..account import Finding, Profile


@dataclass(frozen=True, slots=True)
class Trial:
    """The *profile* of the Bitbucket account that came back, and the *findings* about it.

    There is a finding for each condition on who may log in, in their order. Without conditions there is none. *roles*
    are the names of those that a login would give; ``None`` if the integration gives no roles.
    """

    profile: Profile
    findings: tuple[Finding, ...] = ()
    roles: tuple[str, ...] | None = None
