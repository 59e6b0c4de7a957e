"""A DNS server for Kubernetes and beyond: what plugin authors and embedders import.

Everything else is the server's own and may change.
"""

from pydnsk8s import codes, names, rdata
from pydnsk8s.corefile import CorefileError, Directive, Option
from pydnsk8s.keep import ALWAYS, EACH_CLIENT, NEVER, TURNS, Keep, Stamp
from pydnsk8s.message import Client, Edns, Query, Record, Reply, Seen
from pydnsk8s.plugin import HAND_ON, WAIT, Fall, Plugin, Rest, ServerBlock, StartError, Turn
from pydnsk8s.server import Server
from pydnsk8s.version import VERSION as __version__  # noqa: N811 - the name Python gives it

__all__ = [
    "ALWAYS",
    "EACH_CLIENT",
    "HAND_ON",
    "NEVER",
    "TURNS",
    "WAIT",
    "Client",
    "CorefileError",
    "Directive",
    "Edns",
    "Fall",
    "Keep",
    "Option",
    "Plugin",
    "Query",
    "Record",
    "Reply",
    "Rest",
    "Seen",
    "Server",
    "ServerBlock",
    "Stamp",
    "StartError",
    "Turn",
    "__version__",
    "codes",
    "names",
    "rdata",
]
