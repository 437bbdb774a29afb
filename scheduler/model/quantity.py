"""Quantities as Kubernetes reads them (`100m`, `1.5Gi`, `1e3`), in integers only.

Source of every rule: `ParseQuantity` and `ScaledValue` of k8s.io/apimachinery v0.36
(pkg/api/resource). A quantity is an exact number of nano units (10**-9) in a Python int:
amounts are added as they are and rounded once, away from zero, to the unit asked for
(`500n` of CPU is 1 milli, `1.5` of anything else is 2). The same holds below zero, where
Kubernetes itself is of two minds (`-1.6n` is 1 milli there); no valid request is negative.

- A non-zero value below one nano counts as one nano.
- A binary suffix (`Ki` .. `Ei`) caps the value at 2**63 - 1, silently: `9Ei` is 2**63 - 1.
- `12E` is twelve exa; `12E3` and `12e3` are exponents. `1K`, `1ki` and `1e3m` are malformed.
- A sign, a point or a suffix without a digit reads as 0 (`+`, `.`, `m`), as it does there,
  except where Kubernetes itself refuses it (`Pi`, `Ei`, `e-10`).
- Here, not there: a value whose magnitude in the unit asked for exceeds 2**63 - 1 is refused.
  Kubernetes leaves that undefined (`10E` reads as 0 there, `8Ei` of CPU as -1000 milli), and
  scheduling by such a number would overcommit. Texts longer than 1000 characters are refused
  too, and so are exponents beyond int32, which Kubernetes cuts off.
"""

from __future__ import annotations

import re
from functools import lru_cache

from scheduler.model.resources import INT64_MAX

NANO = 10**9
"""Nano units in one whole."""
NANO_PER_MILLI = 10**6

_TEXT = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[+-]?[0-9]*)")
_EXPONENT = re.compile(r"[eE]([+-]?[0-9]+)")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_LONGEST = 1000
_INT32_MAX = 2**31 - 1
_MOST_DIGITS = 60
"""Digits of a nano amount that is surely out of range; longer ones are never computed."""
_BINARY_CAP = INT64_MAX * NANO


class QuantityError(ValueError):
    """A text that is no quantity, or an amount out of range; says which and why."""


@lru_cache(maxsize=65_536)
def parse_nano(text: str) -> int:
    """`text` in nano units, exact (finer than nano: away from zero). Raises QuantityError."""
    if not text:
        raise QuantityError("quantity '' is empty")
    if len(text) > _LONGEST:
        raise QuantityError(f"quantity {text[:20]!r}... has {len(text)} characters")
    match = _TEXT.fullmatch(text)
    if match is None:
        raise QuantityError(f"quantity {text!r} is not a number with a suffix such as m, k, Mi, Gi")
    sign, whole, part, suffix = match.groups(default="")
    if suffix in _BINARY:
        amount = _binary(text, whole, part, _BINARY[suffix])
    else:
        amount = _decimal(text, whole, part, _exponent(text, suffix))
    return -amount if sign == "-" else amount


def _exponent(text: str, suffix: str) -> int:
    if suffix in _DECIMAL:
        return _DECIMAL[suffix]
    match = _EXPONENT.fullmatch(suffix)
    if match is None:
        raise QuantityError(f"quantity {text!r} has the unknown suffix {suffix!r}")
    exponent = int(match[1])
    if abs(exponent) > _INT32_MAX:
        raise QuantityError(f"quantity {text!r} has an exponent out of range")
    return exponent


def _decimal(text: str, whole: str, part: str, exponent: int) -> int:
    digits = (whole + part).lstrip("0")
    if not whole and not part and exponent < _DECIMAL["n"]:
        raise QuantityError(f"quantity {text!r} has no digit")
    if not digits:
        return 0
    shift = exponent - len(part) + 9
    if len(digits) + shift > _MOST_DIGITS:
        raise QuantityError(f"quantity {text!r} is out of range")
    if shift >= 0:
        return int(digits) * _power(shift)
    kept, cut = digits[:shift], digits[shift:]
    return int(kept or "0") + (cut.strip("0") != "")


def _binary(text: str, whole: str, part: str, exponent: int) -> int:
    if not whole and not part and exponent >= _BINARY["Pi"]:
        raise QuantityError(f"quantity {text!r} has no digit")
    scaled = int(whole + part or "0") * (NANO << exponent)
    return min(-(-scaled // _power(len(part))), _BINARY_CAP)


def _power(exponent: int) -> int:
    ten_to_the: int = 10**exponent
    return ten_to_the


def to_milli(nano: int) -> int:
    """Milli units, rounded away from zero. Raises QuantityError beyond 2**63 - 1."""
    return _rounded(nano, NANO_PER_MILLI, "milli")


def to_whole(nano: int) -> int:
    """Whole units, rounded away from zero. Raises QuantityError beyond 2**63 - 1."""
    return _rounded(nano, NANO, "whole")


def _rounded(nano: int, unit: int, name: str) -> int:
    amount = -(-abs(nano) // unit)
    if amount > INT64_MAX:
        raise QuantityError(f"{format_nano(nano)} is out of range in {name} units (int64)")
    return amount if nano >= 0 else -amount


def parse_milli(text: str) -> int:
    """`text` in milli units, as CPU is counted. Raises QuantityError."""
    return to_milli(parse_nano(text))


def parse_whole(text: str) -> int:
    """`text` in whole units (bytes, devices, pods). Raises QuantityError."""
    return to_whole(parse_nano(text))


def format_nano(nano: int) -> str:
    """The shortest text without a fraction: the largest decimal suffix that divides `nano`."""
    if nano == 0:
        return "0"
    for suffix, exponent in sorted(_DECIMAL.items(), key=lambda item: -item[1]):
        amount, rest = divmod(nano, _power(exponent + 9))
        if rest == 0:
            return f"{amount}{suffix}"
    raise AssertionError("every integer is a multiple of one nano")
