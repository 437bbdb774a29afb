"""The planner: decisions, verdicts, invariants."""
