"""Checks against real targets, good ones and bad ones."""

from __future__ import annotations

import errno
import re
import ssl
from dataclasses import replace

import pytest
import trustme

from pydnsk8s import codes
from pydnsk8s.plugins.gslb.checks import Check, Dns, Http, Target, Tcp
from pydnsk8s.plugins.gslb.health import Finding
from tests.ports import free_port
from tests.upstream.servers import Server, reply

from .targets import app, page

HERE = b"\x7f\0\0\1"
WEB = Http("http", "/healthz", 80, "app.example.org")
WELL = replace(WEB, body=re.compile(b"w[e]ll"))
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nwe\r\n2\r\nll\r\n0\r\n\r\n"


async def look(check: Check, seconds: float = 2.0) -> Finding:
    return await Target(HERE, (check,)).look(seconds)


async def test_a_port_that_takes_connections_passes_and_a_closed_one_does_not() -> None:
    async with app() as target:
        assert await look(Tcp(target.port)) == Finding(True)
        await target.kill()
        assert await look(Tcp(target.port)) == Finding(False, f"tcp {target.port}: connection refused")


@pytest.mark.parametrize(
    ("says", "check", "reason"),
    [
        (page(), WEB, ""),
        (page(status=b"302 Found"), WEB, ""),
        (page(status=b"302 Found"), replace(WEB, most=299), "status 302"),
        (page(status=b"503 No"), WEB, "status 503"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" + page(), WEB, ""),
        (page(b"all is well"), replace(WEB, body=re.compile(b"is w[e]ll$")), ""),
        (page(b"all is lost"), WELL, "the page does not have what is looked for"),
        (page(b" " * 65536 + b"well"), WELL, "the page does not have what is looked for"),
        (CHUNKED, WELL, ""),
        (page(b"", b"101 Switching Protocols"), WEB, "not HTTP"),
        (b"SSH-2.0-OpenSSH_9\r\n", WEB, "not HTTP"),
        (b"", WEB, "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, WEB, "not HTTP"),
        (page()[:-3], WELL, "not HTTP"),
    ],
)  # fmt: skip
async def test_a_page_passes_by_status_and_body(says: bytes, check: Http, reason: str) -> None:
    async with app(says) as target:
        finding = await look(replace(check, port=target.port))
    assert finding.passed is (not reason)
    assert reason in finding.reason


async def test_a_page_is_asked_for_under_its_host_and_path() -> None:
    async with app(page()) as target:
        await look(replace(WEB, port=target.port))
    head = target.asked[0].decode().lower()
    assert head.startswith("get /healthz http/1.1\r\n")
    assert f"\r\nhost: app.example.org:{target.port}\r\n" in head


async def test_a_target_that_only_listens_fails_in_time() -> None:
    async with app(None) as target:
        finding = await look(replace(WEB, port=target.port), 0.05)
    assert finding == Finding(False, "http /healthz: no answer within 0.05 s")


async def test_a_certificate_has_to_prove_the_name() -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("app.example.org").configure_cert(context)
    trusted = authority.cert_pem.bytes().decode()
    async with app(page(), context=context) as target:
        check = Http("https", "/", target.port, "app.example.org", authorities=trusted)
        assert await look(check) == Finding(True)
        assert "hostname mismatch" in (await look(replace(check, host="www.example.org"))).reason
        assert "certificate" in (await look(replace(check, authorities=""))).reason
        assert await look(replace(check, authorities="", proven=False)) == Finding(True)


async def test_a_dns_server_passes_with_the_record_asked_for() -> None:
    name = b"\7example\3org\0"
    async with Server() as server:
        assert await look(Dns(name, codes.A, server.port)) == Finding(True)
        assert "no such record" in (await look(Dns(name, codes.SOA, server.port))).reason
        server.behave = lambda packet, transport: reply(packet, rcode=codes.SERVFAIL)
        assert (await look(Dns(name, codes.A, server.port))).reason == "dns example.org. A: SERVFAIL"
        server.behave = lambda packet, transport: reply(packet, truncated=transport == "udp")
        assert await look(Dns(name, codes.A, server.port)) == Finding(True)
    assert (await look(Dns(name, codes.A, free_port()), 0.3)).passed is False


async def test_all_checks_have_to_pass() -> None:
    async with app(page()) as target:
        both = Tcp(target.port), replace(WEB, port=target.port, most=199, least=100)
        finding = await Target(HERE, both).look(2)
    assert (finding.passed, finding.reason) == (False, "http /healthz: status 200")


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.EMFILE, errno.EADDRNOTAVAIL])
async def test_what_is_wrong_with_us_says_nothing_of_the_target(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise OSError(number, "ours")

    monkeypatch.setattr(Tcp, "run", fail)
    assert (await look(Tcp(1))).passed is None
