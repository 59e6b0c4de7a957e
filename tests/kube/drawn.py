"""Objects of a few namespaces, names and addresses, so that those that are drawn have to do with each other."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from pydnsk8s.kube.objects import (
    Endpoint,
    EndpointSlice,
    Kind,
    Namespace,
    Object,
    Pod,
    Port,
    Service,
    ServiceImport,
)


class Drawn:
    """What objects of each kind are made of, and the objects themselves."""

    def __init__(self, namespaces: Sequence[str], names: Sequence[str], addresses: Sequence[bytes]) -> None:
        self.namespace = st.sampled_from(namespaces)
        self.name = st.sampled_from(names)
        self.word = st.sampled_from(("", *names))
        self.addresses = st.lists(st.sampled_from(addresses), max_size=2, unique=True).map(tuple)
        port = st.builds(Port, self.word, st.integers(0, 2), st.sampled_from(["tcp", "udp"]))
        self.ports = st.lists(port, max_size=2).map(tuple)
        endpoint = st.builds(Endpoint, st.sampled_from(addresses), self.word, self.word, self.word)
        self.of_kind: dict[Kind, st.SearchStrategy[Object]] = {
            Namespace: st.builds(Namespace, self.namespace),
            Service: st.builds(
                Service,
                namespace=self.namespace,
                name=self.name,
                type=st.just("ClusterIP"),
                headless=st.booleans(),
                cluster_ips=self.addresses,
                ports=self.ports,
                external_name=st.just(""),
                external_ips=self.addresses,
                external_hosts=st.just(()),
            ),
            EndpointSlice: st.builds(
                EndpointSlice,
                namespace=self.namespace,
                name=self.name,
                service=self.word,
                imported=self.word,
                cluster=self.word,
                endpoints=st.lists(endpoint, max_size=3).map(tuple),
                ports=self.ports,
            ),
            Pod: st.builds(Pod, self.namespace, self.name, self.addresses, st.just(())),
            ServiceImport: st.builds(
                ServiceImport, self.namespace, self.name, st.booleans(), self.addresses, self.ports
            ),
        }

    @property
    def objects(self) -> st.SearchStrategy[Object]:
        """Objects of any kind."""
        return st.one_of(list(self.of_kind.values()))
