"""What is fed: one class for each thing that takes bytes from outside. `run` raises when something does not hold.

An input is what `run` makes of it, and always the same: a target keeps nothing from one input to the next. The seeds
of a target, and the files in `corpus/NAME`, are what the mutations start from.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol

from tests.fuzz.targets.client import ClientTarget
from tests.fuzz.targets.config import ConfigTarget, DictionaryTarget
from tests.fuzz.targets.datagrams import DatagramTarget
from tests.fuzz.targets.door import DoorTarget
from tests.fuzz.targets.journal import JournalTarget
from tests.fuzz.targets.node import NodeTarget
from tests.fuzz.targets.parser import ParserTarget
from tests.fuzz.targets.proxy import ProxyTarget
from tests.fuzz.targets.receiver import ReceiverTarget
from tests.fuzz.targets.session import SessionTarget

CORPUS = Path(__file__).parents[1] / "corpus"


class Target(Protocol):
    """One thing that takes bytes from outside."""

    tokens: Sequence[bytes]

    def seeds(self) -> list[bytes]:
        """Inputs that mean something."""

    def run(self, data: bytes) -> None:
        """Feeds it. Anything raised is a finding."""


TARGETS: dict[str, type[Target]] = {
    "parser": ParserTarget,
    "session": SessionTarget,
    "datagrams": DatagramTarget,
    "door": DoorTarget,
    "journal": JournalTarget,
    "node": NodeTarget,
    "client": ClientTarget,
    "receiver": ReceiverTarget,
    "proxy": ProxyTarget,
    "config": ConfigTarget,
    "dictionary": DictionaryTarget,
}


def target_named(name: str) -> Target:
    """One of TARGETS, or the class that "module:Class" names. Raises ValueError."""
    if name in TARGETS:
        return TARGETS[name]()
    module, _, kind = name.partition(":")
    if not kind:
        raise ValueError(f"no target {name!r}: there are {', '.join(TARGETS)}, or module:Class")
    made: Target = getattr(import_module(module), kind)()
    return made


def corpus_of(name: str, target: Target) -> list[bytes]:
    """Seeds, and what earlier runs found worth keeping."""
    return target.seeds() + [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]
