"""Manifests: a cluster in files, and its changes."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pydnsk8s.kube.documents import ManifestError
from pydnsk8s.kube.index import Index
from pydnsk8s.kube.manifests import Manifests
from pydnsk8s.kube.objects import KINDS, Endpoint, EndpointSlice, Pod, Service

from .until import until

WEB = """\
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
  creationTimestamp: 2026-02-30T00:00:00Z
spec:
  clusterIP: 192.0.2.10
  ports: [{name: http, port: 80}]
"""
SLICE = """\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [198.51.100.1]}]
ports: null
"""
DB = WEB.replace("web", "db").replace("192.0.2.10", "192.0.2.11")


@asynccontextmanager
async def served(*paths: Path) -> AsyncIterator[tuple[Index, Manifests]]:
    index, manifests = Index(KINDS), Manifests(paths, every=0.01)
    await manifests.start(index)
    try:
        yield index, manifests
    finally:
        await manifests.stop()


def services(index: Index) -> list[str]:
    return [f"{service.namespace}/{service.name}" for service in index.services()]


async def test_every_document_of_a_file_counts(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"---\n{WEB}---\n{SLICE}---\n# nothing here\n---\n{DB}")
    async with served(tmp_path / "a.yaml") as (index, manifests):
        assert index.synced
        assert services(index) == ["shop/db", "shop/web"]
        assert index.endpoints_at(bytes((198, 51, 100, 1))) == [
            ("shop", "web", Endpoint(bytes((198, 51, 100, 1)), "", "", ""))
        ]
        assert manifests.trouble == ""


async def test_a_namespace_exists_that_only_its_objects_name(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(WEB + "---\n{apiVersion: v1, kind: Namespace, metadata: {name: empty}}\n")
    async with served(tmp_path) as (index, _):
        assert index.has_namespace("shop")
        assert index.has_namespace("empty")
        assert not index.has_namespace("other")


async def test_lists_are_unfolded_in_yaml_and_json(tmp_path: Path) -> None:
    web = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"clusterIP": "192.0.2.10"}}
    (tmp_path / "a.json").write_text(json.dumps({"apiVersion": "v1", "kind": "ServiceList", "items": [web]}))
    inner = DB.replace("\n", "\n    ").rstrip()
    (tmp_path / "b.yml").write_text(f"apiVersion: v1\nkind: List\nitems:\n  - {inner}\n")
    async with served(tmp_path) as (index, _):
        assert services(index) == ["shop/db", "shop/web"]


async def test_folders_are_searched_to_the_bottom_but_not_what_is_hidden_or_has_another_suffix(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / "deep" / "er" / "web.yaml").write_text(WEB)
    (tmp_path / ".git" / "db.yaml").write_text(DB)
    (tmp_path / "README.md").write_text("not: [a manifest")
    async with served(tmp_path) as (index, _):
        assert services(index) == ["shop/web"]


async def test_a_kind_of_the_same_name_in_another_api_group_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(WEB.replace("apiVersion: v1", "apiVersion: serving.knative.dev/v1"))
    async with served(tmp_path) as (index, _):
        assert services(index) == []


async def test_the_later_of_two_objects_of_one_name_counts(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(WEB)
    (tmp_path / "b.yaml").write_text(WEB.replace("192.0.2.10", "192.0.2.99"))
    async with served(tmp_path) as (index, _):
        found = index.service("shop", "web")
        assert found is not None
        assert found.cluster_ips == (bytes((192, 0, 2, 99)),)


async def test_only_the_kinds_asked_for_are_given(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(WEB + "---\n" + SLICE)
    index, manifests = Index([Service]), Manifests([tmp_path], [Service])
    await manifests.start(index)
    await manifests.stop()
    assert (index.synced, index.count(Service), index.count(EndpointSlice), index.count(Pod)) == (True, 1, 0, 0)


async def test_changed_new_and_deleted_files_are_noticed(tmp_path: Path) -> None:
    web, db = tmp_path / "web.yaml", tmp_path / "db.yaml"
    web.write_text(WEB)
    async with served(tmp_path) as (index, _):
        untouched = index.stamp(("service", "shop", "web"))
        db.write_text(DB)
        await until(lambda: services(index) == ["shop/db", "shop/web"])
        assert untouched.alive
        web.write_text(WEB.replace("192.0.2.10", "192.0.2.9"))
        await until(lambda: bool(index.services_at(bytes((192, 0, 2, 9)))))
        web.unlink()
        await until(lambda: services(index) == ["shop/db"])


async def test_a_config_map_swapped_under_its_links_is_noticed(tmp_path: Path) -> None:
    for version, text in (("..1", WEB), ("..2", DB)):
        (tmp_path / version).mkdir()
        (tmp_path / version / "cluster.yaml").write_text(text)
        os.utime(tmp_path / version / "cluster.yaml", ns=(0, 0))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "cluster.yaml").symlink_to("..data/cluster.yaml")
    async with served(tmp_path) as (index, _):
        assert services(index) == ["shop/web"]
        (tmp_path / "..new").symlink_to("..2")
        (tmp_path / "..new").rename(tmp_path / "..data")
        await until(lambda: services(index) == ["shop/db"])


async def test_a_broken_file_keeps_its_last_good_objects_until_it_is_mended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    web, db = tmp_path / "web.yaml", tmp_path / "db.yaml"
    web.write_text(WEB)
    async with served(tmp_path) as (index, manifests):
        web.write_text("spec: {\n  ports: [80}\n")
        db.write_text(DB)
        await until(lambda: services(index) == ["shop/db", "shop/web"])
        await until(lambda: manifests.trouble != "")
        assert f"{web}:2: " in manifests.trouble
        assert len([line for line in caplog.messages if str(web) in line]) == 1
        web.write_text(WEB.replace("name: web", "name: shelf"))
        await until(lambda: services(index) == ["shop/db", "shop/shelf"])
        assert manifests.trouble == ""


async def test_a_folder_that_goes_away_keeps_what_was_in_it(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "web.yaml").write_text(WEB)
    async with served(tmp_path / "m") as (index, manifests):
        (tmp_path / "m").rename(tmp_path / "away")
        await until(lambda: manifests.trouble != "")
        assert services(index) == ["shop/web"]
        (tmp_path / "away").rename(tmp_path / "m")
        await until(lambda: manifests.trouble == "")


@pytest.mark.parametrize(
    ("file", "content", "line"),
    [
        ("a.yaml", b"a: 1\n---\nkind: [\n", 4),
        ("a.yaml", b"a: 1\nb: \xff\n", 2),
        ("a.yaml", b"a: 1\n---\n- just a list\n", 3),
        ("a.yaml", b"---\nkind: 7\n", 2),
        ("a.yaml", b"a: 0b_\n", 1),
        ("a.yaml", b"a: 1\n---\nb: !!bool maybe\n", 3),
        ("a.yaml", b'a: !!int ""\n', 1),
        ("a.json", b'{"kind": "List",\n "items": [}', 2),
        ("a.json", b'{"kind": "List",\n', 2),
        ("a.json", b"[]", 0),
        ("a.json", b'{"kind": "\xff"}', 0),
    ],
)
async def test_a_file_that_cannot_be_read_is_an_error_when_starting(
    tmp_path: Path, file: str, content: bytes, line: int
) -> None:
    (tmp_path / file).write_bytes(content)
    with pytest.raises(ManifestError) as caught:
        await Manifests([tmp_path]).start(Index())
    assert (caught.value.path, caught.value.line) == (tmp_path / file, line)
    assert str(caught.value).startswith(str(tmp_path / file))


async def test_a_path_that_does_not_exist_is_an_error_when_starting(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no such file or folder"):
        await Manifests([tmp_path / "absent"]).start(Index())
    with pytest.raises(ManifestError, match="File name too long"):
        await Manifests([tmp_path / ("long" * 100)]).start(Index())


async def test_an_object_that_cannot_be_read_is_passed_over_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(WEB + "---\n" + DB.replace("192.0.2.11", "no address"))
    async with served(tmp_path) as (index, manifests):
        assert services(index) == ["shop/web"]
        assert manifests.skipped == 1
