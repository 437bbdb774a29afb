"""Which modules are under test: the installed wheel, or the bounds-checked build."""

from __future__ import annotations

import os
import sysconfig
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import scheduler
from scheduler import _capacity  # not through the crossing: the point is to pass it by

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.skipif("MUSTER_TEST_WHEEL" not in os.environ, reason="not a run of `make unit`")
def test_unit_tests_see_the_installed_wheel() -> None:
    """`make unit` tests site-packages, kernels included, never the checkout."""
    site = Path(sysconfig.get_path("platlib")).resolve()
    for module in (scheduler, _capacity):
        assert Path(module.__file__ or "").resolve().is_relative_to(site)


@pytest.mark.skipif("MUSTER_TEST_DEBUG" not in os.environ, reason="not a run of `make debug`")
def test_debug_tests_see_the_debug_kernels() -> None:
    """`make debug` loads every module from build/debug."""
    site = ROOT / "build" / "debug" / "site"
    for module in (scheduler, _capacity):
        assert Path(module.__file__ or "").resolve().is_relative_to(site)


@pytest.mark.debug_kernels
@pytest.mark.skipif("MUSTER_TEST_DEBUG" not in os.environ, reason="release kernels do not check")
@pytest.mark.parametrize("row", [3, -1])
def test_debug_kernels_catch_an_index_out_of_range(row: int) -> None:
    """A row past the end or before the start raises, where a release kernel reads on."""
    free = np.zeros((1, 3), np.int64)
    slots = np.zeros(3, np.int64)
    rows = np.array([row], np.int32)
    with pytest.raises(IndexError, match="Out of bounds"):
        _capacity.take(rows, np.ones(1, np.int64), free, slots, np.zeros(1, np.int32))


@pytest.mark.skipif("MUSTER_TEST_WHEEL" not in os.environ, reason="not a run of `make unit`")
def test_the_distribution_is_called_muster() -> None:
    """The package `scheduler` belongs to the distribution `muster`, at the same version."""
    assert metadata.version("muster") == scheduler.__version__
