"""The application's key ring: configured, or made by the first run."""

from __future__ import annotations

from sqlalchemy import select

from social_bitbucket_server.crypto import KeyRing

from . import database
from .config import Settings
from .instance_files import UnsafeSettingError
from .models import models


def load(settings: Settings) -> str:
    """Return the text of the configured ring, or of the one that the first run made. Raises UnsafeSettingError if it
    was lost."""
    text = settings.key_ring or settings.instance.read("key_ring")
    if text is None:
        sealed = (
            select(models.key_pair.id),
            select(models.client_credentials.id),
            select(models.integration.id).where(models.integration.sealed_client_key != ""),
        )
        if any(database.session.scalar(rows.limit(1)) for rows in sealed):
            raise UnsafeSettingError(
                f"The key ring is missing, and with it the private keys in the database cannot be opened. "
                f"Put the file {settings.instance.path / 'key_ring'} back, or set KEY_RING."
            )
        text = settings.instance.read_or_make("key_ring", KeyRing.generate)
    return text
