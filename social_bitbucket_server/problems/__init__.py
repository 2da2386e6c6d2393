"""Everything that can go wrong: stable codes, what each means, what to do and who can do it, and the error for it.

How a page shows them is left to each framework.
"""

# What is imported under its own name is for the other rooms; ``__all__`` is for applications.
from .code import Code
from .error import BitbucketServerError, LoginError, ServerError, SettingError, TokenError
from .problem import Problem, Who
from .showing import http_status, problem_to_show, when_to_try_again
from .showing import may_come_back as may_come_back
from .showing import reference_of as reference_of
from .showing import setting_to_show as setting_to_show
from .table import PROBLEMS

__all__ = [
    "PROBLEMS",
    "BitbucketServerError",
    "Code",
    "LoginError",
    "Problem",
    "ServerError",
    "SettingError",
    "TokenError",
    "Who",
    "http_status",
    "problem_to_show",
    "when_to_try_again",
]
