"""Where the API serves each kind of object, and how it calls it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from pydnsk8s.kube.objects import DNSEndpoint, EndpointSlice, Kind, Namespace, Pod, Service, ServiceImport


class Resource(NamedTuple):
    """A kind of object, as the API and its access rules name it."""

    plural: str
    group: str = ""
    versions: tuple[str, ...] = ("v1",)
    """The next one is tried if the server does not know the first."""
    optional: bool = False
    """Whether a cluster may not have it at all: its definition is installed by somebody."""

    @property
    def name(self) -> str:
        """As ``kubectl auth can-i list NAME`` takes it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


RESOURCES: dict[Kind, Resource] = {
    Namespace: Resource("namespaces"),
    Service: Resource("services"),
    EndpointSlice: Resource("endpointslices", "discovery.k8s.io"),
    Pod: Resource("pods"),
    ServiceImport: Resource("serviceimports", "multicluster.x-k8s.io", ("v1alpha1", "v1beta1"), optional=True),
    # Not optional: names that are answered for must not be denied while their definition is being replaced.
    DNSEndpoint: Resource("dnsendpoints", "externaldns.k8s.io", ("v1alpha1",)),
}
"""Each kind's resource."""

_RUNNING_PODS = "status.phase!=Succeeded,status.phase!=Failed,status.phase!=Unknown"


class Scope(NamedTuple):
    """The objects to follow: those of one kind, in one namespace or in all, that a selector picks."""

    kind: Kind
    namespace: str = ""
    """Empty for all; for the kind Namespace, the one to follow."""
    labels: str = ""
    """A selector in Kubernetes' syntax; empty picks all."""

    @property
    def resource(self) -> Resource:
        """The kind as the API names it."""
        return RESOURCES[self.kind]

    def path(self, version: str) -> str:
        """Where the objects are listed."""
        root = f"/apis/{self.resource.group}/{version}" if self.resource.group else f"/api/{version}"
        within = (
            f"/namespaces/{quote(self.namespace, safe='')}" if self.namespace and self.kind is not Namespace else ""
        )
        return f"{root}{within}/{self.resource.plural}"

    @property
    def selectors(self) -> Mapping[str, str]:
        """What the server is to leave out."""
        selectors = {"labelSelector": self.labels} if self.labels else {}
        if self.kind is Pod:
            selectors["fieldSelector"] = _RUNNING_PODS
        if self.kind is Namespace and self.namespace:
            selectors["fieldSelector"] = f"metadata.name={self.namespace}"
        return selectors

    def __str__(self) -> str:
        """As an operator would say it."""
        if not self.namespace:
            return self.kind.__name__
        return f"{self.kind.__name__} {'' if self.kind is Namespace else 'in '}{self.namespace}"
