"""Bytes of lists and watches, cut anywhere, as objects; what cannot be read is named."""

from __future__ import annotations

import json
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.kube.frames import Bad, Bookmark, Failed, Frames, Gone, Lines, Put
from scheduler.kube.resources import ALL, NODES, PODS, STATEFUL_SETS, Resource
from tests.kube.model_server import Thing, bookmark, line, status

TEXTS = st.lists(st.binary(max_size=12).map(lambda text: text.replace(b"\n", b"")))


@given(lines=TEXTS, cuts=st.lists(st.integers(0, 200)), rest=st.sampled_from([b"", b"cut"]))
def test_lines_come_out_whole_wherever_they_were_cut(
    lines: list[bytes], cuts: list[int], rest: bytes
) -> None:
    """Every line once, in order; what has no end yet is kept back."""
    whole = b"".join(text + b"\n" for text in lines)
    data = whole + rest
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    framer = Lines()
    out = [framer.feed(data[a:b]) for a, b in pairwise(edges)]
    assert b"".join(out) == whole
    assert all(part.endswith(b"\n") for part in out if part)
    assert framer.feed(b"\n") == (rest + b"\n")


def test_cleared_framer_forgets_half_a_line() -> None:
    """The first bytes of the next stream are not glued to it."""
    framer = Lines()
    framer.feed(b"half")
    framer.clear()
    assert framer.feed(b"new\n") == b"new\n"


@pytest.mark.parametrize("resource", ALL, ids=lambda resource: resource.kind)
def test_every_kind_of_frame_is_told_apart(resource: Resource) -> None:
    """For each resource, whatever its struct requires: a Status decodes as some of them."""
    thing = {"metadata": {"name": "x", "uid": "u", "resourceVersion": "5"}, "more": [1]}
    frames = Frames(resource)
    good = line("ADDED", thing) + b"\n" + line("DELETED", thing) + bookmark(7)
    added, deleted, mark = frames.events(good)
    assert isinstance(added, Put)
    assert isinstance(added.object, resource.type)
    assert isinstance(deleted, Gone)
    assert mark == Bookmark("7", listed=False)
    both = frames.events(line("MODIFIED", thing) + line("ERROR", status(410, "Expired")))
    assert isinstance(both[0], Put)
    assert isinstance(both[1], Failed)
    assert (both[1].status.code, both[1].status.reason) == (410, "Expired")


def test_end_of_the_list_part_is_marked() -> None:
    """Only by the annotation with the value true."""
    frames = Frames(PODS)
    assert frames.events(bookmark(9, end=True)) == [Bookmark("9", listed=True)]


def test_one_bad_line_does_not_hide_its_neighbours() -> None:
    """What stands in the same buffer is read all the same."""
    good = line("ADDED", Thing("a/x", "u1", 1).json())
    odd = line("MODIFIED", Thing("a/y", "u2", 2, odd=True).json())
    out = Frames(PODS).events(good + odd + b"{oops\n" + good)
    assert [type(frame) for frame in out] == [Put, Bad, Bad, Put]
    assert isinstance(out[1], Bad)
    assert (
        out[1].what == "Pod a/y: Expected `array | null`, got `int` - at `$.object.spec.containers`"
    )
    assert out[1].name is not None
    assert (out[1].name.uid, out[1].name.resource_version, out[1].gone) == ("u2", "2", False)
    assert isinstance(out[2], Bad)
    assert out[2].name is None


def test_deletion_that_cannot_be_decoded_still_names_its_object() -> None:
    """So that it is known to be gone."""
    (frame,) = Frames(PODS).events(line("DELETED", Thing("a/y", "u2", 2, odd=True).json()))
    assert isinstance(frame, Bad)
    assert frame.gone
    assert frame.name is not None


def test_page_with_a_bad_item_is_read_item_by_item() -> None:
    """The others are there; the head too."""
    items = [Thing("a/x", "u1", 1).json(), Thing("a/y", "u2", 2, odd=True).json(), 7]
    body = {"metadata": {"resourceVersion": "9", "continue": "t"}, "items": items}
    head, found = Frames(PODS).page(json.dumps(body).encode())
    assert (head.resource_version, head.continue_) == ("9", "t")
    assert [type(item) for item in found] == [Put, Bad, Bad]


def test_page_without_items() -> None:
    """An empty list is written as null by some servers."""
    head, found = Frames(NODES).page(b'{"metadata":{"resourceVersion":"9"},"items":null}')
    assert (head.resource_version, head.continue_, found) == ("9", None, [])


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"items":[]}'])
def test_what_is_no_page_is_refused(body: bytes) -> None:
    """An answer of a proxy is no list."""
    with pytest.raises(msgspec.MsgspecError):
        Frames(NODES).page(body)


def test_paths_of_resources() -> None:
    """The core group, named groups, and objects inside and outside namespaces."""
    assert STATEFUL_SETS.path == "/apis/apps/v1/statefulsets"
    assert NODES.object_path("ignored", "n/1") == "/api/v1/nodes/n%2F1"
    assert PODS.object_path("a", "x") == "/api/v1/namespaces/a/pods/x"
