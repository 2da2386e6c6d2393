"""Check that this Python can make the project's environments. Python 3.6 must understand this file, too."""

import importlib.util
import sys

OLDEST = (3, 11)


def problem() -> str:
    """Return one sentence on why this Python is unsuitable, or an empty string."""
    here, oldest = (".".join(str(number) for number in version[:2]) for version in (sys.version_info, OLDEST))
    if sys.version_info < OLDEST:
        return (
            f"Python {oldest} or later is needed, and this is Python {here}; "
            "choose another one with PYTHON, for example: make demo PYTHON=python3.12"
        )
    # Debian leaves out ensurepip, without which venv cannot install pip.
    if not all(importlib.util.find_spec(module) for module in ("venv", "ensurepip")):
        return f"Python {here} lacks the module venv; on Debian and Ubuntu, install it with: apt install python3-venv"
    return ""


if __name__ == "__main__":
    sys.exit(problem() or 0)
