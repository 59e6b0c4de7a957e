"""What a plugin tells of questions that it has others answer, so that packets can go there and back as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from pydnsk8s.keep import Stamp
from pydnsk8s.message import Query


class Relay(NamedTuple):
    """Questions that differ in nothing but names in one zone, and all go the same way.

    Each that begins ends with ``passed_on`` or with ``take``, once something has come.
    """

    zone: bytes
    begin: Callable[[bytes, Callable[[Any], None]], Any | None]
    """Sends a question, its section as it is spelled; whom it was sent, or None if the plugin has to be asked.

    What comes is for the function given, the ``wake`` of ``Plugin.begin``.
    """
    passed_on: Callable[[Any, Any, float], None]
    """What came from them was passed on as it is, so many seconds later, or nobody wants it any more."""
    take: Callable[[Query, Any, Any, float], Callable[[Any], Any]]
    """What ``Plugin.begin`` would have given for the query, had it been that which sent it to them at this time.

    Takes the query, what has to be waited for behind the plugin (its ``behind``), them, and the time.
    """
    keep: Callable[[Any, bytes, int], bytes | None] | None = None
    """Keeps a reply of one address for who asks next, before it is passed on.

    Takes whom the question was sent, the reply and where its answer starts; the reply as it is to be passed on, None if
    the plugin has to be asked. Where there is such a keeper, it takes only replies of one address.
    """
    stamps: frozenset[Stamp] = frozenset()
    """Only while each of these is alive."""
