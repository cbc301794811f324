"""The nodes of a pair that is measured: their processes, what they say of themselves, and their last words."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import urllib.request
from typing import Any

import orjson

from gateway.bench.pairconfig import PairPlaces
from gateway.bench.processes import LOOPBACK, program

ANSWER_TIMEOUT_S = 5.0
LOG_LINES = 5


def node_program(places: PairPlaces, node: str) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    """Runs node a or b; asked to stop at the end."""
    command = [sys.executable, "-m", "gateway", "node", "--config", str(places.config), "--node", node]
    return program(command, places.log(node))


def asked(port: int, what: str) -> dict[str, Any]:
    """What a node's control API says. Raises OSError."""
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/{what}", timeout=ANSWER_TIMEOUT_S) as answer:
        found: dict[str, Any] = orjson.loads(answer.read())
    return found


def last_words(places: PairPlaces) -> str:
    """The ends of the nodes' logs, as far as there are any."""
    lines = []
    for node in ("a", "b"):
        if places.log(node).exists():
            log = places.log(node).read_text(errors="replace").splitlines()
            lines += [f"{node}: {line}" for line in log[-LOG_LINES:]]
    return "\n".join(lines)
