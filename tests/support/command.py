"""The command line as a user has it: in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

TIMEOUT_S = 60


def gateway(*arguments: object) -> subprocess.CompletedProcess[str]:
    """`gateway ARGUMENTS`, and what it printed on a terminal of the usual width."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", *map(str, arguments)],
        env={**os.environ, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
