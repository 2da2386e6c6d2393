"""Keys and secrets: RSA keys as people paste them, secrets that are never shown, and what is kept sealed.

Nothing here knows a server or a login. What is signed is decided in ``oauth``.
"""

# What is imported under its own name is for the other rooms; ``__all__`` is for applications.
from .pasted import LONGEST as LONGEST
from .pasted import as_text as as_text
from .pasted import path_to_show as path_to_show
from .pasted import state_of_file as state_of_file
from .ring import KeyRing
from .rsa import BITS as BITS
from .rsa import DEFAULT_BITS as DEFAULT_BITS
from .rsa import PrivateKey, PublicKey, new_consumer_key
from .rsa import refuse_forbidden_sha1 as refuse_forbidden_sha1
from .secret import Secret
from .secret import opaque as opaque
from .secret import plain as plain
from .secret import without_variables as without_variables

__all__ = [
    "KeyRing",
    "PrivateKey",
    "PublicKey",
    "Secret",
    "new_consumer_key",
]
