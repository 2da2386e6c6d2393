"""The settings on the pages about applications that others wrote."""

import re
from pathlib import Path

import pytest
from social_core.pipeline import DEFAULT_AUTH_PIPELINE

from social_bitbucket_server.integration import (
    UnsafeConfigurationError,
    refuse_unsafe_settings,
    refuse_unusable_settings,
)

DOCS = Path(__file__).parents[3] / "docs"
BY_EMAIL = "social_core.pipeline.social_auth.associate_by_email"


@pytest.fixture
def pasted(tmp_path, private_key):
    """Runs the first Python block of a page, in a file that has these settings already."""
    key = tmp_path / "bitbucket.pem"
    key.write_text(private_key.pem())

    def paste(page, settings, old="", new=""):
        block = re.search(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)[1]
        block = re.sub(r'"/\S*/bitbucket\.pem"', repr(str(key)), re.sub(r"(?m)^   ", "", block))
        exec(block.replace(old, new) if old else block, settings)
        return settings

    return paste


def test_netbox_gets_all_steps_of_cores_pipeline_and_its_own(pasted):
    settings = pasted("netbox.md", {})
    steps = settings["SOCIAL_AUTH_BITBUCKET_SERVER_PIPELINE"]
    assert [step for step in steps if step.startswith("social_core.")] == list(DEFAULT_AUTH_PIPELINE)
    assert "netbox.authentication.user_default_groups_handler" in steps


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("_SERVER_KEY =", "_SERVER_KEYS =", "Rename SOCIAL_AUTH_BITBUCKET_SERVER_KEYS to"),
        ("bitbucket.pem", "missing.pem", "Correct SOCIAL_AUTH_BITBUCKET_SERVER_PRIVATE_KEY_FILE"),
        ("pipeline.user.get_username", "pipeline.social_auth.associate_by_email", "Take associate_by_email out of"),
    ],
)
def test_netbox_does_not_start_with_faults_in_them(pasted, old, new, says):
    with pytest.raises(UnsafeConfigurationError, match=says):
        pasted("netbox.md", {}, old, new)


def test_weblate_gets_its_own_pipeline_without_the_association_by_email(pasted):
    own = {
        "INSTALLED_APPS": [],
        "AUTHENTICATION_BACKENDS": ("weblate.accounts.auth.WeblateUserBackend",),
        "SITE_URL": "https://weblate.example.com",
        "SOCIAL_AUTH_PIPELINE": (*DEFAULT_AUTH_PIPELINE, BY_EMAIL),
    }
    settings = pasted("weblate.md", own)
    refuse_unsafe_settings(settings)
    refuse_unusable_settings(settings, settings["AUTHENTICATION_BACKENDS"][:1])
    assert settings["SOCIAL_AUTH_BITBUCKET_SERVER_PIPELINE"] == list(DEFAULT_AUTH_PIPELINE)
