"""A storage for social-core on SQLAlchemy."""
