"""A storage for social-core on SQLAlchemy 2, with an application's own declarative base and session."""

from .models import AssociationMixin, CodeMixin, IdentityMixin, NonceMixin, PartialMixin
from .sqlite import set_up_sqlite
from .storage import SQLAlchemyStorage, make_storage

__all__ = [
    "AssociationMixin",
    "CodeMixin",
    "IdentityMixin",
    "NonceMixin",
    "PartialMixin",
    "SQLAlchemyStorage",
    "make_storage",
    "set_up_sqlite",
]
