"""The files in docs/deployment, as far as no server is needed to try them: tests/end_to_end runs them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

NGINX = (Path(__file__).parents[2] / "docs/deployment/nginx.conf").read_text()


@pytest.mark.parametrize(
    "address", ["/setup/{}", "/setup/{}/test", "/setup/bitbucket-server/{}/", "/setup/bitbucket-server/{}/test/"]
)
def test_the_log_of_nginx_has_no_token_of_a_set_up_link(address: str) -> None:
    pattern, shown = re.findall(r'"~(\^/setup/.+?)" "(.+?)\$\w+";', NGINX)[0]
    match = re.fullmatch(pattern.replace("(?<", "(?P<"), address.format("a-token-that-opens-it"))
    assert match
    assert "a-token" not in shown + match["my_application_rest"]
