"""End-to-end tests on a real control plane, and what they stand on (docs/testing.md)."""
