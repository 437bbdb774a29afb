"""Volumes: what a pod mounts, what the cluster knows of it, and where that lets the pod go.

values     claims, volumes, classes and drivers as plain values; what one pod mounts
decode     the API's objects as these values
in_tree    volumes of plugins that moved out of the tree, as their CSI drivers know them
storage    all of them by name; users: which pods with volumes are on which node
prefilter, restrictions, limits, binding, zone    kube-scheduler's rules, one module each
verdicts   what the four plugins answer for one pod and many nodes
"""
