"""Sessions that are kept elsewhere than in the database: what a login leaves in them is taken by each of them."""

import pytest
from django.test import override_settings

ENGINES = ["cache", "cached_db", "db", "file", "signed_cookies"]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_login_with_a_page_to_go_to_works_wherever_sessions_are_kept(
    visitor, acme, bitbucket_sandbox, tmp_path, engine
):
    with override_settings(
        SESSION_ENGINE=f"django.contrib.sessions.backends.{engine}",
        SESSION_FILE_PATH=str(tmp_path),
        SOCIAL_AUTH_FIELDS_STORED_IN_SESSION=["remember"],
    ):
        ended = visitor.log_in(acme, bitbucket_sandbox, next="/report/", remember="yes")
        assert (ended.status_code, ended["Location"]) == (303, "/report/")
        assert visitor.name == "jane"
