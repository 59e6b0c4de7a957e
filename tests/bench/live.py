"""A cluster's API that changes as fast as it is told to, and our server following it in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.cluster import Cluster
from tests.bench.servers import ROOT, SERVER_CORE, Server
from tests.kube.api_server import ApiServer
from tests.ports import free_port

_COREFILE = """\
.:{port} {{
    bind 127.0.0.1
    errors
    kubernetes cluster.local in-addr.arpa {{
        endpoint {url}
        ttl 30
        fallthrough in-addr.arpa
    }}
    prometheus 127.0.0.1:{metrics}
    cache 30
    loadbalance
}}
"""


def fill(api: ApiServer, cluster: Cluster) -> None:
    """Put the cluster's objects into the API, and its namespaces."""
    for document in json.loads(cluster.manifest())["items"]:
        metadata = document["metadata"]
        kind, name, namespace = document["kind"], metadata["name"], metadata["namespace"]
        fields = {key: value for key, value in document.items() if key in ("spec", "endpoints", "ports", "addressType")}
        api.apply(kind, name, namespace, metadata={"labels": metadata.get("labels", {})}, **fields)
    for namespace in sorted({service.namespace for service in cluster.services}):
        api.apply("Namespace", namespace)


@contextmanager
def following(api: ApiServer, folder: Path) -> Iterator[Server]:
    """Our server, once it knows the cluster."""
    port, corefile, log = free_port(), folder / "Corefile", folder / "log"
    corefile.write_text(_COREFILE.format(port=port, url=api.url, metrics=free_port()))
    command = ["taskset", "-c", str(SERVER_CORE), sys.executable, "-m", "pydnsk8s", "-conf", str(corefile)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    server = Server("pydnsk8s", process, port, log)
    try:
        server.wait_for_answer("dns-version.cluster.local", "TXT")
        yield server
    finally:
        server.stop()
