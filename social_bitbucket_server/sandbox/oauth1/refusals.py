"""The ways in which the server refuses a call."""

from __future__ import annotations

from .messages import Message


class OAuthProblemError(Exception):
    """A refusal with an ``oauth_problem``; *companions* are the parameters that go with it."""

    def __init__(self, problem: str, **companions: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.parameters = {"oauth_problem": problem, **companions}

    @property
    def status(self) -> int:
        """Status of the answer: 400 if the request is malformed, 401 if it is not admitted."""
        return 400 if self.problem in _MALFORMED else 401


_MALFORMED = {
    "version_rejected",
    "parameter_absent",
    "parameter_rejected",
    "timestamp_refused",
    "signature_method_rejected",
}


class ServerFailedError(Exception):
    """The server fails over something in the request or over the public key, instead of refusing."""


class AccountNotAdmittedError(Exception):
    """The token's user is disabled or gone, or the consumer may not act for itself."""


def require(message: Message, *names: str) -> None:
    """Raise ``parameter_absent`` for those of *names* that *message* lacks."""
    missing = message.missing(*names)
    if missing:
        raise absent(*missing)


def absent(*names: str) -> OAuthProblemError:
    """Return the refusal of a message without the parameters *names*."""
    return OAuthProblemError("parameter_absent", oauth_parameters_absent="&".join(names))
