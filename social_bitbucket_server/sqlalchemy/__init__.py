"""A storage for social-core on SQLAlchemy 2, with an application's own declarative base and session."""

from .storage import make_storage

__all__ = [
    "make_storage",
]
