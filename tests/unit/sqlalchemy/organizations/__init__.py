"""Storage of organizations' integrations on SQLAlchemy."""
