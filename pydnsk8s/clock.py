"""The one clock that answers age by; tests put their own in its place."""

from __future__ import annotations

import time
from collections.abc import Callable

now: Callable[[], float] = time.monotonic
"""Seconds that never go back; call it as ``clock.now()``, so that a replacement is seen."""
