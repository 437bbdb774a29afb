"""Pure planning: plan(snapshot, pending, policy, now) -> Plan. No I/O, clock or logging."""

from scheduler.plan.cycle import plan

__all__ = ["plan"]
