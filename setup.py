"""The extensions, their directives and one debug switch; metadata lives in pyproject.toml.

MUSTER_DEBUG_KERNELS=1 builds kernels that check every index (`make debug`). Each flavour has
its own build directory, so that one never picks up the objects of the other.
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("MUSTER_DEBUG_KERNELS", "") not in ("", "0")
BUILD = "build/debug" if DEBUG else "build/release"

# No -march=native: a wheel must run on any machine of its architecture.
COMPILE_ARGS = ["-O1", "-g"] if DEBUG else ["-O3", "-g0"]

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "initializedcheck": DEBUG,
    # Off in both: kernels never count from the end, so a checked build refuses a negative index.
    "wraparound": False,
    "nonecheck": DEBUG,
    "cdivision": True,
}


def kernel(name: str) -> Extension:
    """The extension `scheduler._<name>` from `ext/<name>.pyx`."""
    return Extension(
        f"scheduler._{name}",
        [f"ext/{name}.pyx"],
        depends=sorted(map(str, Path("ext").glob("*.pxd"))),
        extra_compile_args=COMPILE_ARGS,
    )


setup(
    ext_modules=cythonize(
        [
            kernel("capacity"),
            kernel("choose"),
            kernel("descend"),
            kernel("fill"),
            kernel("search"),
        ],
        include_path=["ext"],
        build_dir=f"{BUILD}/cython",
        compiler_directives=DIRECTIVES,
    ),
    options={"build": {"build_base": BUILD}},
)
