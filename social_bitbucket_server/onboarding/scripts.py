"""The application link by a script: ``curl`` on the Bitbucket admin's own machine, where the password stays.

The script is ``link_script.sh``. It does what :mod:`~social_bitbucket_server.onboarding.application_link` does.
"""

from __future__ import annotations

import json
import shlex
from importlib import resources

from ..crypto import PublicKey
from ..integration import ServerURL
from ..oauth import JSON, NO_CHECK
from .application_link import CONSUMER, LINKS, consumer_fields, link_fields

_VALUES = "# Values: link_script() writes them in place of these lines.\n"
_END_OF_VALUES = "# End of the values.\n"


def link_script(
    *,
    server_url: ServerURL,
    application_url: str,
    application_name: str,
    consumer_key: str,
    public_key: PublicKey,
    consumer_name: str = "",
) -> str:
    """Return a script for POSIX's ``sh`` by which a Bitbucket admin makes the application link; it holds no secret.

    The arguments are those of :func:`~social_bitbucket_server.onboarding.worksheet`. Names may be any text: it is a
    value in the script, and never a part of a command. Running it twice makes one link.
    """
    before_link_id, after_link_id = CONSUMER.split("{link_id}")
    ((header, value),) = NO_CHECK.items()
    values = {
        "base_url": str(server_url),
        "application_url": _characters(application_url),
        "consumer_key": _characters(consumer_key),
        "link_fields": json.dumps(link_fields(application_url, application_name)),
        "consumer_fields": json.dumps(consumer_fields(consumer_key, consumer_name or application_name, public_key)),
        "links_path": LINKS,
        "before_link_id": before_link_id,
        "after_link_id": after_link_id,
        "media_type": JSON,
        "no_check": f"{header}: {value}",
    }
    assignments = "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
    script = resources.files(__package__).joinpath("link_script.sh").read_text("ascii")
    before, _, rest = script.partition(_VALUES)
    return before + assignments + rest.partition(_END_OF_VALUES)[2]


def _characters(text: str) -> str:
    """Return *text* as Bitbucket's JSON has it, which is safe to show at a terminal, too."""
    return json.dumps(text)[1:-1]
