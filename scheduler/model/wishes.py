"""What a workload asks for by annotation: levels, segments, min. Bad values are told and ignored.

`muster.dev/` annotations win over Kueue's. Levels are given by their name or their label key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scheduler.model.pending import NO_LEVEL

PREFIX = "muster.dev/"
REQUIRED = PREFIX + "required-topology"
PREFERRED = PREFIX + "preferred-topology"
SEGMENT_SIZE = PREFIX + "segment-size"
SEGMENT_TOPOLOGY = PREFIX + "segment-topology"
MIN_AVAILABLE = PREFIX + "min-available"
ORDERED = PREFIX + "ordered"
ON_LOSS = PREFIX + "on-loss"
GANG_WORKLOAD = PREFIX + "gang-workload"
GANG_LABEL = PREFIX + "gang"
GANG_SIZE_LABEL = PREFIX + "gang-size"

KUEUE = "kueue.x-k8s.io/podset-"
_KUEUE_NAMES = {
    REQUIRED: KUEUE + "required-topology",
    PREFERRED: KUEUE + "preferred-topology",
    SEGMENT_SIZE: KUEUE + "slice-size",
    SEGMENT_TOPOLOGY: KUEUE + "slice-required-topology",
}
ANNOTATIONS = (
    REQUIRED, PREFERRED, SEGMENT_SIZE, SEGMENT_TOPOLOGY, MIN_AVAILABLE, ORDERED, ON_LOSS,
    *_KUEUE_NAMES.values(),
)  # fmt: skip
"""Every annotation that is read as a wish."""
_LARGEST = 2**31 - 1
_LONGEST_SHOWN = 64
"""Characters of a value that messages quote: as long as a label may be, and one more."""


@dataclass(frozen=True, slots=True)
class Level:
    """One configured level: its name and the node label it is read from."""

    name: str
    label: str


@dataclass(frozen=True, slots=True)
class Wishes:
    """Annotations as numbers; -1 = no level, 0 = not given."""

    required: int = NO_LEVEL
    preferred: int = NO_LEVEL
    segment_size: int = 0
    segment_level: int = NO_LEVEL
    min_available: int = 0
    hold: bool = True
    """`ordered: hold`, the default; False is `grow`."""
    move: bool = False
    """`on-loss: move`; the default is to wait."""
    unmet: tuple[str, ...] = ()
    """Requirements that nobody here understands. Such a gang waits: a rule that must hold is
    not dropped because it is misspelt."""


def read_wishes(
    annotations: Mapping[str, str], levels: tuple[Level, ...]
) -> tuple[Wishes, list[str]]:
    """The wishes, and a sentence for each value that was ignored.

    Preferred defaults to the topmost level, the level of segments to the lowest.
    """
    reader = _Reader(annotations)
    level = _level(levels)
    size = reader.get(SEGMENT_SIZE, _POSITIVE, 0)
    if size and not levels:
        reader.problems.append("segments are ignored: no level is configured")
        size = 0
    segment_level = reader.get(SEGMENT_TOPOLOGY, level, len(levels) - 1)
    wishes = Wishes(
        required=reader.must(REQUIRED, level, NO_LEVEL),
        preferred=reader.get(PREFERRED, level, 0 if levels else NO_LEVEL),
        segment_size=size,
        segment_level=segment_level if size else NO_LEVEL,
        min_available=reader.get(MIN_AVAILABLE, _POSITIVE, 0),
        hold=reader.get(ORDERED, _one_of("hold", "grow"), 0) == 0,
        move=reader.get(ON_LOSS, _one_of("wait", "move"), 0) == 1,
        unmet=tuple(reader.unmet),
    )
    return wishes, reader.problems


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a value is read, and what it should have been."""

    expects: str
    read: Callable[[str], int | None]
    """The number it stands for, or None."""


class _Reader:
    """Annotations of one workload, and what was wrong with them."""

    def __init__(self, annotations: Mapping[str, str]) -> None:
        self.annotations = annotations
        self.problems: list[str] = []
        self.unmet: list[str] = []

    def must(self, key: str, kind: _Kind, default: int) -> int:
        """As `get`, but a value that cannot be read is a requirement that is not met."""
        before = len(self.problems)
        value = self.get(key, kind, default)
        for problem in self.problems[before:]:
            self.unmet.append(problem.removesuffix(": ignored"))
        del self.problems[before:]
        return value

    def get(self, key: str, kind: _Kind, default: int) -> int:
        """The number that the annotation stands for, or `default`."""
        for name in (key, _KUEUE_NAMES.get(key, key)):
            if name in self.annotations:
                value = kind.read(self.annotations[name].strip())
                if value is not None:
                    return value
                self.ignore(name, f"is not {kind.expects}")
                return default
        return default

    def ignore(self, name: str, why: str) -> None:
        """Notes that an annotation was left out."""
        value = _quoted(self.annotations.get(name, ""))
        self.problems.append(f"annotation {name}={value} {why}: ignored")


def _quoted(value: str) -> str:
    """The value as it is told: it may be as long as an object, and is told to every member."""
    if len(value) <= _LONGEST_SHOWN:
        return repr(value)
    return f"{value[:_LONGEST_SHOWN]!r}... ({len(value):,} characters)"


def _level(levels: tuple[Level, ...]) -> _Kind:
    numbers = {level.label: at for at, level in enumerate(levels)}
    numbers |= {level.name: at for at, level in enumerate(levels)}
    have = ", ".join(level.name for level in levels) or "none is configured"
    return _Kind(f"a level ({have})", numbers.get)


def _positive(text: str) -> int | None:
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(_LARGEST)):
        return None
    return int(text) if 1 <= int(text) <= _LARGEST else None


def _one_of(*words: str) -> _Kind:
    places = {word: at for at, word in enumerate(words)}
    return _Kind(" or ".join(words), places.get)


_POSITIVE = _Kind(f"a whole number from 1 to {_LARGEST}", _positive)
