"""Runs the migrations on the connection that ``demo_app.database.upgrade`` opened and commits."""

from __future__ import annotations

from alembic import context

import demo_app.models  # noqa: F401 - defines the tables
from demo_app.database import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
