"""Reads Corefiles: text to words, server blocks and directives, each of which knows its place."""

from .blocks import Block, Corefile, dump
from .directive import Directive, Option
from .keys import Key
from .parse import DEFAULT, load, parse
from .problem import CorefileError, Place, Problem, did_you_mean
from .tokens import Token

__all__ = [
    "DEFAULT",
    "Block",
    "Corefile",
    "CorefileError",
    "Directive",
    "Key",
    "Option",
    "Place",
    "Problem",
    "Token",
    "did_you_mean",
    "dump",
    "load",
    "parse",
]
