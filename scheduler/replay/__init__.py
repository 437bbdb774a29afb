"""File edge: traces and their importers, the virtual clock, peers' policies, metrics, reports."""
