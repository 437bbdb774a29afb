"""`muster sweep`: every trace with every policy and every seed, and one comparison of them all.

    OUT/sweep.json                      which run has which settings (digests)
        runs/TRACE.POLICY.seed-N/       run directories, each whole or not there
        compare/                        the comparison, groups of seeds side by side

A run depends on its task alone, so that it is the same bytes whoever computes it: this process,
another one, or a worker of a Dask cluster. Finished runs are kept; a sweep that was interrupted,
or that got more seeds, computes only what is missing.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import msgspec

import scheduler
from scheduler.errors import BadInputError, UsageError
from scheduler.replay.compare import Cell, compare
from scheduler.replay.generate import generate
from scheduler.replay.run_dir import SUMMARY, write_run
from scheduler.replay.simulate import ReplayOptions, replay
from scheduler.replay.sweep_file import Policy, Source, SweepFile
from scheduler.replay.trace_io import MANIFEST, check_new, read_trace
from scheduler.replay.what_if import read_what_if

SETTINGS = "sweep.json"
RUNS = "runs"
COMPARE = "compare"

_DRAWING = threading.Lock()
"""A Dask worker may run several threads, and matplotlib draws in one."""

Done = Callable[[int, int], None]
"""Called with (runs done, runs in all)."""


@dataclass(frozen=True, slots=True)
class Task:
    """One run: everything that its bytes depend on. Paths must mean the same to every worker."""

    name: str
    source: Source
    policy: Policy
    seed: int
    base: str
    """Directory that the paths of the file are relative to."""
    out: str


def tasks_of(sweep: SweepFile, base: Path, out: Path) -> list[Task]:
    """The grid, in the order of the file: traces, then policies, then seeds."""
    return [
        Task(
            name=(name := f"{source.name}.{policy.name}.seed-{seed}"),
            source=source,
            policy=policy,
            seed=seed,
            base=str(base.resolve()),
            out=str(out.resolve() / RUNS / name),
        )
        for source in sweep.traces
        for policy in sweep.policies
        for seed in sweep.seeds
    ]


def run_task(task: Task) -> str:
    """Computes one run and writes its directory; gives its name.

    Raises what reading and replaying raise.
    """
    base = Path(task.base)
    if task.source.dir is not None:
        trace = read_trace(base / task.source.dir)
    else:
        assert task.source.generate is not None
        trace = generate(task.source.generate.options(task.seed))
    policy = task.policy
    options = ReplayOptions(
        order=policy.order,
        scan=policy.scan,
        placement=policy.placement,
        pack=policy.pack,
        tie_break=policy.tie_break,
        levels=tuple((one.level, one.sizes) for one in policy.levels),
        pool=policy.pool,
        fill=policy.fill_ratio,
        seed=task.seed,
        what_if=None if policy.what_if is None else read_what_if(base / policy.what_if),
    )
    result = replay(replace(trace, name=task.source.name), options)
    with _DRAWING:
        write_run(result, Path(task.out))
    return task.name


def digest(task: Task) -> str:
    """SHA-256 over all that the run depends on: settings, contents of files, version."""
    base = Path(task.base)
    parts: dict[str, Any] = {
        "version": scheduler.__version__,
        "source": msgspec.to_builtins(task.source),
        "policy": msgspec.to_builtins(task.policy),
        "seed": task.seed,
    }
    if task.source.dir is not None:
        # The manifest holds the hashes of the trace's other files.
        parts["trace"] = _sha256(base / task.source.dir / MANIFEST)
    if task.policy.what_if is not None:
        parts["what_if"] = _sha256(base / task.policy.what_if)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise BadInputError(path, None, f"cannot be read: {error.strerror or error}") from error


def sweep(
    file: SweepFile, base: Path, out: Path, *, jobs: int = 1, dask: str = "",
    on_done: Done | None = None,
) -> list[dict[str, Cell]]:  # fmt: skip
    """Computes the runs that are missing and compares all; gives the comparison's rows.

    jobs: processes on this machine. dask: address of a Dask scheduler, whose workers see the same
    files, instead. Raises UsageError if `out` holds something else, or runs of other settings.
    """
    tasks = tasks_of(file, base, out)
    wanted = {task.name: digest(task) for task in tasks}
    _claim(out, wanted)
    missing = [task for task in tasks if not (Path(task.out) / SUMMARY).is_file()]
    done = len(tasks) - len(missing)
    for _ in _results(missing, jobs, dask):
        done += 1
        if on_done is not None:
            on_done(done, len(tasks))
    shutil.rmtree(out / COMPARE, ignore_errors=True)
    paths = [Path(task.out) for task in tasks]
    return compare(paths, out / COMPARE)


def _claim(out: Path, wanted: dict[str, str]) -> None:
    """Makes `out`, or takes one that an earlier sweep left, and writes down what is meant."""
    settings, runs = out / SETTINGS, out / RUNS
    known: dict[str, str] = {}
    if not out.is_dir():
        check_new(out)
    if settings.is_file():
        known = _read_settings(settings)
    elif out.exists() and any(out.iterdir()):
        raise UsageError(f"{out} is not empty and not of a sweep", "give another --out")
    for name in sorted(wanted.keys() & known.keys()):
        if wanted[name] != known[name] and (runs / name).exists():
            raise UsageError(
                f"{out} has a run {name} of other settings, another trace or another version",
                f"remove {runs / name}, or give another --out",
            )
    try:
        runs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"{out} cannot be made: {error.strerror or error}"
        raise UsageError(what, "give an --out whose parent can be written") from error
    for left in runs.glob(".*"):
        shutil.rmtree(left)  # of a run whose process was killed
    text = json.dumps(dict(sorted({**known, **wanted}.items())), indent=2) + "\n"
    part = out / f".{SETTINGS}"
    part.write_text(text, encoding="utf-8")
    part.replace(settings)


def _read_settings(path: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except msgspec.DecodeError as error:
        raise BadInputError(path, None, f"is not of a sweep: {error}", "remove it") from error


def _results(tasks: Sequence[Task], jobs: int, dask: str) -> Iterator[str]:
    """Names of the runs, as they get done."""
    if not tasks:
        return
    if dask:
        yield from _on_dask(tasks, dask)
    elif jobs == 1:
        yield from map(run_task, tasks)
    else:
        with _pool(min(jobs, len(tasks))) as pool:
            yield from _drained([pool.submit(run_task, task) for task in tasks])


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    # Spawned, not forked: libraries of this process may run threads.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _drained(futures: list[Future[str]]) -> Iterator[str]:
    for future in as_completed(futures):
        yield future.result()


def _on_dask(tasks: Sequence[Task], address: str) -> Iterator[str]:
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError as error:
        raise UsageError("--dask needs the library dask", "pip install muster[dask]") from error
    try:
        client = distributed.Client(address, timeout=10)
    except (OSError, ValueError) as error:
        what = f"--dask {address}: no scheduler answers: {error}"
        raise UsageError(what, "give its address, like tcp://host:8786") from error
    with client:
        # Not pure: a run is its directory, which a result kept by the cluster would not make.
        futures = [client.submit(run_task, task, pure=False) for task in tasks]
        try:
            for future in distributed.as_completed(futures):
                yield future.result()
        except BaseException:
            client.cancel(futures)
            raise
