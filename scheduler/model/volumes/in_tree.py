"""Volumes of in-tree plugins that were moved to CSI, as the CSI driver knows them.

Source: k8s.io/csi-translation-lib v0.36.3, plugins/*.go. Azure File and vSphere are translated
there too, but no filter of kube-scheduler counts or translates them (isCSIMigrationOn of
plugins/nodevolumelimits/utils.go names the five below).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from scheduler.model.constraints import Requirement, Term

EBS = "kubernetes.io/aws-ebs"
GCE_PD = "kubernetes.io/gce-pd"
AZURE_DISK = "kubernetes.io/azure-disk"
CINDER = "kubernetes.io/cinder"
PORTWORX = "kubernetes.io/portworx-volume"

CSI_NAMES: Mapping[str, str] = {
    EBS: "ebs.csi.aws.com",
    GCE_PD: "pd.csi.storage.gke.io",
    AZURE_DISK: "disk.csi.azure.com",
    CINDER: "cinder.csi.openstack.org",
    PORTWORX: "pxd.portworx.com",
}
"""In-tree plugin -> the CSI driver that took over."""
UNCOUNTED = frozenset({"kubernetes.io/azure-file", "kubernetes.io/vsphere-volume"})
"""In-tree provisioners that are known as migratable and yet never counted."""

ZONE = "topology.kubernetes.io/zone"
REGION = "topology.kubernetes.io/region"
BETA_ZONE = "failure-domain.beta.kubernetes.io/zone"
BETA_REGION = "failure-domain.beta.kubernetes.io/region"
ZONES_APART = "__"
"""What stands between the zones of a label of a volume."""

_ZONE_KEYS: Mapping[str, str] = {
    EBS: "topology.ebs.csi.aws.com/zone",
    GCE_PD: "topology.gke.io/zone",
    CINDER: "topology.cinder.csi.openstack.org/zone",
}
_UNSPECIFIED = "UNSPECIFIED"
_EBS_URL = "aws://"
_EBS_ID = re.compile(r"vol-[^/\n]*")
_ZONE_PARTS = 3


@dataclass(frozen=True, slots=True)
class InTree:
    """One volume of an in-tree plugin."""

    plugin: str
    handle: str
    """volumeHandle that its CSI driver gives it."""
    problem: str = ""
    """Why it cannot be translated; `handle` is empty then."""

    @property
    def driver(self) -> str:
        """Name of the CSI driver."""
        return CSI_NAMES[self.plugin]


def ebs(volume_id: str) -> InTree:
    """An EBS volume: `aws://ZONE/vol-...` or the bare id."""
    if not volume_id.startswith(_EBS_URL):
        return InTree(EBS, volume_id)
    try:
        path = unquote(urlsplit(volume_id).path).strip("/")
    except ValueError as error:
        return InTree(EBS, "", _ebs_problem(f"Invalid disk name ({volume_id}): {error}"))
    if _EBS_ID.fullmatch(path) is None:
        return InTree(EBS, "", _ebs_problem(f"Invalid format for AWS volume ({volume_id})"))
    return InTree(EBS, path)


def _ebs_problem(what: str) -> str:
    return f"failed to translate Kubernetes ID to EBS Volume ID {what}"


def gce_disk(name: str, labels: Mapping[str, str] | None = None) -> InTree:
    """A GCE persistent disk; `labels` of its PersistentVolume name its zones (None = inline)."""
    found = labels or {}
    zones = (found.get(BETA_ZONE) or found.get(ZONE, "")).split(ZONES_APART)
    if len(zones) == 1:
        return InTree(GCE_PD, _gce_handle("zones", zones[0] or _UNSPECIFIED, name))
    region, problem = _region(zones)
    if problem:
        return InTree(GCE_PD, "", f"failed to get region from zones: {problem}")
    return InTree(GCE_PD, _gce_handle("regions", region, name))


def _gce_handle(kind: str, place: str, name: str) -> str:
    return f"projects/{_UNSPECIFIED}/{kind}/{place}/disks/{name}"


def _region(zones: Sequence[str]) -> tuple[str, str]:
    """(the one region of all zones, what is wrong or empty)."""
    regions: set[str] = set()
    for zone in zones:
        parts = zone.split("-")
        if len(parts) != _ZONE_PARTS:
            form = "{locale}-{region}-{zone}"
            return "", f"zone in unexpected format, expected: {form}, got: {zone}"
        regions.add("-".join(parts[:2]))
    if len(regions) != 1:
        shown = " ".join(f"{region}:{{}}" for region in sorted(regions))
        return "", f"multiple or no regions gotten from zones, got: map[{shown}]"
    return regions.pop(), ""


def azure_disk(uri: str, kind: str | None) -> InTree:
    """An Azure disk; only managed ones were moved."""
    if kind is not None and kind.lower() != "managed":
        return InTree(AZURE_DISK, "", f"kind({kind}) is not supported in csi migration")
    return InTree(AZURE_DISK, uri)


def translated_terms(
    plugin: str, terms: Sequence[Term] | None, labels: Mapping[str, str]
) -> tuple[Term, ...] | None:
    """Node affinity of a PersistentVolume after translation to CSI (None = any node).

    terms: as the volume carries them; None = no required node affinity.
    """
    key = _ZONE_KEYS.get(plugin)
    if key is None:
        return None if terms is None else tuple(terms)
    known = tuple(terms or ())
    zone, region = _labels_in_use(known, labels)
    renamed = {}
    if _values(known, zone):
        renamed[zone] = key
    elif zone in labels:
        known = _with_zones(known, key, labels[zone])
    if region == BETA_REGION and _values(known, region):
        renamed[region] = REGION
    if not known and terms is None:
        return None
    return tuple(_renamed(term, renamed) for term in known)


def _labels_in_use(terms: Sequence[Term], labels: Mapping[str, str]) -> tuple[str, str]:
    """(zone label, region label): the stable pair or the beta one, affinity before labels."""
    asked = {each.key for term in terms for each in term.expressions}
    for known in (asked, labels):
        if ZONE in known:
            break
        if BETA_ZONE in known:
            return BETA_ZONE, BETA_REGION
    return ZONE, REGION


def _values(terms: Sequence[Term], key: str) -> bool:
    return any(each.values for term in terms for each in term.expressions if each.key == key)


def _with_zones(terms: tuple[Term, ...], key: str, label: str) -> tuple[Term, ...]:
    zones = tuple(sorted({z.strip() for z in label.split(ZONES_APART)} - {""}))
    if not zones:
        return terms
    wanted = Requirement(key, "In", zones)
    return tuple(Term((*t.expressions, wanted), t.fields) for t in terms or (Term(),))


def _renamed(term: Term, names: Mapping[str, str]) -> Term:
    if not names:
        return term
    expressions = tuple(
        Requirement(names.get(each.key, each.key), each.operator, each.values)
        for each in term.expressions
    )
    return Term(expressions, term.fields)
