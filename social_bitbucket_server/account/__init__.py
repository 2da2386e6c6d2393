"""People and their accounts: who a person is, whether they may log in, and calls with their access token.

The room knows no framework and stores nothing. social-core's pipeline makes the accounts of an application.
"""

# What is imported under its own name is for the other rooms; ``__all__`` is for applications.
from .carrying_over import CORES_BACKEND as CORES_BACKEND
from .carrying_over import ID_KEY as ID_KEY
from .carrying_over import Evidence as Evidence
from .carrying_over import Move, Outcome, Place, counts
from .carrying_over import carry_over_identities as carry_over_identities
from .membership import Membership as Membership
from .membership import findings as findings
from .membership import require_admission as require_admission
from .new_accounts import is_named_by_email as is_named_by_email
from .older_identities import FIELD_OF_NAME as FIELD_OF_NAME
from .older_identities import give_back_identities as give_back_identities
from .older_identities import older_uid as older_uid
from .older_identities import outcome_at_login as outcome_at_login
from .older_identities import waiting_identities as waiting_identities
from .older_identities import with_origin as with_origin
from .profile import Finding as Finding
from .profile import Profile
from .profile import fetch_profile as fetch_profile
from .recheck import Recheck, Standing
from .recheck import ask_whether_admitted as ask_whether_admitted
from .rest import RestClient
from .roles import ROLES_KEY as ROLES_KEY
from .roles import given_roles as given_roles
from .roles import keep_roles as keep_roles
from .roles import roles_of
from .tokens import EXTRA_DATA_KEY as EXTRA_DATA_KEY
from .tokens import IdentityToken as IdentityToken
from .tokens import StoredToken as StoredToken
from .tokens import erase as erase
from .tokens import reseal as reseal

__all__ = [
    "Move",
    "Outcome",
    "Place",
    "Profile",
    "Recheck",
    "RestClient",
    "Standing",
    "counts",
    "roles_of",
]
