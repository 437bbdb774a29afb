"""A local control plane for people: `python -m e2e.up`, stopped by Ctrl-C."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from e2e.local import LocalControlPlane, Options


def main() -> int:
    """Starts it, prints the kubeconfig's path on stdout, and waits."""
    parser = argparse.ArgumentParser(prog="python -m e2e.up", description=__doc__)
    parser.add_argument("--without", nargs="*", default=[], metavar="PART",
                        choices=["controllers", "scheduler", "kwok"],
                        help="leave out: controllers, scheduler, kwok")  # fmt: skip
    parser.add_argument("--keep", action="store_true", help="keep data and logs at the end")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    left_out = set(arguments.without)
    options = Options(
        controllers="controllers" not in left_out,
        scheduler="scheduler" not in left_out,
        kwok="kwok" not in left_out,
    )
    folder = Path(tempfile.mkdtemp(prefix="muster-e2e-"))
    started = time.monotonic()
    plane = LocalControlPlane(folder, options)
    try:
        plane.start()
        print(f"ready in {time.monotonic() - started:.1f} s; logs: {plane.logs}", file=sys.stderr)
        print(f"export KUBECONFIG={plane.kubeconfig}")
        print(f"kubectl: {plane.binaries['kubectl']}; Ctrl-C stops everything", file=sys.stderr)
        sys.stdout.flush()
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        return 130
    finally:
        plane.stop()
        if arguments.keep:
            print(f"kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
