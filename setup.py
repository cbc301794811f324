"""Builds gateway.native. Sources live in native/; gateway/native is a link to it, so cimport, wheel, editable agree."""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

COMPILE_ARGS = ["-O3", "-fno-math-errno", "-fno-strict-aliasing", "-Wno-unused-function", "-Wno-unreachable-code"]
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "embedsignature": True,
}
JOBS = len(os.sched_getaffinity(0))

extensions = [
    Extension(f"gateway.native.{source.stem}", [str(source)], extra_compile_args=COMPILE_ARGS)
    for source in sorted(Path("gateway/native").glob("*.pyx"))
]

setup(
    ext_modules=cythonize(extensions, compiler_directives=DIRECTIVES, nthreads=JOBS),
    options={"build_ext": {"parallel": JOBS}},
)
