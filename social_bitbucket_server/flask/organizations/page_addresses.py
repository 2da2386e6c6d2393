"""Addresses of Bitbucket's pages, which people paste in the place of the base URL."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_PAGE = re.compile(
    r"/(?:projects|users|repos|dashboard|admin|login|logout|account|profile|scm|rest|plugins|plugin|mvc|status|about)"
    r"(?=/|\Z)"
)


def base_url_of_page(address: str) -> str | None:
    """Return the base URL of the Bitbucket page with this *address*; ``None`` if *address* is not known as a page's."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    page = _PAGE.search(parts.path)
    if page is None or not parts.netloc:
        return None
    return f"{parts.scheme}://{parts.netloc}{parts.path[: page.start()]}"
