"""root - says in which directory the file names of a server block start."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Self

from pydnsk8s.corefile import Directive
from pydnsk8s.plugin import Plugin, ServerBlock


class Root(Plugin):
    """Sets the block's directory; it stands first in the chain, so every later plugin finds it set."""

    name = "root"

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        if len(directive.args) != 1:
            raise directive.arguments("root PATH")
        directive.no_options()
        text = directive.args[0]
        block.root = Path(text)
        try:
            found = block.root.stat()
        except FileNotFoundError:
            # Not an error: the directory may be mounted later, and plugins that poll will find it.
            _warn(directive, block, f"root: {text!r} does not exist")
        except (OSError, ValueError) as error:
            raise directive.error(f"root: cannot look at {text!r}: {error}", text) from None
        else:
            if not stat.S_ISDIR(found.st_mode):
                _warn(directive, block, f"root: {text!r} is not a directory")
        return cls()


def _warn(directive: Directive, block: ServerBlock, message: str) -> None:
    block.warnings.append(directive.tokens[1].problem(message, severity="warning"))
