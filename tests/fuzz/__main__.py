"""The command line: `python -m tests.fuzz TARGET --seconds N`, `... TARGET --input FILE`, `... --instrument`."""

from __future__ import annotations

import argparse
import faulthandler
import sys
import time
from pathlib import Path

from tests.fuzz.driver import INPUT_TIMEOUT_S, MEMORY_GROWTH_MIB, watch, work
from tests.fuzz.instrument import DIRECTORY, instrument, run_instrumented
from tests.fuzz.targets import TARGETS, target_named

FINDINGS = Path("fuzz-findings")


def main() -> int:
    """Exit status 0: nothing found; 1: a finding, which is printed and kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", help=f"what is fed: {', '.join(TARGETS)}, or all of them, one after the other")
    parser.add_argument("--seconds", type=float, default=60, help="of each target")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--input", type=Path, help="run this one input, as it was kept, in this process")
    parser.add_argument("--findings", type=Path, default=FINDINGS, help="where inputs that found something are kept")
    parser.add_argument("--input-timeout", type=float, default=INPUT_TIMEOUT_S, help="seconds for one input")
    parser.add_argument("--growth-mib", type=int, default=MEMORY_GROWTH_MIB, help="how much memory may grow")
    parser.add_argument(
        "--instrumented", action="store_true", help=f"in a build in {DIRECTORY} with sanitizers and counted coverage"
    )
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    faulthandler.enable()
    if arguments.instrumented:
        return run_instrumented(instrument(), [a for a in sys.argv[1:] if a != "--instrumented"])
    if arguments.worker is not None:
        return work(arguments.worker, arguments.target, arguments.seconds, arguments.seed)
    if arguments.input is not None:
        target_named(arguments.target).run(arguments.input.read_bytes())
        return 0
    names = list(TARGETS) if arguments.target == "all" else [arguments.target]
    return max(_run(name, arguments) for name in names)


def _run(name: str, arguments: argparse.Namespace) -> int:
    found = watch(
        name,
        arguments.seconds,
        arguments.seed,
        arguments.findings,
        input_timeout_s=arguments.input_timeout,
        growth_mib=arguments.growth_mib,
    )
    kept = f", {found.kept} of them led to new code" if found.kept else ""
    print(f"{name}: {found.inputs} inputs in {found.seconds:.0f} s, seed {arguments.seed}{kept}", flush=True)
    if found.problem is None:
        return 0
    print(f"{name}: {found.problem}\nagain: python -m tests.fuzz {name} --input {found.input_file}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
