"""Kubernetes objects, from JSON or from mappings read from YAML."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TypeAlias, TypeVar

import msgspec
from msgspec import Raw, Struct, field

from pydnsk8s.kube.objects import Kind, Object
from pydnsk8s.kube.shapes import SHAPES

Document: TypeAlias = bytes | Raw | Mapping[str, object]
"""JSON text, or what a YAML document was read into."""

_log = logging.getLogger("pydnsk8s.kube")
_T = TypeVar("_T")


def read(kind: Kind, document: Document) -> Object | None:
    """The object in the document; or None and a line in the log if it is not one that DNS can use."""
    try:
        return as_shape(document, SHAPES[kind]).strip()
    except (msgspec.DecodeError, ValueError) as error:
        _log.warning("ignoring %s %s: %s", kind.__name__, _called(document), error)
        return None


def as_shape(document: object, shape: type[_T]) -> _T:
    """The document as a value of this type; raises msgspec.DecodeError if it is not one."""
    try:
        if isinstance(document, (bytes, Raw)):
            return msgspec.json.decode(document, type=shape)
        return msgspec.convert(document, type=shape)
    except RecursionError:
        raise msgspec.DecodeError("nested too deeply") from None
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(f"not UTF-8: {error.reason}") from None


class Annotations(Struct, gc=False):
    """Those that tell how to take an object."""

    list_ended: str = field(default="", name="k8s.io/initial-events-end")
    triggered: str = field(default="", name="endpoints.kubernetes.io/last-change-trigger-time")


class Meta(Struct, gc=False):
    """What identifies an object, and this version of it; a bookmark has only the latter."""

    name: str = ""
    namespace: str = ""
    resource_version: str = field(default="", name="resourceVersion")
    annotations: Annotations | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name in lower case, as the objects spell them."""
        return self.namespace.lower(), self.name.lower()


class Named(Struct, gc=False):
    """Any object, of which only the metadata matters."""

    metadata: Meta


def _called(document: Document) -> str:
    try:
        meta = as_shape(document, Named).metadata
    except msgspec.DecodeError:
        return "without a name"
    # The name has not been checked yet; quoted, it cannot forge a line of the log.
    return ascii(f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name)
