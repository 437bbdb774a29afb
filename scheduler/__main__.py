"""`python -m scheduler` is `muster`."""

from __future__ import annotations

from scheduler.cli import run

if __name__ == "__main__":
    run()
