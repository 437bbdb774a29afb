from scheduler.model.arrays import I8, I32, I64

def descend(
    parent: I32,
    first_child: I32,
    level: I8,
    start: I32,
    end: I32,
    own_start: I32,
    path_rank: I32,
    order: I32,
    cap: I64,
    sums: I64,
    whole: I64,
    top: int,
    size: int,
    segment_level: int,
    levels: int,
    share: I64,
    value: I64,
    heap: I32,
    stack: I32,
    rows: I32,
) -> int: ...
