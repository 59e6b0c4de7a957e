"""debug - makes faults loud: debug lines in the log, and no recovery from an exception."""

from __future__ import annotations

from typing import ClassVar, Self

from pydnsk8s import log
from pydnsk8s.corefile import Directive
from pydnsk8s.plugin import Plugin, ServerBlock


class Debug(Plugin):
    """Lets an exception of its block end the process, and logs at debug level as long as any block has it."""

    name = "debug"
    running: ClassVar[int] = 0
    """How many are started; a reload starts the new ones before it stops the old."""

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        if directive.args:
            raise directive.arguments("debug")
        directive.no_options()
        block.debug = True
        return block.find(cls) or cls()

    async def start(self) -> None:
        Debug.running += 1
        log.show_debug(True)

    async def stop(self) -> None:
        Debug.running -= 1
        log.show_debug(Debug.running > 0)
