"""Fixtures and options of the stories; docs/testing.md explains how to write one."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e import binaries, invariants
from e2e.api import Object
from e2e.cluster import Cluster
from e2e.muster import Muster, default_config, install_access
from e2e.provider import Provider, RefusedError, open_provider, provider_name, remove
from e2e.watch import Recorder

StartMuster = Callable[..., Muster]
MARKERS = (
    "story(n): the number by which `--story N` and `make e2e STORY=N` choose the test",
    "providers(*names): where the test runs (default: local, kind and existing)",
    "fake_nodes: makes nodes for kwok; in an existing cluster only with MUSTER_E2E_FAKE_NODES=1",
    "hollow_nodes: starts real kubelets over a fake runtime; needs a provider that can",
)
FAILED = pytest.StashKey[bool]()
FOLDER = pytest.StashKey[Path]()
STARTED = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """--story N, or the environment variable STORY."""
    parser.addoption("--story", default=os.environ.get("STORY", ""), help="only story N")


def pytest_configure(config: pytest.Config) -> None:
    """The markers, and a provider that exists."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    try:
        provider_name()
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Chooses the story, and skips what does not run on this provider."""
    story = config.getoption("--story")
    if story:
        chosen = [item for item in items if _story(item) == story]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen
    name = provider_name()
    for item in items:
        marker = item.get_closest_marker("providers")
        if marker is not None and name not in marker.args:
            reason = f"runs with MUSTER_E2E={' or '.join(marker.args)}, not {name}"
            item.add_marker(pytest.mark.skip(reason=reason))
        if name == "existing":
            _skip_in_existing(item)


def _skip_in_existing(item: pytest.Item) -> None:
    """What others' clusters do not allow."""
    if item.get_closest_marker("hollow_nodes"):
        item.add_marker(pytest.mark.skip(reason="hollow kubelets need credentials of nodes"))
    allowed = os.environ.get("MUSTER_E2E_FAKE_NODES") == "1"
    if item.get_closest_marker("fake_nodes") and not allowed:
        reason = "makes fake nodes: set MUSTER_E2E_FAKE_NODES=1 where a kwok plays them"
        item.add_marker(pytest.mark.skip(reason=reason))


def _story(item: pytest.Item) -> str:
    """Its number as text; "" for a test that is no story."""
    marker = item.get_closest_marker("story")
    return str(marker.args[0]) if marker else ""


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Builds what is missing before the first test, whose time limit would not allow for it."""
    if session.items and provider_name() == "local" and not session.config.option.collectonly:
        try:
            binaries.find_or_build()
        except binaries.BinariesError as error:
            pytest.exit(str(error), returncode=1)


# --- what one sees ---------------------------------------------------------------------------


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Says which story begins."""
    item.stash[STARTED] = time.monotonic()
    document = getattr(getattr(item, "obj", None), "__doc__", "") or ""
    title = document.strip().splitlines()[0] if document.strip() else item.name
    number = _story(item)
    _say(item.config, f"{f'story {number}' if number else item.name}: {title}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Remembers failures, shows the end of Muster's log, and says how long the story took."""
    report: Any = yield
    if report.failed:
        item.session.stash[FAILED] = True
        folder = item.session.stash.get(FOLDER, None)
        for log in sorted(folder.glob(f"logs/muster-{_slug(item.name)}*.log")) if folder else ():
            lines = log.read_text(errors="replace").splitlines()[-40:]
            report.sections.append((f"end of {log}", "\n".join(lines)))
    if report.when == "call":
        spent = time.monotonic() - item.stash[STARTED]
        line = f"  {report.outcome} in {report.duration:.1f} s ({spent:.1f} s with set-up)"
        _say(item.config, line)
    return report


def _say(config: pytest.Config, line: str) -> None:
    """A line on the terminal, whatever pytest captures."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled():
        reporter.ensure_newline()
        reporter.write_line(line)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Reads the watch history after each story: a broken invariant fails the story itself."""
    result: Any = yield
    cluster = pyfuncitem.funcargs.get("cluster")
    if isinstance(cluster, Cluster):
        check_invariants(cluster)
    return result


def check_invariants(cluster: Cluster) -> None:
    """Fails with every violation; a history with gaps is a violation too."""
    cluster.recorder.catch_up(cluster.namespace)
    events = [
        {
            "reason": event.get("reason", ""),
            "namespace": cluster.namespace,
            "kind": event["regarding"].get("kind", ""),
            "name": event["regarding"].get("name", ""),
        }
        for event in cluster.events()
    ]
    found = [f"the history has a gap: {gap}" for gap in cluster.recorder.gaps]
    found += invariants.check(list(cluster.recorder.changes), cluster.schedulers, events)
    if found:
        pytest.fail("invariants broken:\n" + "\n".join(found[:20]), pytrace=False)


# --- fixtures --------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    """The session's cluster, started once and stopped at the end."""
    folder = Path(tempfile.mkdtemp(prefix="muster-e2e-"))
    request.session.stash[FOLDER] = folder
    started = time.monotonic()
    try:
        opened = open_provider(provider_name(), folder)
    except RefusedError as error:
        remove(folder)
        pytest.skip(str(error))
    except BaseException:
        request.session.stash[FAILED] = True
        raise
    _say(request.config, f"  {opened.name} cluster ready in {time.monotonic() - started:.1f} s")
    try:
        yield opened
    finally:
        opened.close()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keeps the folder with all logs after a failure (or with MUSTER_E2E_KEEP), else removes it."""
    folder = session.stash.get(FOLDER, None)
    if folder is None:
        return
    interrupted = exitstatus not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}
    if session.stash.get(FAILED, False) or interrupted or os.environ.get("MUSTER_E2E_KEEP"):
        _say(session.config, f"\nlogs of every process: {folder / 'logs'}")
    else:
        remove(folder)


@pytest.fixture
def recorder(provider: Provider) -> Iterator[Recorder]:
    """Watches all pods and nodes during the test."""
    watching = Recorder(provider.api).start()
    try:
        yield watching
    finally:
        watching.stop()


@pytest.fixture
def cluster(
    provider: Provider, recorder: Recorder, request: pytest.FixtureRequest
) -> Iterator[Cluster]:
    """The test's namespace and nodes."""
    mine = Cluster(provider, _slug(request.node.name), recorder).open()
    try:
        yield mine
    finally:
        mine.close()


@pytest.fixture(scope="session")
def muster_kubeconfig(provider: Provider) -> Path:
    """Credentials of a service account that may do what e2e/rbac.yaml says, and nothing else."""
    return install_access(provider)


@pytest.fixture
def start_muster(
    cluster: Cluster, muster_kubeconfig: Path, request: pytest.FixtureRequest
) -> Iterator[StartMuster]:
    """A function that starts Muster, with configuration keys on top of the default ones."""
    started: list[Muster] = []

    def start(config: Object | None = None, *, wait: bool = True) -> Muster:
        name = f"muster-{_slug(request.node.name)}"
        if started:
            name += f"-{len(started) + 1}"
        path = cluster.provider.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(default_config(cluster.scheduler_name) | (config or {})))
        muster = Muster(cluster.provider.processes, muster_kubeconfig, path, name)
        started.append(muster)
        return muster.start(wait=wait)

    yield start
    for muster in started:
        muster.stop()


@pytest.fixture
def muster(start_muster: StartMuster) -> Muster:
    """Muster, running and ready."""
    return start_muster()


def _slug(name: str) -> str:
    """A test's name as part of a name in Kubernetes: at most 40 characters, ends in a letter."""
    short = re.sub(r"[^a-z0-9]+", "-", name.removeprefix("test_").lower())
    return short[:40].strip("-")
