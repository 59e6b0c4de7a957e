"""Asking another server: source ports, connections, deadlines, retries and health.

Rule: what comes back is believed only if it answers a question of ours that is still open (RFC 5452 section 9.1).
"""

from pydnsk8s.upstream.address import Address, Host, nameservers, parse
from pydnsk8s.upstream.certificates import Certificates
from pydnsk8s.upstream.outstanding import Message, Unanswered
from pydnsk8s.upstream.resolve import resolve
from pydnsk8s.upstream.terms import Terms
from pydnsk8s.upstream.upstream import Upstream

__all__ = [
    "Address",
    "Certificates",
    "Host",
    "Message",
    "Terms",
    "Unanswered",
    "Upstream",
    "nameservers",
    "parse",
    "resolve",
]
