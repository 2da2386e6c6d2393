"""Tools that connect a server: the worksheet and the link script for a Bitbucket admin, and the check-up.

They make no keys and store nothing.
"""

# What is imported under its own name is for the other rooms; ``__all__`` is for applications.
from .application_link import ApplicationLinks as ApplicationLinks
from .application_link import basic as basic
from .application_link import bearer as bearer
from .checkup import Outcome, Result, Stage, check_up, first_failure, look_at_server
from .scripts import link_script
from .worksheets import (
    Action,
    Dialog,
    Entry,
    Step,
    advice_for,
    dialog_of,
    is_oauth2_better,
    oauth2_advice_for,
    oauth2_worksheet,
    render_text,
    worksheet,
)

__all__ = [
    "Action",
    "Dialog",
    "Entry",
    "Outcome",
    "Result",
    "Stage",
    "Step",
    "advice_for",
    "check_up",
    "dialog_of",
    "first_failure",
    "is_oauth2_better",
    "link_script",
    "look_at_server",
    "oauth2_advice_for",
    "oauth2_worksheet",
    "render_text",
    "worksheet",
]
