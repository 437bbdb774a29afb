"""The only mutable model, with one writer: cache, holds, claims, queue; freeze() -> Snapshot."""
