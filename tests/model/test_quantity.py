"""Quantities are read as Kubernetes reads them, and refused where it would overflow."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.model.quantity import (
    QuantityError,
    format_nano,
    parse_milli,
    parse_nano,
    parse_whole,
)

MAX = 2**63 - 1
DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
SUFFIXES = {text: Fraction(10) ** power for text, power in DECIMAL.items()} | {
    text: Fraction(2) ** power for text, power in BINARY.items()
}

# text, milli, whole: what MilliValue() and Value() of k8s.io/apimachinery v0.36.3 answer.
KUBERNETES = [
    ("0", 0, 0),
    ("100m", 100, 1),
    ("1.5Gi", 1_610_612_736_000, 1_610_612_736),
    ("1e3", 1_000_000, 1000),
    ("1E3", 1_000_000, 1000),
    ("1e+3", 1_000_000, 1000),
    ("12E6", 12_000_000_000, 12_000_000),
    ("500n", 1, 1),
    ("1e-18", 1, 1),
    ("1e-2000", 1, 1),
    ("-1e-2000", -1, -1),
    ("-500n", -1, -1),
    ("-1.5", -1500, -2),
    ("-1.0001", -1001, -2),
    ("-.5", -500, -1),
    (".5", 500, 1),
    ("5.", 5000, 5),
    ("+5", 5000, 5),
    ("00012", 12_000, 12),
    ("0.1Ki", 102_400, 103),
    ("0.0Ei", 0, 0),
    ("0e999", 0, 0),
    ("99999999999999999999n", 100_000_000_000_000, 100_000_000_000),
    ("9223372036854775807m", MAX, 9_223_372_036_854_776),
    ("9e15", 9 * 10**18, 9 * 10**15),
    *((text, 0, 0) for text in ("+", "-", ".", "+.", "m", ".m", "E", "e3", "Ki", ".Ti", "e-9")),
]
REFUSED = [
    *("", " 1", "1 ", "1\n", "1Ee", "1E+", "1K", "1ki", "1i", "1e3m", "1m5", "0foo", "0x", "0x1"),
    *("0..1", "1.2.3", "--5", "1,5", "1e1.5", "Pi", "Ei", ".Pi", "e-10", "٣", "1_000", "inf"),
]


@pytest.mark.parametrize(("text", "milli", "whole"), KUBERNETES)
def test_read_as_kubernetes_reads_them(text: str, milli: int, whole: int) -> None:
    """Milli and whole values equal those of apimachinery, rounding included."""
    assert (parse_milli(text), parse_whole(text)) == (milli, whole)


@pytest.mark.parametrize("text", REFUSED)
def test_malformed_texts_are_refused_by_name(text: str) -> None:
    """What apimachinery does not parse is an error that quotes the text."""
    with pytest.raises(QuantityError) as caught:
        parse_nano(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["9223372036854775808", "10E", "12E", "1e400", "1e2147483647", "-9223372036854775808", "1e99"],
)
def test_whole_values_beyond_int64_are_refused(text: str) -> None:
    """Where Kubernetes overflows silently, this says that the amount is out of range."""
    with pytest.raises(QuantityError, match="out of range"):
        parse_whole(text)


@pytest.mark.parametrize("text", ["9223372036854775808m", "8Ei", "5e18"])
def test_range_is_that_of_the_unit_asked_for(text: str) -> None:
    """The same amount may fit as whole units and not as milli."""
    assert parse_whole(text) > 0
    with pytest.raises(QuantityError, match="out of range in milli"):
        parse_milli(text)


@pytest.mark.parametrize("sign", ["", "-"])
def test_binary_suffixes_are_capped(sign: str) -> None:
    """`8Ei` and more read as 2**63 - 1, as in Kubernetes; decimal ones are not capped."""
    capped = [parse_whole(f"{sign}{text}") for text in ("8Ei", "9Ei", "99999999999Ei", "8192Pi")]
    assert [abs(amount) for amount in capped] == [MAX] * 4
    assert abs(parse_whole(f"{sign}7.5Ei")) == 15 * 2**59


def test_absurdly_long_texts_are_refused_quickly() -> None:
    """Neither a million digits nor a huge exponent is ever computed."""
    for text in ("9" * 10**6, "1e99999999999999999999", "1e-99999999999", "0." + "1" * 10**6):
        with pytest.raises(QuantityError):
            parse_nano(text)


numbers = st.from_regex(r"[+-]?([0-9]{1,12}(\.[0-9]{0,12})?|\.[0-9]{1,12})", fullmatch=True)
suffixes = st.sampled_from(sorted(SUFFIXES))
exponents = st.tuples(st.sampled_from("eE"), st.integers(-30, 6)).map(lambda e: f"{e[0]}{e[1]}")


def away_from_zero(value: Fraction) -> int:
    """The definition of rounding, on fractions."""
    magnitude = -((-abs(value)) // 1)
    return magnitude if value >= 0 else -magnitude


@given(numbers, suffixes | exponents)
def test_against_fractions(number: str, suffix: str) -> None:
    """Any number with any suffix equals the same text worked out with fractions."""
    scale = SUFFIXES[suffix] if suffix in SUFFIXES else Fraction(10) ** int(suffix[1:])
    exact = Fraction(number.rstrip(".") if number != "." else "0") * scale
    nano = away_from_zero(exact * 10**9)
    if suffix.endswith("i"):
        nano = max(-MAX * 10**9, min(nano, MAX * 10**9))
    assert parse_nano(number + suffix) == nano
    for unit, parse in ((1000, parse_milli), (1, parse_whole)):
        value = away_from_zero(Fraction(nano * unit, 10**9))
        if abs(value) <= MAX:
            assert parse(number + suffix) == value
        else:
            with pytest.raises(QuantityError, match="out of range"):
                parse(number + suffix)


@given(st.integers(-(10**40), 10**40))
def test_round_trip_through_text(nano: int) -> None:
    """An amount written as the shortest text reads as itself, and the text has no fraction."""
    text = format_nano(nano)
    assert "." not in text
    assert parse_nano(text) == nano
    if nano % 10**21 == 0 and nano:
        assert text.endswith("E")


@given(st.integers(0, MAX))
def test_round_trip_of_units(amount: int) -> None:
    """Plain numbers and milli amounts, the forms that the API server writes, read as they are."""
    assert parse_whole(str(amount)) == amount
    assert parse_milli(f"{amount}m") == amount


@given(st.text(max_size=12))
def test_any_text_is_a_quantity_or_a_quantity_error(text: str) -> None:
    """No text makes it fail in another way."""
    try:
        said: object = parse_nano(text)
    except QuantityError as error:
        said = str(error)
    assert isinstance(said, int) or said
