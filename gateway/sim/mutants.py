"""The mutation check: does the simulator find each deliberate mistake, and after how many seeds?

Works on a copy of the sources in a temporary directory; the production build is never touched. Needs a source checkout
with Cython and a C compiler. May depend on: gateway.sim.mutations.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from gateway.errors import GatewayError
from gateway.sim.mutations import MUTATIONS, Mutation
from gateway.sim.outcome import run_seed

MAX_SEEDS = 2000
BUILD_TIMEOUT_S = 600
RUN_TIMEOUT_S = 1200

BUILD = """
import sys
from Cython.Build import cythonize
from setuptools import Extension, setup
module = sys.argv.pop()
setup(name="mutant", packages=["gateway"], ext_modules=cythonize(
    [Extension(f"gateway.native.{module}", [f"gateway/native/{module}.pyx"],
               extra_compile_args=["-O1", "-fno-strict-aliasing", "-Wno-unused-function", "-w"])],
    quiet=True, compiler_directives={"language_level": 3, "boundscheck": False, "wraparound": False,
                                     "cdivision": True, "initializedcheck": False}))
"""

HUNT = """
import sys
import orjson
from gateway.sim.outcome import INVARIANTS, run_seed
for seed in range(int(sys.argv[1])):
    outcome = run_seed(seed)
    if outcome.broken:
        print(orjson.dumps({"seeds": seed + 1, "invariant": INVARIANTS[outcome.broken]}).decode())
        break
else:
    print(orjson.dumps({"seeds": 0, "invariant": ""}).decode())
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`seeds`: how many were needed; 0: it was not found."""

    mutation: Mutation
    seeds: int
    invariant: str


def check_mutations(
    mutations: Sequence[Mutation] = MUTATIONS,
    max_seeds: int = MAX_SEEDS,
    on_verdict: Callable[[Verdict], None] = lambda verdict: None,
) -> list[Verdict]:
    """Makes, builds and hunts one after the other. Raises GatewayError: a mutation does not apply or build."""
    root = Path(__file__).resolve().parents[2]
    verdicts = []
    for mutation in mutations:
        apply_to(mutation, (root / "native" / mutation.file).read_text())  # all are tried before hours pass
    for mutation in mutations:
        with tempfile.TemporaryDirectory(prefix="gateway-mutant-") as directory:
            copy = Path(directory)
            _copy_sources(root, copy)
            _build(mutation, copy)
            verdict = _hunt(mutation, copy, max_seeds)
        verdicts.append(verdict)
        on_verdict(verdict)
    return verdicts


def apply_to(mutation: Mutation, source: str) -> str:
    """The mutated source. Raises GatewayError when the text to change is not there exactly once."""
    count = source.count(mutation.old)
    if count != 1:
        raise GatewayError(
            f"mutation {mutation.name!r}: its text is {count} times in native/{mutation.file}; "
            "bring gateway/sim/mutations.py up to date"
        )
    return source.replace(mutation.old, mutation.new)


def _copy_sources(root: Path, copy: Path) -> None:
    native = root / "native"
    (copy / "native").mkdir()
    for path in native.iterdir():
        if path.suffix in {".py", ".pxd", ".pxi", ".pyx", ".so"}:
            shutil.copy2(path, copy / "native" / path.name)
    ignore = shutil.ignore_patterns("__pycache__", "native")
    shutil.copytree(root / "gateway", copy / "gateway", ignore=ignore)
    (copy / "gateway" / "native").symlink_to("../native")


def _build(mutation: Mutation, copy: Path) -> None:
    source = copy / "native" / mutation.file
    source.write_text(apply_to(mutation, source.read_text()))
    for built in (copy / "native").glob(f"{mutation.module}.*.so"):
        built.unlink()
    (copy / "build_mutant.py").write_text(BUILD)
    arguments = [sys.executable, "build_mutant.py", "build_ext", "--inplace", mutation.module]
    done = subprocess.run(arguments, cwd=copy, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False)
    if done.returncode:
        raise GatewayError(f"mutation {mutation.name!r} does not build:\n{(done.stdout + done.stderr)[-2000:]}")


def _hunt(mutation: Mutation, copy: Path, max_seeds: int) -> Verdict:
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    arguments = [sys.executable, "-c", HUNT, str(max_seeds)]
    done = subprocess.run(
        arguments, cwd=copy, env=environment, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False
    )
    if done.returncode:  # a signal too: it proves nothing about the protocol
        raise GatewayError(f"mutation {mutation.name!r} ends with status {done.returncode}:\n{done.stderr[-2000:]}")
    found = orjson.loads(done.stdout)
    if found["seeds"] and run_seed(found["seeds"] - 1).broken:
        raise GatewayError(f"seed {found['seeds'] - 1} breaks without a mutation too: repair that first")
    return Verdict(mutation, found["seeds"], found["invariant"])
