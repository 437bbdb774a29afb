"""Documents of a running scheduler as lines and tables for people. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from scheduler.model.names import plural
from scheduler.model.resources import CPU, EPHEMERAL_STORAGE, MEMORY
from scheduler.serve.protocol import Document
from scheduler.settings_file import SECOND_US, Duration

Row = dict[str, Any]

MOST_SHOWN = 10
"""Domains of one level that a table shows."""
_CALM = ("placed",)
"""States of gangs that nobody needs to look at."""
_GIB = 1 << 30


def elapsed(us: int) -> str:
    """`1h2m`, `12m3s`, `4s`: two units at most."""
    seconds = max(us, 0) // SECOND_US
    if seconds >= 3_600:
        seconds -= seconds % 60
    if seconds >= 86_400:
        seconds -= seconds % 3_600
    return str(Duration(seconds * SECOND_US))


def clock(us: int) -> str:
    """The time of day, UTC."""
    return datetime.fromtimestamp(us // SECOND_US, UTC).strftime("%H:%M:%S UTC")


# ---- status


def health_lines(ready: Document) -> list[str]:
    """One line if all is well, else what is not."""
    if ready["ok"]:
        return ["The scheduler is ready."]
    bad = [f"{check['name']}: {check['text']}" for check in ready["checks"] if not check["ok"]]
    return ["The scheduler is NOT ready:", *(f"  {line}" for line in bad)]


def status_lines(status: Document) -> list[str]:
    """Numbers of the cluster, the queue and the binder, a line each."""
    gangs = ", ".join(f"{n:,} {state}" for state, n in status["gangs"].items()) or "none"
    profiles = status["profiles"]
    levels = "" if len(profiles) > 1 else _levels(status["domains"])
    nodes = f"{status['nodes']:,}" + (f" in {levels}" if levels else "")
    if status["cordoned"]:
        nodes += f", {status['cordoned']:,} cordoned"
    pods, binder = status["pods"], status["binder"]
    found = f"{pods['on_nodes']:,} on nodes, {pods['queued']:,} in the queue"
    binds = f"{binder['waiting']:,} to be sent, {binder['in_flight']:,} of at most"
    return [
        f"gangs   {gangs}",
        f"nodes   {nodes}",
        f"pods    {found}, {pods['assumed']:,} being bound",
        f"binds   {binds} {binder['window']:,} under way",
        *(_profile(each) for each in profiles if len(profiles) > 1),
    ]


def _levels(domains: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {plural(level)}" for level, count in domains.items())


def _profile(profile: Document) -> str:
    """One scheduler of several: what it calls the network, and who waits for it."""
    levels = _levels(profile["domains"]) or "no levels"
    queued = f"{profile['queued']:,} {'gang' if profile['queued'] == 1 else 'gangs'}"
    return f"{profile['scheduler']}   {levels}; {queued} queued"


def resource_rows(status: Document) -> list[Row]:
    """What is free of each resource, in the units of people."""
    return [
        {
            "resource": row["resource"],
            "allocatable": _amount(row["resource"], row["allocatable"]),
            "free": _amount(row["resource"], row["free"]),
            "free_share": f"{row['free'] * 100 // max(row['allocatable'], 1)} %",
        }
        for row in status["resources"]
    ]


def _amount(resource: str, amount: int) -> str:
    if resource == CPU:
        return f"{amount / 1_000:,.0f} cores"
    if resource in {MEMORY, EPHEMERAL_STORAGE} or resource.startswith("hugepages-"):
        return f"{amount / _GIB:,.0f} GiB"
    return f"{amount:,}"


def gang_rows(gangs: Sequence[Document], *, everybody: bool) -> list[Row]:
    """A row per gang, of those that need attention or of all."""
    return [
        {
            "gang": gang["gang"],
            **({"scheduler": gang["scheduler"]} if gang["scheduler"] else {}),
            "state": gang["state"],
            "wanted": gang["wanted"],
            "bound": gang["bound"],
            "domain": gang["domain"],
            "waits": "" if gang["waits_s"] is None else elapsed(gang["waits_s"] * SECOND_US),
            "reason": gang["reason"],
            "sentence": gang["sentence"],
        }
        for gang in gangs
        if everybody or gang["state"] not in _CALM or gang["waits_s"] is not None
    ]


# ---- explain


def explain_lines(doc: Document) -> list[str]:
    """The answer first: who, in which state, why."""
    state = doc["state"].replace("_", " ")
    head = f"{doc['gang']} is {state}" + (f": {doc['reason']}" if doc["reason"] else "")
    said = [doc["sentence"], *([doc["available"]] if doc["available"] else [])]
    return [head, *(f"  {line}" for line in [*said, *_timing(doc)])]


def _timing(doc: Document) -> list[str]:
    parts = []
    if doc["members"]["without_node"]:
        parts.append(f"waiting for {elapsed(doc['now_us'] - doc['since_us'])}")
    if doc["tried_us"] is not None and doc["reason"]:
        parts.append(f"last tried {elapsed(doc['now_us'] - doc['tried_us'])} ago")
    queue = doc["queue"]
    if queue is not None:
        parts.append(f"number {queue['place']:,} of {queue['of']:,} in the queue")
        if queue["not_before_us"] is not None:
            parts.append(f"backs off until {clock(queue['not_before_us'])}")
        if queue["retry_us"] is not None:
            parts.append(f"tried again at {clock(queue['retry_us'])}")
    return ["; ".join(parts)] if parts else []


def fact_rows(doc: Document) -> list[Row]:
    """A small table: members, place, what was asked for, what is odd."""
    members = doc["members"]
    counts = [
        f"{members['wanted']:,} wanted" + _least(members),
        f"{members['bound']:,} on nodes",
        *([f"{members['binding']:,} being bound"] if members["binding"] else []),
        *([f"{members['without_node']:,} without a node"] if members["without_node"] else []),
    ]
    facts: list[tuple[str, str]] = [("members", ", ".join(counts))]
    facts += [("scheduler", doc["scheduler"])] if doc["scheduler"] else []
    facts += [("where", doc["domain"])] if doc["domain"] else []
    facts.append(("asked for", _asked(doc["wishes"])))
    facts += [("priority", f"{doc['priority']:,}")] if doc["priority"] else []
    facts += [("not supported", text) for text in doc["unsupported"]]
    facts += [("noticed", text) for text in doc["problems"]]
    facts += [("blocked by", text) for text in doc["blocked_by"]]
    facts += [
        ("claims", f"{claim['level']} {claim['domain']} until {clock(claim['until_us'])}")
        for claim in doc["claims"]
    ]
    if doc["holds"]:
        until = min(hold["until_us"] for hold in doc["holds"])
        facts.append(("holds", f"room for {len(doc['holds']):,} members, until {clock(until)}"))
    return [{"fact": name, "is": text} for name, text in facts]


def _least(members: Mapping[str, int]) -> str:
    return f" (at least {members['minimum']:,})" if members["minimum"] < members["wanted"] else ""


def _asked(wishes: Mapping[str, Any]) -> str:
    parts = []
    if wishes["required"]:
        parts.append(f"one {wishes['required']}, required")
    elif wishes["preferred"]:
        parts.append(f"one {wishes['preferred']}, preferred")
    if wishes["segment_size"]:
        parts.append(f"every {wishes['segment_size']} in one {wishes['segment_topology']}")
    return ", ".join(parts) or "nothing about the network"


def place_rows(doc: Document) -> list[Row]:
    """Members per domain of each level, root first; the largest domains."""
    rows: list[Row] = []
    for level in doc["placed"]:
        shown = level["members"][:MOST_SHOWN]
        rows += [
            {"level": level["level"], "domain": one["domain"] or "(none)",
             "members": one["members"]}
            for one in shown
        ]  # fmt: skip
        if level["domains"] > len(shown):
            more = f"{level['domains'] - len(shown):,} more"
            rows.append({"level": level["level"], "domain": more, "members": None})
    return rows


def rank_rows(doc: Document) -> list[Row]:
    """A row per member that the scheduler listed."""
    return [dict(row) for row in doc["ranks"]]


def rank_note(doc: Document) -> str:
    """How many members are not listed; empty if all are."""
    listed, all_ = len(doc["ranks"]), doc["ranks_in_all"]
    return "" if listed == all_ else f"the {listed:,} lowest ranks of {all_:,} are listed"
