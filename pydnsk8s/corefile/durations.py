"""Spans of time as the Corefile writes them: ``300ms``, ``1m30s``, ``1.5h``."""

from __future__ import annotations

import re

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"([0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(h|ms|m|s|us|µs|μs|ns)")
_SPAN = re.compile(rf"([-+]?)((?:{_PART.pattern}){{1,20}})")
_LONGEST = 2**63 / 1e9  # seconds; CoreDNS counts nanoseconds in 63 bits


def parse(text: str) -> float:
    """The seconds that a span such as ``-1.5h`` or ``0`` means; ValueError if it is none."""
    if text in ("0", "+0", "-0"):
        return 0.0
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"not a duration: {text!r}")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(match[2]))
    if seconds > _LONGEST:
        raise ValueError(f"too long a duration: {text!r}")
    return -seconds if match[1] == "-" else seconds


def text(seconds: float) -> str:
    """The span in words that :func:`parse` reads, such as ``1m30s``."""
    sign, left = ("-" if seconds < 0 else ""), round(abs(seconds) * 1e9)
    parts = []
    for unit in ("h", "m", "s", "ms", "us", "ns"):
        number, left = divmod(left, round(_UNITS[unit] * 1e9))
        if number:
            parts.append(f"{number}{unit}")
    return sign + "".join(parts) or "0s"
