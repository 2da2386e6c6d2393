"""The conversation with one server, by OAuth 1.0a and by OAuth 2: signatures, tokens, and what answers mean.

``account`` finds out who a person is, and ``login`` keeps what a login remembers.
"""

# What is imported under its own name is for the other rooms; ``__all__`` is for applications.
from .answers import DENIED as DENIED
from .answers import LONGEST_REFUSAL as LONGEST_REFUSAL
from .answers import oauth2_problem as oauth2_problem
from .answers import oauth_problem as oauth_problem
from .answers import read_document as read_document
from .answers import read_form as read_form
from .answers import read_json as read_json
from .answers import refuse_oauth_problem as refuse_oauth_problem
from .answers import wants_captcha as wants_captcha
from .base_strings import Cause as Cause
from .base_strings import Explanation as Explanation
from .base_strings import explain as explain
from .oauth1 import Client
from .oauth2 import OAuth2Client as OAuth2Client
from .oauth2 import PersonalClient as PersonalClient
from .person import AccessToken, Person
from .sending import JSON as JSON
from .sending import NO_CHECK as NO_CHECK
from .sending import Request as Request
from .server_clock import server_time as server_time
from .signing import authorization as authorization
from .signing import base_string as base_string

__all__ = [
    "AccessToken",
    "Client",
    "Person",
]
