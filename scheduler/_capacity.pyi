from scheduler.model.arrays import I8, I16, I32, I64

def capacity(
    free: I64, slots: I64, reason: I16, request: I64, exclusive: bool, cap: I64
) -> None: ...
def roll_up(parent: I32, node_parent: I32, cap: I64, sums: I64) -> None: ...
def refresh_rows(
    parent: I32,
    node_parent: I32,
    rows: I32,
    free: I64,
    slots: I64,
    reason: I16,
    request: I64,
    exclusive: bool,
    cap: I64,
    sums: I64,
) -> None: ...
def take(rows: I32, request: I64, free: I64, slots: I64, touched: I32) -> int: ...
def segment_sums(
    parent: I32, level: I8, sums: I64, size: int, segment_level: int, whole: I64
) -> None: ...
