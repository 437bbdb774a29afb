"""What a comparison takes for granted in a run's summary.json; further keys may stand there.

`metrics.py` writes it, docs/report.md explains it. None = the number does not apply.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

Number = float | int | None
Amount = Annotated[float, msgspec.Meta(ge=0)]


class Spread(msgspec.Struct):
    """Waits or completions, in seconds."""

    mean: Number
    p50: Number
    p95: Number
    max: Number


class Waits(Spread):
    """Waits of all gangs."""

    over_60s: int


class Bucket(Spread):
    """Waits of gangs of `from` to `to` members."""

    first: int = msgspec.field(name="from")
    last: int = msgspec.field(name="to")
    count: int


class Allocation(msgspec.Struct):
    """Shares of the GPUs."""

    mean: Number


class Fragmentation(msgspec.Struct):
    """Stranded GPUs."""

    amount: Number


class LevelLocality(msgspec.Struct):
    """How far gangs are spread at one level."""

    single_share: Number
    mean_domains: Number
    mean_ideal: Number
    cross_pair_share: Number


class Causes(msgspec.Struct):
    """Seconds of waiting, by cause."""

    order: Amount
    capacity: Amount
    fragmentation: Amount
    topology: Amount


class Estimate(msgspec.Struct):
    """The range of the slowdown."""

    low: float
    mid: float
    high: float
    source: str


class SummaryFile(msgspec.Struct):
    """summary.json."""

    trace: str
    options: dict[str, str | int | float | bool]
    counts: dict[str, int]
    jct_s: Spread
    wait_s: Waits
    wait_by_size: list[Bucket]
    makespan_s: Amount
    gpu_allocation: Allocation
    fragmentation: Fragmentation
    locality: dict[str, LevelLocality]
    slots: dict[str, dict[str, Amount]]
    blocked_s: Causes
    slowdown: Estimate
