"""What has been asked before, roughly and in little room: whom the gate lets in when it holds much."""

from __future__ import annotations


class Door:
    """Knows what has knocked before: one bit a question, forgotten when too many are set.

    Two questions may share a bit; then one is let in that was asked only once, which does no harm.
    """

    __slots__ = ("_bits", "_mask", "_most", "_set")

    def __init__(self, questions: int) -> None:
        self._bits = bytearray(1 << (8 * questions).bit_length())
        self._mask = len(self._bits) * 8 - 1
        self._most = questions * 4
        self._set = 0

    def knows(self, key: bytes) -> bool:
        """Whether the question has knocked before; it has from now on."""
        place, bits = hash(key) & self._mask, self._bits
        held, bit = bits[place >> 3], 1 << (place & 7)
        if held & bit:
            return True
        bits[place >> 3] = held | bit
        self._set += 1
        if self._set > self._most:
            self._bits = bytearray(len(self._bits))
            self._set = 0
        return False
