"""The rules of an application with many organizations, each with integrations of its own, as functions over values.

Rows, locks and transactions are left to ``django`` and the application, pages to the web framework.
"""

# What is imported under its own name is for the other rooms; ``__all__`` is for applications.
from .key_pairs import KeyPairs, KeyState, may_be_about_the_key, oldest_login_began
from .sealing import SealedKeys

__all__ = ["KeyPairs", "KeyState", "SealedKeys", "may_be_about_the_key", "oldest_login_began"]
