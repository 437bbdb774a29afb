"""Says what this machine lacks to build Muster. Written for any Python, old ones too."""

import os
import shutil
import sys
import sysconfig

OLDEST = (3, 11)


def missing():
    """Sentences about what is missing and how to get it; empty if nothing is."""
    found = "%d.%d" % sys.version_info[:2]
    if sys.version_info < OLDEST:
        yield "Python >= 3.11 is needed, %s is %s; name another one: make PYTHON=python3.12 ..." % (
            sys.executable,
            found,
        )
        return
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        yield "Python's venv is missing (Debian: apt install python%s-venv)" % found
    header = os.path.join(sysconfig.get_path("include"), "Python.h")
    if not os.path.exists(header):
        yield "Python's headers are missing (Debian: apt install python%s-dev)" % found
    compiler = (os.environ.get("CC") or "cc").split()[0]
    if not (shutil.which(compiler) or shutil.which("gcc")):
        yield "a C compiler is missing (Debian: apt install gcc), or set CC"


if __name__ == "__main__":
    wanted = list(missing())
    for sentence in wanted:
        sys.stderr.write("muster: %s\n" % sentence)
    sys.exit(1 if wanted else 0)
