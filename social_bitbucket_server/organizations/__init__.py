"""The rules of an application with many organizations, each with integrations of its own, as functions over values.

Rows, locks and transactions are left to ``django`` and the application, pages to the web framework.
"""

# What is imported under its own name is for the other rooms; ``__all__`` is for applications.
from .assembling import Assembler, Unopened
from .key_pairs import KeyPairs, KeyState, may_be_about_the_key, oldest_login_began
from .outbound import EVERYBODY as EVERYBODY
from .outbound import Outbound, WayOut
from .outbound_settings import Ids, read_hosts, read_private_networks, read_proxies
from .outbound_settings import read_test_addresses as read_test_addresses
from .sealing import SealedKeys

__all__ = [
    "Assembler",
    "Ids",
    "KeyPairs",
    "KeyState",
    "Outbound",
    "SealedKeys",
    "Unopened",
    "WayOut",
    "may_be_about_the_key",
    "oldest_login_began",
    "read_hosts",
    "read_private_networks",
    "read_proxies",
]
