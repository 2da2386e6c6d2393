"""The requests of Bitbucket's REST that make an application link: their paths and their JSON.

See docs/facts.md, 6.1 and 6.2. :mod:`.application_link` sends them, and :mod:`.scripts` writes them into a script.
"""

from __future__ import annotations

from typing import Any

from ..crypto import PublicKey

LINKS = "/rest/applinks/3.0/applicationlink"
"""GET lists the links, PUT makes one, and DELETE below it removes one."""

CONSUMER = "/rest/applinks-oauth/1.0/applicationlink/{link_id}/authentication/consumer"
"""PUT makes or updates the consumer of a link, which is its Incoming Authentication."""


def link_fields(application_url: str, name: str) -> dict[str, Any]:
    """Return the JSON of a new link to *application_url*, of the type Generic Application."""
    return {
        "id": None,
        "name": name,
        "rpcUrl": application_url,
        "displayUrl": application_url,
        "typeId": "generic",
    }


def consumer_fields(consumer_key: str, name: str, public_key: PublicKey) -> dict[str, Any]:
    """Return the JSON of a link's consumer. People see *name* when Bitbucket asks for their permission."""
    return {
        "key": consumer_key,
        "name": name,
        "description": "",
        "publicKey": public_key.pem,
        "sharedSecret": None,
        "outgoing": False,
        "twoLOAllowed": False,
        "executingTwoLOUser": None,
        "twoLOImpersonationAllowed": None,
    }
