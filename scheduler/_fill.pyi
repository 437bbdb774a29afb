from scheduler.model.arrays import I8, I32, I64, U8

def fill(
    policy: int,
    kinds: I64,
    may_use: U8,
    typical: I64,
    typical_may_use: U8,
    threshold: I64,
    model: I32,
    devices: I64,
    arrivals: I32,
    draws: I64,
    free: I64,
    idle: I64,
    groups: I64,
    frag: I64,
    score: I8,
    work: I64,
    node: I32,
    amount: I64,
) -> None: ...
