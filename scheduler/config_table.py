"""The configuration as tables: every key there is, and the values that one file gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from scheduler.config import Config
from scheduler.settings_file import Duration, Where


class Key(NamedTuple):
    """One documented key of the file."""

    key: str
    type: str
    default: str
    """As the file would say it; empty for a key that must be given."""
    unit: str
    text: str


def documented_keys() -> list[Key]:
    """Every key in the order of the declarations, `profiles[].levels[].name` style."""
    return list(_documented(msgspec.inspect.type_info(Config), ""))


def _documented(info: Any, above: str) -> Iterator[Key]:
    for one in info.fields:
        kind, meta = _split(one.type)
        name = above + one.encode_name
        if isinstance(kind, msgspec.inspect.StructType):
            yield from _documented(kind, f"{name}.")
            continue
        default = "" if one.required else shown(one.default)
        yield Key(name, _type_text(kind), default, meta["unit"], meta["description"])
        if isinstance(kind, msgspec.inspect.VarTupleType):
            yield from _documented(kind.item_type, f"{name}[].")


def _split(kind: Any) -> tuple[Any, dict[str, Any]]:
    """A field's type without its declaration, and that."""
    if not isinstance(kind, msgspec.inspect.Metadata):
        return kind, {}
    return kind.type, {**(kind.extra_json_schema or {}), **(kind.extra or {})}


def _type_text(kind: Any) -> str:
    if isinstance(kind, msgspec.inspect.LiteralType):
        return " or ".join(f"`{value}`" for value in kind.values)
    if isinstance(kind, msgspec.inspect.CustomType):
        return "duration"
    if isinstance(kind, msgspec.inspect.BoolType):
        return "`true` or `false`"
    if isinstance(kind, msgspec.inspect.IntType):
        return "number"
    return "list" if isinstance(kind, msgspec.inspect.VarTupleType) else "text"


def shown(value: object) -> str:
    """A value as the file would say it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[]" if not value else f"{len(value)} entries"
    return str(value)


Row = dict[str, str | bool]


def effective(config: Config, where: Where) -> list[Row]:
    """A row per key that holds a value: {key, value, unit, default: whether it was left out}."""
    return list(_effective(config, msgspec.inspect.type_info(Config), "", where))


def _effective(value: Any, info: Any, above: str, where: Where) -> Iterator[Row]:
    for one in info.fields:
        kind, meta = _split(one.type)
        mine, name = getattr(value, one.name), above + one.encode_name
        if isinstance(kind, msgspec.inspect.StructType):
            yield from _effective(mine, kind, f"{name}.", where)
        elif isinstance(mine, tuple) and mine:
            for index, item in enumerate(mine):
                yield from _effective(item, kind.item_type, f"{name}[{index}].", where)
        else:
            given = f"$.{name}" in where
            unit = "duration" if isinstance(mine, Duration) else meta["unit"]
            yield {"key": name, "value": shown(mine), "unit": unit, "default": not given}


def remarks(where: Where) -> list[str]:
    """A sentence for each key that was given and changes nothing in this version."""
    keys = {"$.claimAfter": "claimAfter", "$.leaderElection": "leaderElection"}
    return [
        f"{where.file}:{where.line(at)}: {name} is read, but does nothing in this version"
        for at, name in keys.items()
        if at in where
    ]
