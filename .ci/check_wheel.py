"""The sdist carries all that the wheel needs: a wheel built from it has the same files.

Usage: check_wheel.py WHEEL   (the wheel under test, built from the checkout)
Works in build/check; exits 1 with the differences.
"""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

WORK = Path("build/check")
KERNELS = ("capacity", "choose", "descend", "fill", "search")


def run(*command: str) -> None:
    """Runs this Python with `command`, quietly unless it fails."""
    result = subprocess.run(  # noqa: S603 - our own commands
        [sys.executable, *command], capture_output=True, text=True, check=False
    )
    if result.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{result.stdout}{result.stderr}")


def build_sdist() -> Path:
    """Builds the sdist from the checkout."""
    shutil.rmtree(WORK, ignore_errors=True)
    run("-m", "build", "--sdist", "--no-isolation", "--outdir", str(WORK))
    (sdist,) = WORK.glob("*.tar.gz")
    return sdist


def build_wheel(sdist: Path) -> Path:
    """Builds a wheel from the unpacked sdist: nothing of the checkout is in reach."""
    shutil.unpack_archive(sdist, WORK)
    tree = WORK / sdist.name.removesuffix(".tar.gz")
    run("-m", "build", "--wheel", "--no-isolation", "--outdir", str(WORK), str(tree))
    (wheel,) = WORK.glob("*.whl")
    return wheel


def faults(sdist: Path, wheel: Path, tested: Path) -> list[str]:
    """What is wrong with the three archives, as sentences."""
    with tarfile.open(sdist) as archive:
        carried = {name.partition("/")[2] for name in archive.getnames()}
    with zipfile.ZipFile(wheel) as again, zipfile.ZipFile(tested) as under_test:
        new, old = set(again.namelist()), set(under_test.namelist())
    found = [f"the sdist lacks ext/{k}.pyx" for k in KERNELS if f"ext/{k}.pyx" not in carried]
    found += [f"the sdist carries generated {n}" for n in sorted(carried) if n.endswith(".c")
              and n.startswith(("ext/", "build/"))]  # fmt: skip
    found += [f"only the checkout's wheel has {name}" for name in sorted(old - new)]
    found += [f"only the sdist's wheel has {name}" for name in sorted(new - old)]
    for kernel in KERNELS:
        if not any(n.startswith(f"scheduler/_{kernel}.") and n.endswith(".so") for n in new):
            found.append(f"the wheel lacks the compiled scheduler/_{kernel}")
        if f"scheduler/_{kernel}.pyi" not in new:
            found.append(f"the wheel lacks the stub scheduler/_{kernel}.pyi")
    if "scheduler/py.typed" not in new:
        found.append("the wheel lacks scheduler/py.typed")
    return found


def main() -> None:
    """Builds both and compares."""
    (tested,) = map(Path, sys.argv[1:])
    sdist = build_sdist()
    wheel = build_wheel(sdist)
    wrong = faults(sdist, wheel, tested)
    if wrong:
        sys.exit("\n".join(wrong))
    sys.stdout.write(f"{sdist.name} builds the wheel under test\n")


if __name__ == "__main__":
    main()
