"""Files that people write (configuration, what-ifs, sweeps): YAML or JSON, read strictly.

An unknown key, a key given twice or a value of another kind is one BadInputError with the line
it stands on; an unknown key also gets the known one that is nearest.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from scheduler.errors import BadInputError

T = TypeVar("T")

LONGEST_S = 10**9
"""Seconds that a time may be at most (30 years), so that microseconds stay far below 2^63."""


SECOND_US = 1_000_000
_US = {
    "us": 1,
    "ms": 1_000,
    "s": SECOND_US,
    "m": 60 * SECOND_US,
    "h": 3_600 * SECOND_US,
}
_DURATION = re.compile(r"(?:[0-9]{1,9}(?:us|ms|s|m|h))+")
_PART = re.compile(r"([0-9]+)([a-z]+)")
_LONGEST_US = 365 * 24 * _US["h"]


class Duration(int):
    """Whole microseconds, written as `500ms`, `5s`, `10m` or `1h30m`."""

    __slots__ = ()

    @classmethod
    def read(cls, value: object) -> Duration:
        """The duration that a YAML value stands for. Raises ValueError."""
        if value == 0 and not isinstance(value, bool):
            return cls(0)
        if not isinstance(value, str) or not _DURATION.fullmatch(value):
            raise ValueError(f"{value!r} is no duration such as 500ms, 5s, 10m or 1h30m")
        total = sum(int(number) * _US[unit] for number, unit in _PART.findall(value))
        if total > _LONGEST_US:
            raise ValueError(f"{value} is more than a year")
        return cls(total)

    def __str__(self) -> str:
        if not self:
            return "0s"
        parts, rest = [], int(self)
        for unit in sorted(_US, key=_US.__getitem__, reverse=True):
            number, rest = divmod(rest, _US[unit])
            parts += [f"{number}{unit}"] if number else []
        return "".join(parts)


class Where:
    """Lines of a settings file by path (`$.failures[0].nodes`), to say where a value stands."""

    def __init__(self, file: str, lines: Mapping[str, int]) -> None:
        self.file = file
        self._lines = dict(lines)

    def __contains__(self, path: str) -> bool:
        """Whether the file gives a value for `path`."""
        return path in self._lines

    def line(self, path: str) -> int | None:
        """The 1-based line of a path, or of the nearest one above it that is known."""
        while path:
            if path in self._lines:
                return self._lines[path]
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return None

    def error(self, path: str, what: str, do: str = "") -> BadInputError:
        """The error to raise about the value at `path`."""
        return BadInputError(self.file, self.line(path), what, do)


def nearest(name: str, known: list[str]) -> str:
    """A hint that names the known name most like `name`, or all of them."""
    close = difflib.get_close_matches(name, known, 1)
    if close:
        return f"did you mean {close[0]}?"
    shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    return f"known: {shown}" if known else "nothing is known here"


class _Loader(yaml.SafeLoader):
    """Safe YAML in which numbers with a point stay text (exact) and dates are text."""


def _as_text(loader: yaml.SafeLoader, node: yaml.Node) -> str:
    assert isinstance(node, yaml.ScalarNode)
    return loader.construct_scalar(node)


for _tag in ("float", "timestamp"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _as_text)


def read_settings(
    path: Path, kind: type[T], hook: Callable[[type, Any], Any] | None = None
) -> tuple[T, Where]:
    """A file as a `kind` (a msgspec Struct), and where its values stand.

    hook: makes values of types that msgspec does not know; it raises ValueError on a bad one.
    Raises BadInputError naming file and line.
    """
    text = _text(path)
    if path.suffix == ".json":
        try:
            json.loads(text)
        except json.JSONDecodeError as error:
            raise BadInputError(path, error.lineno, f"is not JSON: {error.msg}") from None
        text = text.replace("\t", " ")  # JSON has no raw tab but between values; YAML has none
    loader = _Loader(text)
    lines: dict[str, int] = {}
    try:
        node = loader.get_single_node()
        if node is None:
            raise BadInputError(path, None, "is empty", "see docs/ for an example")
        _walk(path, node, "$", lines, set())
        value = loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "cannot be read"
        line = mark.line + 1 if mark else None
        raise BadInputError(path, line, f"is not YAML: {problem}") from None
    finally:
        loader.dispose()
    where = Where(str(path), lines)
    try:
        return msgspec.convert(value, kind, dec_hook=hook), where
    except msgspec.ValidationError as error:
        raise _refusal(where, str(error), kind) from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadInputError(path, None, f"is not UTF-8 text: {error.reason}") from None


def _walk(path: Path, node: yaml.Node, at: str, lines: dict[str, int], met: set[int]) -> None:
    """Notes the line of every value, and refuses keys given twice."""
    lines[at] = node.start_mark.line + 1
    if id(node) in met:
        return  # an alias: what it stands for was walked, and may hold itself
    met.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(path, item, f"{at}[{index}]", lines, met)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise BadInputError(path, line, "has a key that is not a word")
            if key.value in seen:
                raise BadInputError(path, line, f"gives {key.value} twice", "leave one out")
            seen.add(key.value)
            _walk(path, value, f"{at}.{key.value}", lines, met)
            lines[f"{at}.{key.value}"] = line


def seconds(where: Where, path: str, value: str | int) -> int:
    """Microseconds of a time written in seconds, exactly. Raises BadInputError with its line."""
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise where.error(path, f"{value!r} is no number of seconds") from None
    if not amount.is_finite() or not 0 <= amount <= LONGEST_S:
        raise where.error(path, f"{value} s is not from 0 to {LONGEST_S}")
    if amount * 10**6 % 1:
        raise where.error(path, f"{value} s is no whole number of microseconds")
    return int(amount * 10**6)


_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`(?: - at `(.*)`)?$", re.DOTALL)
_PLACE = re.compile(r"^(.*) - at `(?:key in )?(.*?)`$", re.DOTALL)


def _refusal(where: Where, text: str, kind: Any) -> BadInputError:
    unknown = _UNKNOWN.match(text)
    if unknown:
        name, path = unknown[1], unknown[2] or "$"
        known = list(_fields(kind, path))
        return where.error(f"{_dotted(path)}.{name}", f"has no key {name}", nearest(name, known))
    place = _PLACE.match(text)
    what, path = (place[1], place[2]) if place else (text, "$")
    return where.error(_dotted(path), f"{path.removeprefix('$.')}: {what}")


def _dotted(path: str) -> str:
    return path.replace("[...]", "")


def _fields(kind: Any, path: str) -> tuple[str, ...]:
    """Names of the fields of the Struct that stands at `path` below `kind`."""
    info = msgspec.inspect.type_info(kind)
    for part in re.findall(r"\.(\w+)|(\[)", path):
        info = _step(info, part[0])
        if info is None:
            return ()
    while isinstance(info, msgspec.inspect.UnionType):
        info = next(one for one in info.types if isinstance(one, msgspec.inspect.StructType))
    if isinstance(info, msgspec.inspect.StructType):
        return tuple(field.encode_name for field in info.fields)
    return ()


def _step(info: Any, name: str) -> Any:
    """What stands below a type: under the key `name`, or as an item; None if nothing does."""
    found = _below(info, name)
    return found.type if isinstance(found, msgspec.inspect.Metadata) else found


def _below(info: Any, name: str) -> Any:
    if isinstance(info, msgspec.inspect.UnionType):
        composite = (msgspec.inspect.StructType, msgspec.inspect.VarTupleType)
        info = next((one for one in info.types if isinstance(one, composite)), None)
    if isinstance(info, msgspec.inspect.StructType):
        return next((f.type for f in info.fields if f.encode_name == name), None)
    if isinstance(info, msgspec.inspect.VarTupleType | msgspec.inspect.ListType):
        return info.item_type
    return getattr(info, "value_type", None)
