"""Bytes to Query, Reply to bytes, without any I/O.

Rules: whatever a client sends becomes a Query or a FormError, nothing else; every loop is bounded by the packet; of a
client's packet only the header, the question, an OPT record, the serial of an SOA record and the presence of others are
read.
"""

from pydnsk8s.wire.forwarded import Forwarded, aged, forwarded
from pydnsk8s.wire.parse import FormError, parse
from pydnsk8s.wire.render import matches, query, render
from pydnsk8s.wire.scan import Scan, outline, records, scan

__all__ = [
    "FormError",
    "Forwarded",
    "Scan",
    "aged",
    "forwarded",
    "matches",
    "outline",
    "parse",
    "query",
    "records",
    "render",
    "scan",
]
