"""Rules of applications with many organizations, each with integrations of its own.

They are functions over values, and serve every framework and every storage. The room reads no row, takes no lock, makes
no page and sends nothing: that is left to the storage, the pages and the library's other rooms.
"""

# What is imported under its own name is for the other rooms; ``__all__`` is for applications.
from .events import EventCode, EventKind

__all__ = [
    "EventCode",
    "EventKind",
]
