"""skydns values: what their JSON means, and that nothing in it can surprise."""

from __future__ import annotations

import json
import socket
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s import codes, names
from pydnsk8s.etcd import values
from pydnsk8s.etcd.values import Value, check, key_of, name_of, pack, path_of, place_of, read, stripped, unpack
from tests.strategies import wire_names

PATH = b"org/example/www/x1"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("{}", Value(PATH)),
        ('{"host":"192.0.2.1"}', Value(PATH, codes.A, socket.inet_aton("192.0.2.1"))),
        ('{"host":"2001:db8::1"}', Value(PATH, codes.AAAA, socket.inet_pton(socket.AF_INET6, "2001:db8::1"))),
        ('{"host":"::ffff:192.0.2.1"}', Value(PATH, codes.A, socket.inet_aton("192.0.2.1"))),
        ('{"host":"WWW.example.net"}', Value(PATH, codes.CNAME, names.parse("www.example.net"))),
        ('{"host":"www.example.net."}', Value(PATH, codes.CNAME, names.parse("www.example.net"))),
        ('{"host":"192.0.2.999"}', Value(PATH, codes.CNAME, names.parse("192.0.2.999"))),
        (
            '{"text":"\\"heritage=external-dns\\"","targetstrip":1}',
            Value(PATH, text=b'"heritage=external-dns"', strip=1),
        ),
        (
            '{"port":80,"priority":20,"weight":7,"mail":true,"ttl":60,"group":"a","owner":"default"}',
            Value(PATH, port=80, priority=20, weight=7, mail=True, ttl=60, group="a"),
        ),
        ('{"port":-1}', Value(PATH, port=-1)),
        ('{"Host":"192.0.2.1","TTL":5}', Value(PATH, codes.A, socket.inet_aton("192.0.2.1"), ttl=5)),
        ('{"host":null,"text":"t","stranger":[{}]}', Value(PATH, text=b"t")),
    ],
)
def test_a_value_means_what_coredns_takes_it_for(document: str, expected: Value) -> None:
    assert read(PATH, document.encode()) == expected


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ("", "truncated"),
        ("192.0.2.1", "object"),
        ("[]", "object"),
        ('{"host":5}', "$.host"),
        ('{"ttl":"60"}', "$.ttl"),
        ('{"ttl":-1}', "ttl: expected 0 to 2147483647, found -1"),
        ('{"port":65536}', "port: expected 0 to 65535, found 65536"),
        ('{"priority":65536}', "priority"),
        ('{"weight":99999999999999999999}', "weight: expected 0 to 2147483647"),
        ('{"host":"a..example.net"}', "an empty label"),
        ('{"host":"fe80::1%eth0"}', "neither an address nor a name"),
        ('{"host":"192.0.2.1:80"}', "neither an address nor a name"),
        ('{"text":"' + "x" * 60_001 + '"}', "at most 60000 octets"),
        ('{"stranger":' + "[" * 100_000, "recursion"),
    ],
)
def test_what_cannot_be_read_says_why(document: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault.replace("$.", r"\$\.")):
        read(PATH, document.encode())


@given(
    st.binary(max_size=60)
    | st.dictionaries(
        st.sampled_from(["host", "ttl", "text", "port", "x"]), st.none() | st.text() | st.integers() | st.booleans()
    ).map(lambda held: json.dumps(held).encode())
)
def test_any_octets_are_a_value_or_a_fault(document: bytes) -> None:
    with suppress(ValueError):
        value = read(PATH, document)
        assert value.path == PATH
        assert unpack(pack(value, PATH)) == value


@given(wire_names)
def test_a_name_has_one_path_and_a_path_one_name(name: bytes) -> None:
    name = name.lower()
    path = path_of(name)
    if path is None:
        assert any(b"/" in label or b"\0" in label for label in names.labels(name))
    else:
        assert name_of(path) == name
        if path:
            check(path)


@pytest.mark.parametrize(
    "path", [b"", b"org//www", b"org/example/", b"/org", b"org/" + b"x" * 64, b"/".join([b"abcdefg"] * 32), b"org/a\0b"]
)
def test_a_key_that_makes_no_name_is_refused(path: bytes) -> None:
    with pytest.raises(ValueError, match="the key"):
        check(path)


@given(wire_names.map(bytes.lower), st.integers(0, 3), st.binary(), st.integers(0, 2**63 - 1))
def test_a_row_is_a_value_again(name: bytes, strip: int, text: bytes, lease: int) -> None:
    path = path_of(name)
    if path:
        value = Value(path, codes.A, bytes(4), text=text, strip=strip, lease=lease, key=b"K")
        for place in (path, value.owner):
            row = pack(value, place)
            assert unpack(row) == value
            assert place_of(row) == place
            assert key_of(row) == b"K"


@pytest.mark.parametrize(
    ("labels", "expected"), [(0, PATH), (1, b"org/example/www"), (3, b"org"), (4, PATH), (127, PATH)]
)
def test_more_labels_than_there_are_cannot_be_cut_off(labels: int, expected: bytes) -> None:
    assert stripped(PATH, labels) == expected


def test_what_is_written_is_what_external_dns_writes() -> None:
    written = values.write(targetstrip=1, ttl=300, host="192.0.2.10")
    assert written == b'{"host":"192.0.2.10","ttl":300,"targetstrip":1}'
