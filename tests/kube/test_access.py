"""The way to the API server: over TLS, with tokens, certificates and login commands, and errors that name the place."""

from __future__ import annotations

import base64
import json
import ssl
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import trustme

from pydnsk8s.kube.access import Access
from pydnsk8s.kube.login import AccessError

from .api_server import ApiServer
from .following import add_service, followed, services
from .until import until


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    return tmp_path / "ca.crt"


Certify: TypeAlias = Callable[[Path], ssl.SSLContext]


@pytest.fixture
def new_authority() -> Certify:
    """Puts another authority's certificate into a file, and gives what a server that it vouches for needs."""

    def certify(file: Path) -> ssl.SSLContext:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(file))
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(tls)
        return tls

    return certify


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[ApiServer]:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.configure_trust(tls)
    tls.verify_mode = ssl.CERT_OPTIONAL
    api = ApiServer(tls)
    api.tokens = {"first"}
    yield api
    api.close()


@pytest.fixture
def client(authority: trustme.CA, tmp_path: Path) -> tuple[Path, Path]:
    """A client certificate and its key."""
    cert, key = tmp_path / "client.crt", tmp_path / "client.key"
    issued = authority.issue_cert("coredns@example.org")
    issued.cert_chain_pems[0].write_to_path(str(cert))
    issued.private_key_pem.write_to_path(str(key))
    return cert, key


def account(secure: ApiServer, ca: Path, token: str = "first") -> Access:
    (ca.parent / "token").write_text(token + "\n")
    environ = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(secure.port)}
    return Access.in_cluster(ca.parent, environ)


def kubeconfig(folder: Path, cluster: dict[str, Any], user: dict[str, Any]) -> Path:
    file = folder / "config"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
    }
    file.write_text(json.dumps(content))
    return file


async def test_a_service_account_is_let_in_and_its_token_may_be_replaced(secure: ApiServer, ca: Path) -> None:
    async with followed(secure, access=account(secure, ca)) as (index, api):
        await until(lambda: index.synced)
        (ca.parent / "token").write_text("second")
        secure.tokens = {"second"}
        secure.interrupt()
        add_service(secure, "web")
        await until(lambda: services(index) == ["web"])
        assert api.trouble == ""


async def test_a_token_that_has_expired_is_trouble_until_there_is_a_new_one(secure: ApiServer, ca: Path) -> None:
    async with followed(secure, access=account(secure, ca)) as (index, api):
        await until(lambda: index.synced)
        secure.tokens = {"second"}
        secure.interrupt()
        await until(lambda: "401 the API server does not accept us with the token in" in api.trouble)
        assert index.synced
        (ca.parent / "token").write_text("second")
        add_service(secure, "web")
        await until(lambda: services(index) == ["web"] and not api.trouble)


async def test_a_token_file_of_a_kubeconfig_is_read_again(secure: ApiServer, ca: Path) -> None:
    (ca.parent / "secret").write_text("first")
    file = kubeconfig(ca.parent, {"server": secure.url, "certificate-authority": "ca.crt"}, {"tokenFile": "secret"})
    async with followed(secure, access=Access.kubeconfig(file)) as (index, api):
        await until(lambda: index.synced)
        (ca.parent / "secret").write_text("second")
        secure.tokens = {"second"}
        secure.interrupt()
        add_service(secure, "web")
        await until(lambda: services(index) == ["web"])
        assert api.trouble == ""


@pytest.mark.parametrize("where", ["account", "kubeconfig"])
async def test_a_token_file_in_the_middle_of_being_written_keeps_nobody_out(
    secure: ApiServer, ca: Path, where: str
) -> None:
    access, token = account(secure, ca), ca.parent / "token"
    if where == "kubeconfig":
        cluster = {"server": secure.url, "certificate-authority": "ca.crt"}
        access = Access.kubeconfig(kubeconfig(ca.parent, cluster, {"tokenFile": "token"}))
    async with followed(secure, access=access) as (index, api):
        await until(lambda: index.synced)
        token.write_text("")
        secure.interrupt()
        add_service(secure, "web")
        await until(lambda: services(index) == ["web"] and not api.trouble)
        secure.tokens = {"second"}
        secure.interrupt()
        await until(lambda: f"{token}: expected a token, found nothing" in api.trouble)
        token.write_text("second")
        add_service(secure, "next")
        await until(lambda: services(index) == ["next", "web"] and not api.trouble)


async def test_a_kubeconfig_that_was_replaced_is_read_again_when_its_token_is_refused(
    secure: ApiServer, ca: Path
) -> None:
    cluster = {"server": secure.url, "certificate-authority-data": base64.b64encode(ca.read_bytes()).decode()}
    access = Access.kubeconfig(kubeconfig(ca.parent, cluster, {"token": "first"}))
    async with followed(secure, access=access) as (index, api):
        await until(lambda: index.synced)
        kubeconfig(ca.parent, cluster, {"token": "second"})
        secure.tokens = {"second"}
        secure.interrupt()
        add_service(secure, "web")
        await until(lambda: services(index) == ["web"])
        assert api.trouble == ""


@pytest.mark.parametrize("token", ["first\nX-Forged: yes", "first\u00e9"])
async def test_a_token_that_can_be_none_is_trouble_that_does_not_show_it(
    secure: ApiServer, ca: Path, token: str
) -> None:
    cluster = {"server": secure.url, "certificate-authority": "ca.crt"}
    access = Access.kubeconfig(kubeconfig(ca.parent, cluster, {"token": token}))
    async with followed(secure, access=access) as (_, api):
        await until(lambda: "config: expected a token, found what cannot be one" in api.trouble)
        assert "first" not in api.trouble


async def test_a_cluster_that_changes_its_authority_is_followed_again(
    secure: ApiServer, ca: Path, new_authority: Certify
) -> None:
    async with followed(secure, access=account(secure, ca)) as (index, api):
        await until(lambda: index.synced)
        secure.use(new_authority(ca))
        add_service(secure, "web")
        await until(lambda: services(index) == ["web"] and not api.trouble)


async def test_a_kubeconfig_that_names_another_authority_is_read_again(
    secure: ApiServer, ca: Path, new_authority: Certify
) -> None:
    def told() -> dict[str, str]:
        return {"server": secure.url, "certificate-authority-data": base64.b64encode(ca.read_bytes()).decode()}

    access = Access.kubeconfig(kubeconfig(ca.parent, told(), {"token": "first"}))
    async with followed(secure, access=access) as (index, api):
        await until(lambda: index.synced)
        secure.use(new_authority(ca))
        kubeconfig(ca.parent, told(), {"token": "first"})
        add_service(secure, "web")
        await until(lambda: services(index) == ["web"] and not api.trouble)


async def test_a_login_command_gives_the_token_and_is_run_again_when_it_is_refused(secure: ApiServer, ca: Path) -> None:
    command, answer = ca.parent / "login", ca.parent / "answer"
    command.write_text(f"#!/bin/sh\ncat {answer}\n")
    command.chmod(stat.S_IRWXU)
    version = "client.authentication.k8s.io/v1"

    def issue(token: str) -> None:
        answer.write_text(json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": {"token": token}}))

    issue("first")
    login = {"apiVersion": version, "command": str(command), "interactiveMode": "Never"}
    file = kubeconfig(ca.parent, {"server": secure.url, "certificate-authority": str(ca)}, {"exec": login})
    async with followed(secure, access=Access.kubeconfig(file)) as (index, api):
        await until(lambda: index.synced)
        issue("second")
        secure.tokens = {"second"}
        secure.interrupt()
        add_service(secure, "web")
        await until(lambda: services(index) == ["web"])
        assert api.trouble == ""
    answer.write_text("no credentials")
    with pytest.raises(AccessError, match=r"config: user of here: the command '.*/login' gave no credentials"):
        Access.kubeconfig(file)


async def test_a_client_certificate_is_as_good_as_a_token(
    secure: ApiServer, ca: Path, client: tuple[Path, Path]
) -> None:
    cert, key = map(str, client)
    files = {"client-certificate": cert, "client-key": key}
    file = kubeconfig(ca.parent, {"server": secure.url, "certificate-authority": str(ca)}, files)
    for access in (Access.endpoint(secure.url, cert, key, str(ca)), Access.kubeconfig(file)):
        async with followed(secure, access=access) as (index, _):
            await until(lambda index=index: index.synced)  # type: ignore[misc]


async def test_a_server_that_somebody_else_vouches_for_is_not_talked_to(secure: ApiServer, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    async with followed(secure, access=account(secure, tmp_path / "ca.crt")) as (index, api):
        await until(lambda: "certificate verify failed" in api.trouble)
        assert not index.synced
    assert secure.requests == []


async def test_a_user_without_credentials_may_be_let_in(server: ApiServer, tmp_path: Path) -> None:
    async with followed(server, access=Access.kubeconfig(kubeconfig(tmp_path, {"server": server.url}, {}))) as (
        index,
        _,
    ):
        await until(lambda: index.synced)
    assert "Authorization" not in server.requests[0].headers


def test_a_pod_finds_its_server_in_its_environment(ca: Path) -> None:
    environ = {"KUBERNETES_SERVICE_HOST": "2001:db8::1", "KUBERNETES_SERVICE_PORT": "443"}
    token = ca.parent / "token"
    token.write_text("s3cret\n")
    assert Access.in_cluster(ca.parent, environ).url == "https://[2001:db8::1]:443"
    token.write_text(" \n")
    with pytest.raises(AccessError, match="token: expected a token, found nothing"):
        Access.in_cluster(ca.parent, environ)
    token.write_text("s3cret\nX-Forged: yes")
    with pytest.raises(AccessError, match="token: expected a token, found what cannot be one"):
        Access.in_cluster(ca.parent, environ)
    token.unlink()
    with pytest.raises(AccessError, match="token"):
        Access.in_cluster(ca.parent, environ)
    with pytest.raises(AccessError, match="KUBERNETES_SERVICE_HOST"):
        Access.in_cluster(ca.parent, {})


@pytest.mark.parametrize("url", ["", "192.0.2.1:8080", "ftp://192.0.2.1", "http://"])
def test_what_is_no_url_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(AccessError, match="expected http"):
        Access.endpoint(url)


def test_certificates_that_cannot_be_used_are_named(ca: Path, client: tuple[Path, Path], tmp_path: Path) -> None:
    url, (cert, key), bad = "https://192.0.2.1", map(str, client), tmp_path / "bad.pem"
    with pytest.raises(AccessError, match=r"cannot read .*absent"):
        Access.endpoint(url, ca=str(tmp_path / "absent"))
    bad.write_text("nonsense")
    with pytest.raises(AccessError, match=r"bad.pem: expected the certificates of an authority \(PEM\)"):
        Access.endpoint(url, ca=str(bad))
    for pair in ((str(bad), key), (cert, str(bad)), (str(ca), key)):
        with pytest.raises(AccessError, match=r"expected a certificate and its key \(PEM\)"):
            Access.endpoint(url, *pair)


SERVER = {"server": "https://192.0.2.1"}


@pytest.mark.parametrize(
    ("cluster", "user", "complaint"),
    [
        ({}, {}, r"missing required field `server` - at `\$.clusters\[0\].cluster`"),
        ({"server": 5}, {}, r"Expected `str`, got `int` - at `\$.clusters\[0\].cluster.server`"),
        (
            SERVER | {"certificate-authority": "absent"},
            {},
            "cluster of here: certificate-authority: cannot read .*/absent",
        ),
        (SERVER | {"certificate-authority-data": "%"}, {}, "cluster of here: certificate-authority-data is not base64"),
        (SERVER | {"certificate-authority-data": "YWJj"}, {}, "expected the certificates of an authority"),
        (SERVER, {"tokenFile": "absent"}, "user of here: tokenFile: cannot read .*/absent"),
        (SERVER, {"client-key-data": "%"}, "user of here: client-key-data is not base64"),
        (SERVER, {"token": ["a"]}, r"Expected `str \| null`, got `array` - at `\$.users\[0\].user.token`"),
        (SERVER, {"exec": {}}, "missing required field `command`"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_told_with_its_field(
    tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(AccessError, match=complaint) as caught:
        Access.kubeconfig(kubeconfig(tmp_path, cluster, user))
    assert str(tmp_path / "config") in str(caught.value)


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes.client", None)
    with pytest.raises(AccessError, match=r"config: .*; pip install 'pydnsk8s\[kubernetes\]'"):
        Access.kubeconfig(kubeconfig(tmp_path, SERVER, {}))


def test_an_error_of_a_kubeconfig_shows_none_of_its_secrets(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("users:\n- name: u\n  user:\n    token: s3cret: x\n")
    with pytest.raises(AccessError, match="line 4, column 18") as caught:
        Access.kubeconfig(file)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "Expected `object`, got `null`"),
        ("clusters: [", "line 1, column 12"),
        ("clusters: 5", r"Expected `array`, got `int` - at `\$.clusters`"),
        ("{clusters: [], contexts: []}", "current-context is missing"),
        ("{clusters: [], contexts: [], current-context: x}", "contexts has no 'x'; it has none"),
        ("{clusters: [], contexts: [{name: x, context: {cluster: y}}], current-context: x}", "clusters has no 'y'"),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_told_with_its_place(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "config"
    with pytest.raises(AccessError, match="config"):
        Access.kubeconfig(file)
    file.write_text(text)
    with pytest.raises(AccessError, match=complaint) as caught:
        Access.kubeconfig(file)
    assert str(file) in str(caught.value)
