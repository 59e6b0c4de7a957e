"""An index that follows an API server of ours, and what the tests of it have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pydnsk8s.kube.access import Access
from pydnsk8s.kube.api import Api
from pydnsk8s.kube.index import Index
from pydnsk8s.kube.objects import EndpointSlice, Kind, Namespace, Service

from .api_server import ApiServer

DEFAULT: tuple[Kind, ...] = (Namespace, Service, EndpointSlice)


@asynccontextmanager
async def followed(
    server: ApiServer,
    kinds: tuple[Kind, ...] = DEFAULT,
    *,
    access: Access | None = None,
    namespaces: Sequence[str] = (),
    labels: str = "",
    namespace_labels: str = "",
) -> AsyncIterator[tuple[Index, Api]]:
    index = Index(kinds, namespaces=namespaces)
    source = Api(
        access or Access.endpoint(server.url),
        kinds,
        namespaces=namespaces,
        labels=labels,
        namespace_labels=namespace_labels,
    )
    await source.start(index)
    try:
        yield index, source
    finally:
        await source.stop()


def add_service(server: ApiServer, name: str, address: str = "192.0.2.1", namespace: str = "shop", **more: Any) -> None:
    server.apply("Service", name, namespace, spec={"clusterIP": address, **more})


def services(index: Index) -> list[str]:
    return [service.name for service in index.services()]
