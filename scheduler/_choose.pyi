from scheduler.model.arrays import I8, I32, I64

def tight_nodes(
    own_start: I32, end: I32, order: I32, cap: I64, members: int, domains: I32, best: I32
) -> int: ...
def most(
    level: I8,
    start: I32,
    end: I32,
    ancestor: I32,
    permitted: I32,
    sums: I64,
    whole: I64,
    n: int,
    size: int,
    segment_level: int,
    out: I64,
) -> None: ...
def choose(
    parent: I32,
    level: I8,
    start: I32,
    end: I32,
    path_rank: I32,
    position: I32,
    ancestor: I32,
    cap: I64,
    sums: I64,
    whole: I64,
    tight: I32,
    m: int,
    size: int,
    segment_level: int,
    required: int,
    within: int,
    preferred: int,
    single: bool,
    out: I64,
) -> None: ...
