"""Logins in Starlette and FastAPI: routes, the button, error pages, and the user who is logged in."""

from .extension import BitbucketServer

__all__ = ["BitbucketServer"]
