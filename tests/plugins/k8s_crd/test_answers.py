"""k8s_crd: what the names of DNSEndpoints answer."""

from __future__ import annotations

import time

import pytest

from pydnsk8s import codes
from pydnsk8s.kube.objects import DNSEndpoint
from pydnsk8s.message import Reply
from tests.plugins.blocks import ELSEWHERE, elsewhere, query, texts

from .endpoints import APP, ZONE, endpoint, entry, serving, serving_of

NAMES = endpoint(
    entry(APP, "192.0.2.1", "192.0.2.2", ttl=30),
    entry(APP, "2001:db8::1", type="AAAA", ttl=30),
    entry(f"text.{ZONE}", "a=b", "c", type="TXT"),
    entry(f"mail.{ZONE}", "10 mx.example.net", type="MX"),
    entry(f"_sip._tcp.{ZONE}", "0 5 5060 sip.example.net", type="SRV"),
    entry(f"a.b.c.{ZONE}", "192.0.2.3"),
    entry(f"empty.{ZONE}"),
)


async def ask(name: str, type: str = "A", *objects: DNSEndpoint, options: str = "") -> Reply:
    found, _ = serving_of(*(objects or (NAMES,)), options=options)
    return await found.answer(query(name, type), elsewhere)


@pytest.mark.parametrize(
    ("name", "type", "answer"),
    [
        (APP, "A", [f"{APP}. 30 A 192.0.2.1", f"{APP}. 30 A 192.0.2.2"]),
        (APP, "AAAA", [f"{APP}. 30 AAAA 2001:db8::1"]),
        (f"text.{ZONE}", "TXT", [f'text.{ZONE}. 60 TXT "a=b" "c"']),
        (f"mail.{ZONE}", "MX", [f"mail.{ZONE}. 60 MX 10 mx.example.net."]),
        (f"_sip._tcp.{ZONE}", "SRV", [f"_sip._tcp.{ZONE}. 60 SRV 0 5 5060 sip.example.net."]),
        (f"a.b.c.{ZONE}", "A", [f"a.b.c.{ZONE}. 60 A 192.0.2.3"]),
    ],
)
async def test_a_name_answers_with_its_records_of_the_type(name: str, type: str, answer: list[str]) -> None:
    reply = await ask(name, type)
    assert (reply.rcode, texts(reply.answer), reply.authoritative) == (codes.NOERROR, answer, True)


@pytest.mark.parametrize(
    "name", [APP, f"text.{ZONE}", f"b.c.{ZONE}", f"c.{ZONE}", f"dns.{ZONE}", f"ns1.dns.{ZONE}", ZONE]
)
async def test_what_exists_without_the_type_has_no_data(name: str) -> None:
    reply = await ask(name, "CNAME")
    assert (reply.rcode, reply.answer) == (codes.NOERROR, ())
    assert texts(reply.authority)[0].startswith(f"{ZONE}. 3600 SOA ns1.dns.{ZONE}. hostmaster.dns.{ZONE}. ")


@pytest.mark.parametrize(
    "name", [f"no.{ZONE}", f"no.{APP}", f"empty.{ZONE}", f"x.dns.{ZONE}", f"x.ns1.dns.{ZONE}", f"xapp.{ZONE}"]
)
async def test_what_nobody_asked_for_does_not_exist(name: str) -> None:
    reply = await ask(name, "A", NAMES, options="negttl 30\napex dns")
    assert (reply.rcode, reply.answer) == (codes.NXDOMAIN, ())
    assert texts(reply.authority)[0].endswith(" 7200 1800 86400 30")


async def test_letter_case_has_no_say_in_anything_and_comes_back() -> None:
    mixed = endpoint(entry("App.CLOUD.example.org", "192.0.2.1", ttl=123))
    async with serving(mixed) as dns:
        for spelled in ("aPP.cloud.Example.org", APP):
            assert (await dns.ask(spelled)).answer == [f"{spelled}. 123 A 192.0.2.1"]


async def test_entries_of_one_name_make_one_answer_with_the_lowest_ttl() -> None:
    one = endpoint(entry(APP, "192.0.2.1", "192.0.2.2", ttl=300), entry(APP, "x", type="TXT"), name="one")
    two = endpoint(entry(APP.upper(), "192.0.2.2", "192.0.2.3", ttl=20), name="two")
    reply = await ask(APP, "A", two, one)
    assert texts(reply.answer) == [f"{APP}. 20 A 192.0.2.{number}" for number in (1, 2, 3)]
    assert texts((await ask(APP, "TXT", two, one)).answer) == [f'{APP}. 60 TXT "x"']


async def test_the_default_ttl_is_that_of_the_corefile() -> None:
    assert texts((await ask(f"a.b.c.{ZONE}", "A", NAMES, options="ttl 7")).answer) == [f"a.b.c.{ZONE}. 7 A 192.0.2.3"]


async def test_names_outside_of_the_zones_go_on() -> None:
    for name in ("example.org", "xcloud.example.org", "app.example.net"):
        assert await ask(name) is ELSEWHERE


async def test_names_that_do_not_exist_fall_through_where_it_is_allowed() -> None:
    for zones, through in (("", True), (ZONE, True), (f"b.{ZONE}", False)):
        reply = await ask(f"no.{ZONE}", "A", NAMES, options=f"fallthrough {zones}")
        assert (reply.plugin == "elsewhere") is through
        assert (await ask(f"c.{ZONE}", "A", NAMES, options=f"fallthrough {zones}")).plugin == "k8s_crd"


@pytest.mark.parametrize("options", ["", "fallthrough"])
async def test_before_the_names_are_known_they_are_neither_denied_nor_passed_on(options: str) -> None:
    found, _ = serving_of(NAMES, options=options)
    late = found.index.select()
    for name in (APP, f"no.{ZONE}", ZONE):
        reply = await found.answer(query(name), elsewhere)
        assert (reply.rcode, reply.answer, reply.keep.live) == (codes.SERVFAIL, (), True)
    assert not found.ready()
    late.complete(DNSEndpoint)
    assert not reply.keep.alive
    assert found.ready()
    assert (await found.answer(query(APP), elsewhere)).rcode == codes.NOERROR


async def test_a_zone_is_not_given_away() -> None:
    for type in ("AXFR", "IXFR"):
        assert (await ask(ZONE, type)).rcode == codes.REFUSED


async def test_the_zone_has_a_soa_with_the_hour_for_its_serial_and_its_own_name_server() -> None:
    reply = await ask(ZONE, "SOA", NAMES, options="negttl 30\napex gslb")
    words = texts(reply.answer)[0].split()
    assert words[:5] == [f"{ZONE}.", "30", "SOA", f"ns1.gslb.{ZONE}.", f"hostmaster.gslb.{ZONE}."]
    assert int(words[5]) % 3600 == 0
    assert 0 <= time.time() - int(words[5]) <= 3601
    assert texts(reply.authority) == [f"{ZONE}. 30 NS ns1.gslb.{ZONE}."]
    assert 0 < reply.keep.seconds <= 3600
    servers = await ask(ZONE, "NS", NAMES, options="negttl 30\napex gslb")
    assert (texts(servers.answer), servers.additional) == ([f"{ZONE}. 30 NS ns1.gslb.{ZONE}."], ())


async def test_the_name_server_has_the_addresses_of_the_external_service(monkeypatch: pytest.MonkeyPatch) -> None:
    outside = endpoint(entry("external-dns.kube-system", "192.0.2.53", "2001:db8::53", ttl=5), name="outside")
    glue = [f"ns1.dns.{ZONE}. 3600 A 192.0.2.53", f"ns1.dns.{ZONE}. 3600 AAAA 2001:db8::53"]
    assert texts((await ask(ZONE, "NS", outside)).additional) == glue
    assert texts((await ask(f"ns1.dns.{ZONE}", "A", outside)).answer) == glue[:1]
    monkeypatch.setenv("EXTERNAL_SVC", "dns.gslb")
    assert (await ask(ZONE, "NS", outside)).additional == ()


async def test_the_zone_shows_the_same_name_servers_as_its_parent_if_it_is_told_them() -> None:
    servers = endpoint(
        entry(ZONE, f"ns-eu.{ZONE}", "gslb-ns-us-cloud.example.org", type="NS", ttl=30),
        entry(f"ns-eu.{ZONE}", "192.0.2.53", ttl=30),
        entry("gslb-ns-us-cloud.example.org", "192.0.2.54", ttl=30),
        entry(ZONE, "192.0.2.80"),
    )
    reply = await ask(ZONE, "NS", servers)
    assert texts(reply.answer) == [f"{ZONE}. 30 NS ns-eu.{ZONE}.", f"{ZONE}. 30 NS gslb-ns-us-cloud.example.org."]
    assert texts(reply.additional) == [f"ns-eu.{ZONE}. 30 A 192.0.2.53"]
    assert texts((await ask(ZONE, "SOA", servers)).authority) == texts(reply.answer)
    assert texts((await ask(ZONE, "A", servers)).answer) == [f"{ZONE}. 60 A 192.0.2.80"]


DELEGATED = endpoint(
    entry(f"sub.{ZONE}", f"ns.sub.{ZONE}", "ns.example.net", type="NS", ttl=30),
    entry(f"ns.sub.{ZONE}", "192.0.2.53", ttl=30),
    entry(f"held.sub.{ZONE}", "192.0.2.80", ttl=30),
)


@pytest.mark.parametrize(
    ("name", "type"),
    [(f"sub.{ZONE}", "NS"), (f"sub.{ZONE}", "A"), (f"x.y.sub.{ZONE}", "A"), (f"held.sub.{ZONE}", "TXT")],
)
async def test_what_is_delegated_is_referred_to_its_name_servers(name: str, type: str) -> None:
    reply = await ask(name, type, DELEGATED)
    assert (reply.rcode, reply.answer, reply.authoritative) == (codes.NOERROR, (), False)
    assert texts(reply.authority) == [f"sub.{ZONE}. 30 NS ns.sub.{ZONE}.", f"sub.{ZONE}. 30 NS ns.example.net."]
    assert texts(reply.additional) == [f"ns.sub.{ZONE}. 30 A 192.0.2.53"]


async def test_what_is_held_of_a_delegated_zone_and_its_ds_are_answered_here() -> None:
    assert texts((await ask(f"held.sub.{ZONE}", "A", DELEGATED)).answer) == [f"held.sub.{ZONE}. 30 A 192.0.2.80"]
    reply = await ask(f"sub.{ZONE}", "DS", DELEGATED)
    assert (reply.answer, reply.authoritative, reply.authority[0].type) == ((), True, codes.SOA)


async def test_an_alias_is_followed_and_shown_alone_where_its_target_is_not_known() -> None:
    names = endpoint(
        entry(f"www.{ZONE}", "App.Cloud.example.org", type="CNAME", ttl=30),
        entry(APP, "192.0.2.1"),
        entry(f"out.{ZONE}", "www.example.net", "www.example.com", type="CNAME"),
        entry(f"round.{ZONE}", f"round.{ZONE}", type="CNAME"),
        entry(f"both.{ZONE}", APP, type="CNAME"),
        entry(f"both.{ZONE}", "192.0.2.9"),
    )
    async with serving(names) as dns:
        alias = f"www.{ZONE}. 30 CNAME {APP}."
        assert (await dns.ask(f"www.{ZONE}")).answer == [alias, f"{APP}. 60 A 192.0.2.1"]
        assert (await dns.ask(f"www.{ZONE}", "CNAME")).answer == [alias]
        assert (await dns.ask(f"www.{ZONE}", "AAAA")).answer == [alias]
        assert (await dns.ask(f"out.{ZONE}")).answer == [f"out.{ZONE}. 60 CNAME www.example.net."]
        assert (await dns.ask(f"round.{ZONE}")).answer == []
        assert (await dns.ask(f"both.{ZONE}")).answer == [f"both.{ZONE}. 60 A 192.0.2.9"]
        assert (await dns.ask(f"both.{ZONE}", "CNAME")).answer == []


async def test_another_class_is_not_ours() -> None:
    found, _ = serving_of(NAMES)
    assert await found.answer(query(APP, klass=codes.CH), elsewhere) is ELSEWHERE


async def test_a_second_question_is_answered_from_the_gate_until_the_name_changes() -> None:
    async with serving(NAMES) as dns:
        for name in (APP, f"no.{ZONE}", f"c.{ZONE}", ZONE):
            assert [(await dns.ask(name, "SOA")).replayed for _ in range(2)] == [False, True]
