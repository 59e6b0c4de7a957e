"""prometheus: the numbers over HTTP."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trustme

from pydnsk8s import codes, corefile, metrics, names, testing
from pydnsk8s.plugins.prometheus import Prometheus, web
from pydnsk8s.version import VERSION
from tests.listen.test_http import contexts, free_address, get

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pydnsk8s.plugin import ServerBlock

ANY = "prometheus 127.0.0.1:0"


def configured(text: str = ANY, folder: Path | None = None) -> tuple[Prometheus, ServerBlock]:
    root = f"root {folder}\n" if folder else ""
    block = testing.block(f". {{\n{root}{text}\n}}")
    plugin = block.find(Prometheus)
    assert plugin is not None
    return plugin, block


@asynccontextmanager
async def running(plugin: Prometheus) -> AsyncIterator[None]:
    await plugin.start()
    try:
        yield
    finally:
        await plugin.stop()


async def scrape(plugin: Prometheus, context: ssl.SSLContext | None = None) -> str:
    assert plugin.page is not None
    status, text = await get(plugin.page.address, "/metrics", context)
    assert status == 200
    return text


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("prometheus", "localhost:9153"),
        ("prometheus :9153", ":9153"),
        ("prometheus localhost:53 {\nruntime_metrics\n}", "localhost:53"),
    ],
)
def test_what_a_corefile_may_say(text: str, address: str) -> None:
    assert str(configured(text)[0].address) == address


@pytest.mark.parametrize(
    "text",
    [
        "prometheus /foo",
        "prometheus a b c",
        "prometheus {}",
        "prometheus {\nruntime_metrics extra\n}",
        "prometheus {\ntls\n}",
        "prometheus {\ntls nowhere.yml\n}",
        "prometheus {\nunknown\n}",
        "prometheus\nprometheus",
    ],
)
def test_what_a_corefile_may_not_say(text: str) -> None:
    with pytest.raises(corefile.CorefileError):
        configured(text)


async def test_the_page_shows_the_queries_of_the_block_and_the_process() -> None:
    plugin, block = configured()
    assert block.traffic is not None
    block.view = "inside"  # set by a plugin that comes later in the chain
    traffic = block.traffic("dns://:53", names.parse("counted.example.org"))
    traffic.count(metrics.Shape("udp", 2, codes.AAAA, False, codes.NOERROR, "whoami", 40, 60), 2, 0.001)
    async with running(plugin):
        text = await scrape(plugin)
    labels = 'server="dns://:53",type="AAAA",view="inside",zone="counted.example.org."'
    assert f'coredns_dns_requests_total{{family="2",proto="udp",{labels}}} 2.0\n' in text
    assert f'version="{VERSION}"' in text
    assert "process_resident_memory_bytes" in text
    assert "python_gc_" not in text


async def test_runtime_metrics_adds_those_of_python() -> None:
    plugin, _ = configured(ANY + " {\nruntime_metrics\n}")
    async with running(plugin):
        text = await scrape(plugin)
    assert "python_gc_collections_total" in text
    assert "python_info" in text


async def test_the_plugins_of_the_block_are_listed_while_it_runs() -> None:
    plugin, block = configured(ANY + "\nlog\nerrors")
    assert block.traffic is not None
    block.traffic("dns://:1053", names.ROOT)
    other, _ = configured()
    async with running(other):
        async with running(plugin):
            text = await scrape(plugin)
            for name in ("prometheus", "log", "errors"):
                line = f'coredns_plugin_enabled{{name="{name}",server="dns://:1053",view="",zone="."}} 1.0\n'
                assert line in text
        assert 'coredns_plugin_enabled{name="errors",server="dns://:1053"' not in await scrape(other)


async def test_a_reload_keeps_the_address_and_the_plugins_shown() -> None:
    address = await free_address()
    (old, old_block), (new, new_block) = configured(f"prometheus {address}"), configured(f"prometheus {address}")
    for block in (old_block, new_block):
        assert block.traffic is not None
        block.traffic("dns://:2053", names.ROOT)
    await old.start()
    await new.start()
    await old.stop()
    assert 'coredns_plugin_enabled{name="prometheus",server="dns://:2053"' in await scrape(new)
    await new.stop()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def folder(tmp_path: Path, authority: trustme.CA) -> Path:
    certificate = authority.issue_cert("localhost")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path


PAIR = "cert_file: cert.pem, key_file: key.pem"


async def test_the_page_can_be_served_over_tls(folder: Path, authority: trustme.CA) -> None:
    (folder / "web.yml").write_text(f"tls_server_config: {{{PAIR}, min_version: TLS13}}")
    plugin, _ = configured(ANY + " {\ntls web.yml\n}", folder)
    async with running(plugin):
        assert "coredns_build_info" in await scrape(plugin, contexts(authority)[1])
        with pytest.raises((IndexError, OSError)):
            await scrape(plugin)


async def test_replaced_certificates_are_taken_into_use_if_they_are_good(
    folder: Path, authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "web.yml").write_text(f"tls_server_config: {{{PAIR}}}")
    plugin, _ = configured(ANY + " {\ntls web.yml\n}", folder)
    async with running(plugin):
        before = contexts(authority)[1]
        (folder / "cert.pem").write_text("half of a certifica")
        await plugin.look()
        assert "cert.pem with" in caplog.text
        assert "coredns_build_info" in await scrape(plugin, before)
        other = trustme.CA()
        renewed = other.issue_cert("localhost")
        renewed.cert_chain_pems[0].write_to_path(folder / "cert.pem")
        renewed.private_key_pem.write_to_path(folder / "key.pem")
        await plugin.look()
        assert "coredns_build_info" in await scrape(plugin, contexts(other)[1])
        with pytest.raises(ssl.SSLCertVerificationError):
            await scrape(plugin, before)


async def test_clients_can_be_asked_for_a_certificate(folder: Path, authority: trustme.CA) -> None:
    settings = f"{PAIR}, client_ca_file: ca.pem, client_auth_type: RequireAndVerifyClientCert"
    (folder / "web.yml").write_text(f"tls_server_config: {{{settings}}}")
    plugin, _ = configured(ANY + " {\ntls web.yml\n}", folder)
    stranger = contexts(authority)[1]
    friend = contexts(authority)[1]
    authority.issue_cert("prometheus.example.org").configure_cert(friend)
    async with running(plugin):
        assert "coredns_build_info" in await scrape(plugin, friend)
        with pytest.raises((IndexError, OSError)):
            await scrape(plugin, stranger)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a section tls_server_config"),
        ("- a list", "expected a section tls_server_config"),
        ("tls_server_config: {", "cannot read"),
        ("tls_server_config: {cert_file: cert.pem}", "has no key_file"),
        (f"tls_server_config: {{{PAIR}, cipher_suites: x}}", "cipher_suites is not supported"),
        (f"tls_server_config: {{{PAIR}}}\nbasic_auth_users: {{}}", "basic_auth_users is not supported"),
        ("tls_server_config: {cert_file: 1, key_file: key.pem}", "cert_file: expected text, found 1"),
        (f"tls_server_config: {{{PAIR}, min_version: TLS10}}", "expected one of TLS12, TLS13, found 'TLS10'"),
        (f"tls_server_config: {{{PAIR}, client_auth_type: RequireAnyClientCert}}", "expected one of NoClientCert"),
        (f"tls_server_config: {{{PAIR}, client_auth_type: RequireAndVerifyClientCert}}", "needs a client_ca_file"),
        (
            f"tls_server_config: {{{PAIR}, client_ca_file: no.pem, client_auth_type: VerifyClientCertIfGiven}}",
            "cannot use client_ca_file",
        ),
        ("tls_server_config: {cert_file: key.pem, key_file: key.pem}", "cannot use"),
        ("tls_server_config: {cert_file: no.pem, key_file: key.pem}", "cannot use"),
    ],
)
def test_a_web_configuration_that_cannot_be_used_is_refused(folder: Path, text: str, message: str) -> None:
    (folder / "web.yml").write_text(text)
    with pytest.raises(ValueError, match=message):
        web.Web(folder / "web.yml")


async def test_queries_are_counted_whether_answered_from_memory_or_not() -> None:
    text = "memory.example.org {\n prometheus 127.0.0.1:0\n hosts {\n 192.0.2.1 memory.example.org\n }\n}"
    async with testing.serving(text) as dns:
        answers = [await dns.ask("memory.example.org") for _ in range(5)]
        for port in dns.ports.values():
            port.settle()
        (plugin,) = (plugin for plugin in dns.plugins if isinstance(plugin, Prometheus))
        page = await scrape(plugin)
    assert sum(answer.replayed for answer in answers) == 4
    labels = 'server="dns://:53",view="",zone="memory.example.org."'
    assert f'coredns_dns_responses_total{{plugin="hosts",rcode="NOERROR",{labels}}} 5.0' in page
    assert f"coredns_dns_request_duration_seconds_count{{{labels}}} 5.0" in page
    assert f'coredns_plugin_enabled{{name="hosts",{labels}}} 1.0' in page
