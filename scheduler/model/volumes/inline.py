"""Inline volumes of pods: the tokens of those that clash, and what CSI drivers make of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

import msgspec

from scheduler.model.pod_objects import Volume
from scheduler.model.tokens import disk_token, rbd_tokens
from scheduler.model.volume_objects import (
    AzureDiskSource,
    CinderSource,
    EBSSource,
    GCEDiskSource,
    ISCSISource,
    PortworxSource,
    RBDSource,
)
from scheduler.model.volumes import in_tree
from scheduler.model.volumes.in_tree import InTree

T = TypeVar("T")


def plain(volumes: Iterable[Volume]) -> bool:
    """Whether no filter looks at any of these: so it is with most pods."""
    for v in volumes:
        if (
            v.persistent_volume_claim is not None
            or v.ephemeral is not None
            or v.gce_persistent_disk is not None
            or v.aws_elastic_block_store is not None
            or v.azure_disk is not None
            or v.cinder is not None
            or v.portworx_volume is not None
            or v.rbd is not None
            or v.iscsi is not None
        ):
            return False
    return True


def inline(found: Volume) -> InTree | None:
    """An inline volume that CSI handles. Raises msgspec.ValidationError."""
    if found.aws_elastic_block_store is not None:
        return in_tree.ebs(_as(EBSSource, found.aws_elastic_block_store).volume_id)
    if found.gce_persistent_disk is not None:
        return in_tree.gce_disk(_as(GCEDiskSource, found.gce_persistent_disk).pd_name)
    if found.azure_disk is not None:
        disk = _as(AzureDiskSource, found.azure_disk)
        return in_tree.azure_disk(disk.disk_uri, disk.kind)
    if found.cinder is not None:
        return InTree(in_tree.CINDER, _as(CinderSource, found.cinder).volume_id)
    if found.portworx_volume is not None:
        return InTree(in_tree.PORTWORX, _as(PortworxSource, found.portworx_volume).volume_id)
    return None


def disk_tokens(found: Volume) -> set[str]:
    """Tokens of an inline disk that clashes with others. Raises msgspec.ValidationError."""
    return set(_disk_tokens(found))


def readable_tokens(volumes: Iterable[Volume]) -> tuple[set[str], bool]:
    """(tokens of all inline disks, whether each could be read)."""
    tokens: set[str] = set()
    try:
        for found in volumes:
            tokens |= disk_tokens(found)
    except msgspec.ValidationError:
        return tokens, False
    return tokens, True


def _disk_tokens(found: Volume) -> Iterator[str]:
    if found.gce_persistent_disk is not None:
        gce = _as(GCEDiskSource, found.gce_persistent_disk)
        yield disk_token("gce-pd", gce.pd_name, read_only=bool(gce.read_only))
    if found.aws_elastic_block_store is not None:
        yield disk_token("ebs", _as(EBSSource, found.aws_elastic_block_store).volume_id)
    if found.iscsi is not None:
        iscsi = _as(ISCSISource, found.iscsi)
        yield disk_token("iscsi", iscsi.iqn, read_only=bool(iscsi.read_only))
    if found.rbd is not None:
        rbd = _as(RBDSource, found.rbd)
        yield from rbd_tokens(
            rbd.monitors or (), rbd.pool or "", rbd.image, read_only=bool(rbd.read_only)
        )


def _as(kind: type[T], raw: Mapping[str, object]) -> T:
    return msgspec.convert(raw, kind)
