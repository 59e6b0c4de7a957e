"""The metadata that ``kubernetes`` gives: about the name asked for, and about the pod that asks."""

from __future__ import annotations

from functools import partial

from pydnsk8s.kube.index import Index
from pydnsk8s.message import Labels, Query
from pydnsk8s.plugins.kubernetes.name import Asked, Part

_KINDS = {Part.SERVICE: "svc", Part.NAMESPACE: "svc", Part.POD: "pod", Part.POD_NAMESPACE: "pod"}


def labels_of(query: Query, asked: Asked | None, index: Index) -> Labels:
    """The labels for a query; ``asked`` is None for a reverse name."""
    return {**_of_name(asked), **_of_client(query, index)}


def _of_name(asked: Asked | None) -> Labels:
    if asked is None:
        return {}
    if asked.part is Part.NOTHING:
        return {"kubernetes/parse-error": lambda: "invalid query name"}
    values = {
        "endpoint": asked.endpoint or asked.pod,
        "kind": _KINDS.get(asked.part, ""),
        "namespace": asked.namespace,
        "port-name": asked.port,
        "protocol": asked.protocol,
        "service": asked.service,
        "cluster": asked.cluster,
        "zone": asked.topology,
    }
    return {f"kubernetes/{name}": partial(str, value) for name, value in values.items() if value}


def _of_client(query: Query, index: Index) -> Labels:
    pods = index.pods_at(query.client.address)
    if not pods:
        return {}
    pod = pods[0]
    values = {"client-namespace": pod.namespace, "client-pod-name": pod.name}
    values |= {f"client-label/{name}": value for name, value in pod.labels}
    return {f"kubernetes/{name}": partial(str, value) for name, value in values.items()}
