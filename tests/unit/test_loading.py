"""What importing the backends loads: Django and social-core import them in every process."""

import subprocess
import sys

import pytest


@pytest.mark.program
def test_a_process_that_logs_nobody_in_loads_neither_cryptography_nor_the_transport():
    program = (
        "import sys, social_bitbucket_server.backends; "
        "print(*{'cryptography', 'social_bitbucket_server.transport.transport'} & set(sys.modules))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []
