"""Kernels against their readable twins."""
