"""All scenarios, and those that a user asks for by name."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

from gateway.bench.scenario import Scenario
from gateway.bench.scenarios import capacity, codec, growth, hops, pieces, replication, takeover, wire
from gateway.config import Config
from gateway.config.models import NodeName
from gateway.errors import GatewayError

MODULES = (codec, pieces, replication, hops, wire, capacity, growth, takeover)


def all_scenarios() -> tuple[Scenario, ...]:
    """Every scenario, in the order in which they are run."""
    return tuple(scenario for module in MODULES for scenario in module.SCENARIOS)


def chosen(patterns: Sequence[str], scenarios: Sequence[Scenario] | None = None) -> list[Scenario]:
    """Those that match one of the patterns (`wire.*`), or, without patterns, all that are not heavy.

    Raises GatewayError: a pattern matches nothing.
    """
    found = all_scenarios() if scenarios is None else scenarios
    if not patterns:
        return [scenario for scenario in found if not scenario.heavy]
    for pattern in patterns:
        if not any(_matches(scenario, pattern) for scenario in found):
            close = difflib.get_close_matches(pattern, [scenario.name for scenario in found], 3)
            hint = f"did you mean {', '.join(close)}?" if close else "`gateway bench --list` shows them"
            raise GatewayError(f"no scenario matches {pattern!r}; {hint}")
    return [scenario for scenario in found if any(_matches(scenario, pattern) for pattern in patterns)]


def own_scenarios(config: Config, node: NodeName) -> list[str]:
    """The names of those that are like a user's own pair: its reactor, and the mode of its sessions."""
    scheduling = "epoll" if config.node[node].reactor == "epoll" else "poll"
    modes = dict.fromkeys(session.mode for session in config.session if session.role == "initiator")
    return [f"wire.*.{mode}.{scheduling}" for mode in modes]


def _matches(scenario: Scenario, pattern: str) -> bool:
    """Whole names, globs, or the beginning of a name up to a dot."""
    return fnmatchcase(scenario.name, pattern) or scenario.name.startswith(pattern + ".")
