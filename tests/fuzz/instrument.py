"""A copy of the gateway whose native code is compiled with sanitizers and counts where it goes. Needs gcc and libasan.

gcc calls `__sanitizer_cov_trace_pc` on every edge; the library below counts the calls by their place, and tells whether
an input has led anywhere new. AddressSanitizer and UBSan end the process at the first wrong access.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DIRECTORY = Path("build/fuzz")
# Left out: what only serves programs of its own.
NOT_BUILT = {"reactor", "sim", "simbroker", "simclient", "simnet", "simqueue", "simtruth", "probe", "floors"}
FLAGS = ["-O1", "-g", "-fno-strict-aliasing", "-fno-omit-frame-pointer", "-fsanitize=address,undefined"]
# Records and frames are read at the alignment that the format gives them, which x86 and ARM64 allow.
# memcpy of no bytes from nowhere is what every compiler and library takes it for, and defined from C2y on.
FLAGS += ["-fno-sanitize=alignment,pointer-overflow,nonnull-attribute", "-fno-sanitize-recover=undefined"]
FLAGS += ["-fsanitize-coverage=trace-pc"]
COUNTERS = r"""
#include <stdint.h>
#include <string.h>
#define SIZE 65536
static uint8_t counts[SIZE], seen[SIZE];
static __thread uintptr_t last;
void __sanitizer_cov_trace_pc(void) {
    uintptr_t here = (uintptr_t)__builtin_return_address(0);
    uintptr_t mixed = (here ^ (here >> 16)) * 0x9E3779B1u;
    uintptr_t at = ((mixed ^ last) >> 3) & (SIZE - 1);
    last = mixed >> 1;
    if (counts[at] != 255) counts[at]++;
}
/* Counts in powers of two, so that once and twice differ and a thousand and a thousand and one do not. */
int fuzz_news(void) {
    int news = 0;
    for (int i = 0; i < SIZE; i += 8) {
        uint64_t word;
        memcpy(&word, counts + i, 8);
        if (!word) continue;
        for (int k = i; k < i + 8; k++) {
            if (!counts[k]) continue;
            uint8_t bit = (uint8_t)(1u << (31 - __builtin_clz(counts[k])));
            if (!(seen[k] & bit)) { seen[k] |= bit; news++; }
        }
    }
    memset(counts, 0, SIZE);
    last = 0;
    return news;
}
"""
SETUP = """
import sys
from pathlib import Path
from Cython.Build import cythonize
from setuptools import Extension, setup
names, flags = sys.argv.pop().split(","), sys.argv.pop().split(" ")
extensions = [Extension("gateway.native." + n, ["gateway/native/" + n + ".pyx"], extra_compile_args=flags,
                        extra_link_args=["-fsanitize=address,undefined"]) for n in names]
directives = {"language_level": 3, "boundscheck": False, "wraparound": False, "cdivision": True,
              "initializedcheck": False, "embedsignature": True}
setup(ext_modules=cythonize(extensions, compiler_directives=directives))
"""


def instrument() -> Path:
    """Builds the copy, or what is out of date in it; its directory. Raises CalledProcessError."""
    copy = ROOT / DIRECTORY
    for name in ("gateway", "tests", "configs"):
        shutil.copytree(
            ROOT / name, copy / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "native", "*.so")
        )
    shutil.copytree(
        ROOT / "native",
        copy / "native",
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("*.so", "*.c", "__pycache__"),
    )
    if not (copy / "gateway/native").exists():
        (copy / "gateway/native").symlink_to("../native")
    (copy / "counters.c").write_text(COUNTERS)
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", "counters.so", "counters.c"], cwd=copy, check=True)
    (copy / "setup.py").write_text(SETUP)
    names = sorted(path.stem for path in (copy / "native").glob("*.pyx") if path.stem not in NOT_BUILT)
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace", " ".join(FLAGS), ",".join(names)]
    subprocess.run(command, cwd=copy, check=True, stdout=subprocess.DEVNULL)
    return copy


def run_instrumented(copy: Path, arguments: list[str]) -> int:
    """`python -m tests.fuzz ARGUMENTS` there; its exit status. Findings stay in the present directory."""
    asan = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    environment = {
        **os.environ,
        "LD_PRELOAD": f"{asan.stdout.strip()} {copy / 'counters.so'}",
        "PYTHONPATH": str(copy),
        "PYTHONMALLOC": "malloc",  # so that the sanitizer sees where each object ends
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:allocator_may_return_null=1:quarantine_size_mb=32",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    if "--findings" not in arguments:
        arguments = [*arguments, "--findings", str(Path("fuzz-findings").resolve())]
    return subprocess.call([sys.executable, "-m", "tests.fuzz", *arguments], cwd=copy, env=environment)
