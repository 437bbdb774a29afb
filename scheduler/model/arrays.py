"""Array types that cross the layers, one alias per dtype, and how a column is frozen."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

I64: TypeAlias = npt.NDArray[np.int64]
I32: TypeAlias = npt.NDArray[np.int32]
I16: TypeAlias = npt.NDArray[np.int16]
I8: TypeAlias = npt.NDArray[np.int8]
U8: TypeAlias = npt.NDArray[np.uint8]


def frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A read-only view of `array`; kernels take it through `const` memoryviews.

    The owner of the memory may still write to it: a snapshot's columns are views of the
    buffer that freeze() brings up to date (see `Snapshot.lease`).
    """
    view = array.view()
    view.flags.writeable = False
    return view
