"""Instructions that one operation of the native cores takes, counted by callgrind and compared with a committed table.

Run: python -m bench.instructions            compares; exit status 1 when a count is off
     python -m bench.instructions --write    writes instructions.toml anew, after a deliberate change

Unlike times, counts do not depend on what else the machine does. One run of valgrind calls each measuring function of
the native modules with two numbers of operations; the difference, divided, is free of what happens once. Nothing else
is counted. The counts go with the compiler and with what the processor can (valgrind shows programs an AVX2 processor):
under others than those of the table there is nothing to compare.
"""

from __future__ import annotations

import gc
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.bench.messages import (
    BEGIN_STRING,
    CL_ORD_ID,
    EXECUTION,
    ORDER,
    SENDER,
    TARGET,
    WALL_NS,
    varied_executions,
    varied_orders,
)
from gateway.native import encoder, journal, parser, timing
from gateway.native.crc32c import has_hardware
from gateway.native.encoder import Template
from gateway.native.journal import Journal
from gateway.native.parser import MAX_WIDE, measure_parse
from gateway.native.session import Session
from gateway.native.timing import COMPILER, measure_receive, measure_send

TABLE = Path(__file__).with_name("instructions.toml")
TOLERANCE = 0.02  # of a count: what another layout of the same code may make
MESSAGES = 50  # that differ, in a stream
PAYLOAD_BYTES = 180  # of a record
BATCH = 10
MEASURING = (encoder, journal, parser, timing)  # modules with functions that are counted, and nothing outside of them
SYMBOL = re.compile(rb"__pyx_pw_\w*measure_\w+")  # as Cython calls them
SYMBOLS = "__pyx_pw_7gateway_6native_*measure_*"
WORKER = "--count"

Measure = Callable[[int], object]


class Incomparable(Exception):
    """Counts cannot be made here, or not compared with the table; says why."""


@dataclass(frozen=True, slots=True)
class Case:
    """One operation: `prepare` gives a function that measures a number of rounds, of `operations` each."""

    name: str
    prepare: Callable[[], Measure]
    operations: int
    rounds: tuple[int, int]


def _template(sender: str, target: str) -> Template:
    return Template(BEGIN_STRING.encode(), f"49={sender}\x0156={target}\x01".encode())


def _stream(template: Template, msg_type: bytes, bodies: list[bytes]) -> bytes:
    return b"".join(template.encode(msg_type, 100_000 + n, WALL_NS, body) for n, body in enumerate(bodies))


def _parse_executions() -> Measure:
    stream = _stream(_template(TARGET, SENDER), b"8", varied_executions(MESSAGES))
    return lambda rounds: measure_parse(stream, rounds)


def _parse_orders() -> Measure:
    stream = _stream(_template(SENDER, TARGET), b"D", varied_orders(MESSAGES))
    return lambda rounds: measure_parse(stream, rounds)


def _encode_orders() -> Measure:
    template, bodies = _template(SENDER, TARGET), varied_orders(MESSAGES)
    return lambda rounds: template.measure_encode(b"D", bodies, rounds)


def _journal() -> Journal:
    return Journal.memory(segment_bytes=1 << 22, max_records=1 << 12, max_sessions=1, max_seq=1 << 12)


def _append() -> Measure:
    log = _journal()
    return lambda rounds: log.measure_append(rounds, PAYLOAD_BYTES, BATCH)


def _logged_on() -> tuple[Session, Session]:
    """An initiator and an acceptor that are ready."""
    sessions = [
        Session(_journal(), role=role, begin_string=BEGIN_STRING, sender_comp_id=sender, target_comp_id=target)
        for role, sender, target in (("initiator", SENDER, TARGET), ("acceptor", TARGET, SENDER))
    ]
    for session in sessions:
        session.connected(1, WALL_NS)
    while any(session.status != "READY" for session in sessions):
        for here, there in (sessions, sessions[::-1]):
            there.receive(here.output(), 1, WALL_NS)
    return sessions[0], sessions[1]


def _orders_out() -> Measure:
    initiator, _ = _logged_on()
    return lambda rounds: measure_send(initiator, ORDER, len(CL_ORD_ID), rounds)


def _executions_in() -> Measure:
    initiator, acceptor = _logged_on()

    def receive(rounds: int) -> None:
        for _ in range(rounds * MESSAGES):
            acceptor.send("8", EXECUTION, 1, WALL_NS)
        stream = acceptor.output()
        measure_receive(initiator, stream, 4 * len(stream) // (rounds * MESSAGES))
        initiator.take_events()

    return receive


CASES = (
    Case("parse an execution", _parse_executions, MESSAGES, (1, 3)),
    Case("parse an order", _parse_orders, MESSAGES, (1, 3)),
    Case("encode an order", _encode_orders, MESSAGES, (1, 3)),
    Case("append a record", _append, BATCH, (10, 30)),
    Case("session, order out", _orders_out, 1, (100, 300)),
    Case("session, execution in", _executions_in, MESSAGES, (2, 6)),
)


def surroundings() -> dict[str, str]:
    """What counts depend on beside the code, as it shows under valgrind."""
    return {
        "machine": platform.machine(),
        "compiler": COMPILER,
        "fields_at_once": str(MAX_WIDE),
        "crc32c": "instruction" if has_hardware() else "table",
    }


def run_cases() -> None:
    """What valgrind watches: tells the surroundings, then calls each measuring function twice."""
    print(repr(surroundings()))
    gc.disable()
    for case in CASES:
        measure = case.prepare()
        for rounds in case.rounds:
            measure(rounds)


def count() -> tuple[dict[str, str], dict[str, int]]:
    """The surroundings, and the instructions of each operation. Raises Incomparable, RuntimeError."""
    if not shutil.which("valgrind"):
        raise Incomparable("valgrind is not installed (apt-get install valgrind)")
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "counts"
        done = subprocess.run(
            [
                *("valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--combine-dumps=no"),
                f"--toggle-collect={SYMBOLS}",
                *(f"--dump-after={symbol}" for symbol in _symbols()),  # takes no pattern
                *(sys.executable, "-m", __name__ if __name__ != "__main__" else "bench.instructions", WORKER),
            ],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"},
            cwd=Path(__file__).parents[1],
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"valgrind ended with {done.returncode}:\n{done.stderr[-4000:]}")
        totals = [_total(out.with_name(f"{out.name}.{n}")) for n in range(1, 2 * len(CASES) + 1)]
    found = dict(re.findall(r"'(\w+)': '([^']*)'", done.stdout))
    return found, {case.name: _each(case, *totals[2 * n : 2 * n + 2]) for n, case in enumerate(CASES)}


def _symbols() -> list[str]:
    """Of the measuring functions: callgrind writes its counts down when one is left."""
    files = [Path(str(module.__file__)).read_bytes() for module in MEASURING]
    symbols = sorted({name.decode() for file in files for name in SYMBOL.findall(file)})
    if not symbols:
        raise Incomparable("the native modules are stripped of their symbols")
    return symbols


def _total(dump: Path) -> int:
    found = re.search(r"^(?:summary|totals): (\d+)$", dump.read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{dump.name} of callgrind has no total")
    return int(found[1])


def _each(case: Case, few: int, many: int) -> int:
    return round((many - few) / ((case.rounds[1] - case.rounds[0]) * case.operations))


def read_table() -> tuple[dict[str, str], dict[str, int]]:
    """The surroundings and counts of the table."""
    table = tomllib.loads(TABLE.read_text())
    return table["surroundings"], table["instructions"]


def write_table(found: dict[str, str], counts: dict[str, int]) -> None:
    """Puts them in its place."""
    lines = ["# Written by: python -m bench.instructions --write", "", "[surroundings]"]
    lines += [f'{name} = "{value}"' for name, value in found.items()]
    lines += ["", "[instructions]"]
    lines += [f'"{name}" = {value}' for name, value in counts.items()]
    TABLE.write_text("\n".join(lines) + "\n")


def compare() -> list[str]:
    """Prints each count beside the table's; what is off. Raises Incomparable, RuntimeError."""
    wanted, table = read_table()
    found, counts = count()
    other = [
        f"{name}: {found.get(name)}, the table is of {value}"
        for name, value in wanted.items()
        if found.get(name) != value
    ]
    if other:
        raise Incomparable("; ".join(other))
    wrong = []
    for name, value in counts.items():
        before = table.get(name, 0)
        print(f"{name:24}{value:8,}{before:8,}")
        if abs(value - before) > TOLERANCE * before:
            wrong.append(f"{name}: {value:,} instructions, the table says {before:,}")
    return wrong


def main() -> int:
    """The command: 0 as the table says or nothing to compare, 1 not so."""
    if WORKER in sys.argv:
        run_cases()
        return 0
    try:
        if "--write" in sys.argv:
            write_table(*count())
            return 0
        wrong = compare()
    except Incomparable as reason:
        print(f"not compared: {reason}")
        return 0
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
