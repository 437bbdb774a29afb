"""Filling a cluster with pods that share GPUs: the experiment of FGD (ATC'23), and only that.

Six policies choose a node, and a device for a pod that shares one. Nothing of this is part of
the planner: production gives whole devices away, and the device is the kubelet's to choose.
"""
