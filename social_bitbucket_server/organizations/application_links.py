"""Names and addresses of application links in Bitbucket.

Bitbucket refuses a second link that has the name or the Application URL of another one. An organization may have
several integrations with one server, and an integration a second link while its key pair is replaced.
"""

from __future__ import annotations


def link_path(home: str, *, integration: int = 1, link: int = 1) -> str:
    """Return the path of an application link's Application URL.

    *home* is the path of the organization's own page; it ends with a slash. *integration* counts the integrations that
    the organization ever had, *link* the application links that this one ever had; both begin with 1. The first link
    of the first integration leads to *home*, all others to addresses below it.
    """
    if link > 1:
        return f"{home}i/{integration}/{link}/"
    return home if integration == 1 else f"{home}i/{integration}/"


def link_name(
    application: str, organization: str, *, integration: int = 1, link: int = 1, is_upgrade: bool = False
) -> str:
    """Return the name of an application link in Bitbucket.

    *application* and *organization* are names as people know them. The numbers are those of :func:`link_path`.
    *is_upgrade* is for the link for OAuth 2 that stands beside one for OAuth 1.
    """
    number = "" if integration == 1 else f" {integration}"
    further = "" if link == 1 else f", link {link}"
    return f"{application} ({organization}{number}{further}){' OAuth 2' if is_upgrade else ''}"
