"""Muster's filters against kube-scheduler's own code, case by case."""
