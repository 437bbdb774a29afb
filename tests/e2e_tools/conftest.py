"""Makes `e2e` importable: the checkout is not on sys.path, so that tests see the wheel."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

if "e2e" not in sys.modules:
    _init = Path(__file__).resolve().parents[2] / "e2e" / "__init__.py"
    _spec = importlib.util.spec_from_file_location("e2e", _init)
    assert _spec is not None
    assert _spec.loader is not None
    _package = importlib.util.module_from_spec(_spec)
    sys.modules["e2e"] = _package
    _spec.loader.exec_module(_package)
