"""A run as a readable story: one line for each thing that happened, in virtual milliseconds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.native.node import NOTE_NAMES, SESSION_EVENT_NAMES
from gateway.native.role import Cause, RegisterOutcome, Release, State
from gateway.sim.schedule import Fault, Scenario

NS_PER_MS = 1e6
QUIET = frozenset({"register_request"})


def story_of(trace: Iterable[tuple[Any, ...]]) -> list[str]:
    """The lines of a traced run."""
    lines = []
    latest: dict[object, str] = {}  # what each node read from the register: said again only when it changed
    for at_ns, *entry in trace:
        text = entry[0] if isinstance(entry[0], str) else _note(*entry)
        if " reads the register: VALUE" in text:
            if latest.get(entry[0]) == text:
                continue
            latest[entry[0]] = text
        if text:
            lines.append(f"{at_ns / NS_PER_MS:12.3f} ms  {text}")
    return lines


def describe_fault(fault: Fault) -> str:
    """One fault in words."""
    return (
        f"{fault.at_ns / NS_PER_MS:.3f} ms: {fault.kind} target {fault.target} for "
        f"{fault.duration_ns / NS_PER_MS:.3f} ms, param {fault.param}" + (f", when {fault.when}" if fault.when else "")
    )


def describe_scenario(scenario: Scenario) -> list[str]:
    """Options and faults in words."""
    options = ", ".join(f"{name} {value}" for name, value in scenario.options.items())
    return [f"seed {scenario.seed}: {options}", *(f"  {describe_fault(fault)}" for fault in scenario.faults)]


def _note(node: int, code: int, session: int, a: int, b: int, c: int, text: bytes) -> str:
    name = NOTE_NAMES.get(code, str(code))
    who = f"node {'ab'[node]}"
    if name in QUIET:
        return ""
    if name == "role":
        return f"{who} is {State(a).name}, epoch {b}, release {Release(c >> 8).name}, cause {Cause(c & 255).name}"
    if name == "session":
        return f"{who} session {session}: {SESSION_EVENT_NAMES[a]} {b} {c} {text.decode('ascii', 'replace')}".rstrip()
    if name == "register":
        outcome = RegisterOutcome(a).name
        return f"{who} reads the register: {outcome}, version {b}, epoch {c >> 32}, in_sync {c & 255}"
    return f"{who} {name}: session {session}, {a}, {b}, {c}"
