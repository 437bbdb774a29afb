"""What a node gives to one pod only: which names of it clash."""

from __future__ import annotations

from itertools import product

import pytest

from scheduler.model.shape import Shape
from scheduler.model.tokens import (
    DISK_IN_USE,
    clash,
    disk_rivals,
    disk_token,
    port_token,
    rbd_tokens,
    token_reason,
)


@pytest.mark.parametrize(("mine", "other"), [*product((False, True), repeat=2)])
def test_a_disk_clashes_unless_both_only_read_it(mine: bool, other: bool) -> None:
    """The same disk of the same kind; names are kept apart whatever characters they have."""
    wanted = disk_token("gce-pd", "a:ro/b", read_only=mine)
    assert clash(wanted, disk_token("gce-pd", "a:ro/b", read_only=other)) != (mine and other)
    assert not clash(wanted, disk_token("iscsi", "a:ro/b", read_only=other))
    assert not clash(wanted, disk_token("gce-pd", "a/b", read_only=other))


def test_rivals_of_a_disk_are_what_clashes_with_it() -> None:
    """So that who has it is found by look-ups."""
    both = disk_token("ebs", "v"), disk_token("ebs", "v", read_only=True)
    for token in both:
        assert {other for other in both if clash(token, other)} == set(disk_rivals(token))


def test_an_image_is_the_same_if_a_monitor_is() -> None:
    """One token for each monitor; an image without any clashes with nothing."""
    one = rbd_tokens(["m1", "m2"], "p", "i")
    other = rbd_tokens(["m2", "m3"], "p", "i", read_only=True)
    assert any(clash(a, b) for a in one for b in other)
    assert not any(clash(a, b) for a in one for b in rbd_tokens(["m3"], "p", "i"))
    assert not any(clash(a, b) for a in one for b in rbd_tokens(["m1"], "p/i", ""))
    assert rbd_tokens([], "p", "i") == set()


@pytest.mark.parametrize(
    ("tokens", "alone"),
    [
        ((), False),
        ((port_token(80),), True),
        ((disk_token("ebs", "v"),), True),
        ((disk_token("gce-pd", "d", read_only=True),), False),
        ((disk_token("gce-pd", "d"), disk_token("gce-pd", "d", read_only=True)), True),
    ],
)
def test_a_shape_is_exclusive_if_two_of_it_clash(tokens: tuple[str, ...], alone: bool) -> None:
    """Pods that only read a disk share the node."""
    assert Shape((1,), tokens=tokens).exclusive is alone


def test_reasons_name_what_is_in_use() -> None:
    """Disks are told as one reason: every pod may have one of its own."""
    assert token_reason(port_token(80, "UDP", "10.0.0.1")) == "host port UDP/80@10.0.0.1 in use"
    assert token_reason(disk_token("ebs", "v")) == DISK_IN_USE
