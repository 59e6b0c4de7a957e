"""The Kubernetes objects in one YAML or JSON file, one after the other, each with its kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec
import yaml
from msgspec import Raw, Struct, field

from pydnsk8s.kube.decode import Document, as_shape
from pydnsk8s.kube.objects import DNSEndpoint, EndpointSlice, Kind, Namespace, Pod, Service, ServiceImport
from pydnsk8s.kube.source import SourceError

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
"""The file names that count in a folder."""

_KINDS: dict[tuple[str, str], Kind] = {
    ("", "Namespace"): Namespace,
    ("", "Service"): Service,
    ("", "Pod"): Pod,
    ("discovery.k8s.io", "EndpointSlice"): EndpointSlice,
    ("multicluster.x-k8s.io", "ServiceImport"): ServiceImport,
    ("externaldns.k8s.io", "DNSEndpoint"): DNSEndpoint,
}

if TYPE_CHECKING:
    _Loader = yaml.CSafeLoader
else:
    _Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is ten times as fast, where PyYAML has it
_Item = TypeVar("_Item")


class ManifestError(SourceError):
    """Something in a manifest cannot be read: where, and why."""

    def __init__(self, path: Path, message: str, line: int = 0) -> None:
        super().__init__(f"{path}:{line}: {message}" if line else f"{path}: {message}")
        self.path = path
        self.line = line
        """Counted from 1; 0 if the fault is with the whole file."""
        self.message = message


def documents(path: Path) -> Iterator[tuple[Kind, Document]]:
    """The file's objects of the kinds we know, those in lists too; raises ManifestError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ManifestError(path, error.strerror or str(error)) from None
    return _json(path, data) if path.suffix == ".json" else _yaml(path, data)


def _json(path: Path, data: bytes) -> Iterator[tuple[Kind, Raw]]:
    try:
        yield from _unfold(Raw(data), _Header[Raw])
    except msgspec.DecodeError as error:
        raise ManifestError(path, str(error), _json_line(data, error)) from None


def _json_line(data: bytes, error: msgspec.DecodeError) -> int:
    """The line of the offset that msgspec gives in words; truncated text ends on the last one."""
    _, found, offset = str(error).rpartition("(byte ")
    if found:
        return data.count(b"\n", 0, int(offset.rstrip(")"))) + 1
    return data.count(b"\n") + 1 if "truncated" in str(error) else 0


class _TextLoader(_Loader):
    """Reads YAML as Kubernetes does: what looks like a date is text."""

    def construct_text(self, node: yaml.ScalarNode) -> str:
        return str(node.value)


_TextLoader.add_constructor("tag:yaml.org,2002:timestamp", _TextLoader.construct_text)


def _yaml(path: Path, data: bytes) -> Iterator[tuple[Kind, dict[str, object]]]:
    line = 0
    try:
        loader = _TextLoader(data)
        while loader.check_node() and (node := loader.get_node()) is not None:
            line = node.start_mark.line + 1
            document = loader.construct_document(node)
            if document is not None:
                yield from _unfold(document, _Header[dict[str, object]])
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise ManifestError(path, error.problem or str(error), mark.line + 1 if mark else line) from None
    except yaml.reader.ReaderError as error:
        line = data.count(b"\n", 0, error.position) + 1
        raise ManifestError(path, error.reason, line) from None
    except (msgspec.DecodeError, ValueError) as error:
        raise ManifestError(path, str(error), line) from None
    except (LookupError, RecursionError) as error:  # what PyYAML's constructors let through: `!!bool maybe`, `!!int ""`
        raise ManifestError(path, f"cannot be read: {error!r}", line) from None


class _Header(Struct, Generic[_Item], gc=False):
    api_version: str = field(default="", name="apiVersion")
    kind: str = ""
    items: list[_Item] | None = None


def _unfold(document: _Item, header: type[_Header[_Item]]) -> Iterator[tuple[Kind, _Item]]:
    """The document itself, or what it lists."""
    head = as_shape(document, header)
    if not head.kind.endswith("List"):
        entries = [(head, document)]
    else:
        entries = [(as_shape(item, header), item) for item in head.items or ()]
    for entry, item in entries:
        # In a typed list such as a ServiceList the items need not repeat what they are.
        version, kind = entry.api_version or head.api_version, entry.kind or head.kind.removesuffix("List")
        known = _KINDS.get((version.rpartition("/")[0], kind))
        if known is not None:
            yield known, item
