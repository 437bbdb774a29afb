"""The recorded corpus: cases and kube-scheduler's verdicts on them, so that Go is not needed."""

from __future__ import annotations

import json
import lzma
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.verdicts.compare import verdicts_of
from tests.verdicts.world import Json

CORPUS = Path(__file__).with_name("corpus")
LARGEST = 2 * 1024 * 1024
"""Bytes of all files together."""

_VALUED = frozenset({
    "operator", "effect", "whenUnsatisfiable", "nodeAffinityPolicy", "nodeTaintsPolicy", "hostIP",
    "protocol", "restartPolicy", "action", "hostNetwork", "hostUsers", "topologyKey", "phase",
    "readOnly", "reason", "volumeMode", "volumeBindingMode", "provisioner", "minDomains",
    "storageCapacity", "unschedulable", "kind",
})  # fmt: skip
"""Fields whose values are edges of their own; of others it counts that they are there."""
_NAMES = re.compile(r'"[^"]*"|\S*/\S*')


def path_of(aim: str) -> Path:
    """The file of cases that aim at one filter."""
    return CORPUS / f"{aim}.jsonl.xz"


def read(path: Path) -> Iterator[tuple[Json, dict[str, Any]]]:
    """(case, the oracle's answer) of one file, in the order in which they were recorded."""
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        for each in lines:
            case = json.loads(each)
            answer = case.pop("answer")
            yield case, {"id": case["id"], **answer}


def write(path: Path, found: list[tuple[Json, dict[str, Any]]]) -> None:
    """Replace one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with lzma.open(path, "wt", preset=9 | lzma.PRESET_EXTREME, encoding="utf-8") as lines:
        for case, answer in found:
            kept = {key: value for key, value in answer.items() if key != "id"}
            record = {**case, "answer": kept}
            lines.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")


def outcomes(answer: dict[str, Any], nodes: int) -> set[str]:
    """Each distinct verdict of a case without the names in it, and `passes`."""
    found = verdicts_of(answer)
    texts = {
        f"{each['plugin']} {each['code']} {_NAMES.sub('#', ', '.join(each['reasons']))}"
        for each in found.values()
    }
    return texts | ({"passes"} if len(found) < nodes and "*" not in found else set())


def marks(case: Json, answer: dict[str, Any]) -> set[str]:
    """What a case shows: its outcomes, its fields and operators, and each pair of these."""
    results = outcomes(answer, len(case["nodes"]))
    fields = set(_fields(case["pod"]["spec"], "pod"))
    for each in case["objects"]:
        fields |= set(_fields(each, each["kind"]))
    for each in case["nodes"]:
        fields |= set(_fields(each["spec"], "node"))
    for each in case["pods"]:
        fields |= set(_fields(each["spec"].get("affinity", {}), "other"))
    if "+" in case["id"]:  # which of its fields led to which outcome is not to be seen
        return results | fields
    return results | {f"{each} {result[:40]}" for each in fields for result in results}


def _fields(node: Any, here: str) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            simple = not isinstance(value, dict | list)
            yield f"{here}.{key}={value}" if simple and key in _VALUED else f"{here}.{key}"
            yield from _fields(value, f"{here}.{key}")
    if isinstance(node, list):
        yield f"{here}[{min(len(node), 2)}]"
        for value in node:
            yield from _fields(value, here)
