"""Muster: a Kubernetes scheduler whose unit of work is the workload, not the pod."""

__version__ = "0.1.0"
