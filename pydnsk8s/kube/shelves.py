"""What is found under each of very many keys, in memory that neither grows nor is held back as keys come and go."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, Self, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

NUMBER = 256
_SPENT = 16  # a shelf is made anew when one key in so many has been deleted


class Shelves(Generic[K, V]):
    """A dict in many small ones.

    A dict never uses the room of deleted keys again: it grows to twice its size, and the memory manager keeps the
    megabytes of the old one. A small one is soon made anew, and what it leaves is used by the next.
    """

    def __init__(self) -> None:
        self._shelves: list[dict[K, V]] = [{} for _ in range(NUMBER)]
        self._deleted = [0] * NUMBER

    def __contains__(self, key: K) -> bool:
        return key in self._shelves[hash(key) % NUMBER]

    def __setitem__(self, key: K, value: V) -> None:
        self._shelves[hash(key) % NUMBER][key] = value

    def __delitem__(self, key: K) -> None:
        number = hash(key) % NUMBER
        shelf = self._shelves[number]
        del shelf[key]
        self._deleted[number] += 1
        # Before the room of those deleted makes it grow: how soon that is, a dict does not say.
        if self._deleted[number] > len(shelf) // _SPENT:
            self._shelves[number], self._deleted[number] = dict(shelf), 0

    def __len__(self) -> int:
        return sum(map(len, self._shelves))

    def get(self, key: K, default: V) -> V:
        """What is under the key, or the default."""
        return self._shelves[hash(key) % NUMBER].get(key, default)

    def copy(self) -> Self:
        """The same keys and values, to be changed apart from these."""
        twin = type(self)()
        twin._shelves = [dict(shelf) for shelf in self._shelves]  # noqa: SLF001 - it is of this class
        return twin
