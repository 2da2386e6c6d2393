"""One login on its way through social-core: what begins it, what is remembered, and how it ends.

Routes, sessions and pages are left to ``flask``, ``starlette``, ``django`` and ``any_framework``.
"""

# What is imported under its own name is for the other rooms; ``__all__`` is for applications.
from ..problems import reference_of as reference
from .backend import AnswerT as AnswerT
from .backend import LoginBackend as LoginBackend
from .backend import Trial
from .beginning import prepare_login as prepare_login
from .beginning import remember_login as remember_login
from .callback_address import CookieSettings as CookieSettings
from .callback_address import lost_sessions as lost_sessions
from .core_6 import BaseOAuth1 as BaseOAuth1
from .core_6 import BaseStrategy as BaseStrategy
from .core_6 import BitbucketDataCenterOAuth2 as BitbucketDataCenterOAuth2
from .core_6 import ResponseT_co as ResponseT_co
from .error_pages import ErrorPage, error_page
from .error_pages import is_declined_login as is_declined_login
from .host_check import HEADERS_OF_INVALID_HOST as HEADERS_OF_INVALID_HOST
from .host_check import INVALID_HOST as INVALID_HOST
from .host_check import HostCheck as HostCheck
from .host_check import is_host as is_host
from .logged_in_person import primary_key_of as primary_key_of
from .login_pages import HEADERS_OF_LOGIN_PAGE as HEADERS_OF_LOGIN_PAGE
from .login_pages import button_label as button_label
from .login_pages import form_with_button as form_with_button
from .login_pages import has_server as has_server
from .login_pages import login_page as login_page
from .older_identity import OlderIdentity as OlderIdentity
from .parameters import may_name_halted_login as may_name_halted_login
from .parameters import read_parameter as read_parameter
from .pending import LIFETIME, session_key, under_way
from .pending import LONGEST_NEXT as LONGEST_NEXT
from .pending import NONCE_SCOPE as NONCE_SCOPE
from .pending import PendingLogin as PendingLogin
from .pending import code_verifier as code_verifier
from .purpose import Purpose as Purpose
from .returning import Callback as Callback
from .returning import ReturnedLogin as ReturnedLogin
from .roles import mapping_of as mapping_of
from .social_errors import problems_at as problems_at
from .social_errors import tell_of as tell_of
from .stored_tokens import revoke_at_logout as revoke_at_logout

__all__ = ["LIFETIME", "ErrorPage", "Trial", "error_page", "reference", "session_key", "under_way"]
