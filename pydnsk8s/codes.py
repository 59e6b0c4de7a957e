"""The numbers of the DNS: types, classes, opcodes, rcodes, EDNS options, and their names.

Source: the IANA registry "Domain Name System (DNS) Parameters".
"""

from __future__ import annotations

A = 1
NS = 2
CNAME = 5
SOA = 6
PTR = 12
HINFO = 13
MX = 15
TXT = 16
AAAA = 28
SRV = 33
NAPTR = 35
DNAME = 39
OPT = 41
DS = 43
RRSIG = 46
NSEC = 47
DNSKEY = 48
NSEC3 = 50
SVCB = 64
HTTPS = 65
TSIG = 250
IXFR = 251
AXFR = 252
ANY = 255

IN = 1
CH = 3
CLASS_NONE = 254
CLASS_ANY = 255

OPCODE_QUERY = 0
OPCODE_NOTIFY = 4
OPCODE_UPDATE = 5

NOERROR = 0
FORMERR = 1
SERVFAIL = 2
NXDOMAIN = 3
NOTIMP = 4
REFUSED = 5
NOTAUTH = 9
BADVERS = 16
DROP = -1  # never on the wire: the server sends nothing at all

# RFC 1035 section 4.1.1: the second 16 bits of the header.
QR = 0x8000
AA = 0x0400
TC = 0x0200
RD = 0x0100
RA = 0x0080
AD = 0x0020
CD = 0x0010

OPTION_NSID = 3
OPTION_SUBNET = 8
OPTION_EXPIRE = 9
OPTION_COOKIE = 10
OPTION_KEEPALIVE = 11
OPTION_PADDING = 12
OPTION_ERROR = 15

TYPES: dict[str, int] = {
    "A": A, "NS": NS, "MD": 3, "MF": 4, "CNAME": CNAME, "SOA": SOA, "MB": 7, "MG": 8, "MR": 9,
    "NULL": 10, "PTR": PTR, "HINFO": HINFO, "MINFO": 14, "MX": MX, "TXT": TXT, "RP": 17,
    "AFSDB": 18, "X25": 19, "ISDN": 20, "RT": 21, "NSAP-PTR": 23, "SIG": 24, "KEY": 25, "PX": 26,
    "GPOS": 27, "AAAA": AAAA, "LOC": 29, "NXT": 30, "EID": 31, "NIMLOC": 32, "SRV": SRV,
    "ATMA": 34, "NAPTR": NAPTR, "KX": 36, "CERT": 37, "DNAME": DNAME, "OPT": OPT, "APL": 42,
    "DS": DS, "SSHFP": 44, "IPSECKEY": 45, "RRSIG": RRSIG, "NSEC": NSEC, "DNSKEY": DNSKEY,
    "DHCID": 49, "NSEC3": NSEC3, "NSEC3PARAM": 51, "TLSA": 52, "SMIMEA": 53, "HIP": 55,
    "NINFO": 56, "RKEY": 57, "TALINK": 58, "CDS": 59, "CDNSKEY": 60, "OPENPGPKEY": 61,
    "CSYNC": 62, "ZONEMD": 63, "SVCB": SVCB, "HTTPS": HTTPS, "SPF": 99, "UINFO": 100, "UID": 101,
    "GID": 102, "UNSPEC": 103, "NID": 104, "L32": 105, "L64": 106, "LP": 107, "EUI48": 108,
    "EUI64": 109, "NXNAME": 128, "URI": 256, "CAA": 257, "AVC": 258, "TKEY": 249, "TSIG": TSIG,
    "IXFR": IXFR, "AXFR": AXFR, "MAILB": 253, "MAILA": 254, "ANY": ANY, "TA": 32768, "DLV": 32769,
}  # fmt: skip
CLASSES: dict[str, int] = {"IN": IN, "CH": CH, "HS": 4, "NONE": CLASS_NONE, "ANY": CLASS_ANY}
OPCODES: dict[str, int] = {"QUERY": 0, "IQUERY": 1, "STATUS": 2, "NOTIFY": 4, "UPDATE": 5}
RCODES: dict[str, int] = {
    "NOERROR": 0, "FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "NOTIMP": 4, "REFUSED": 5,
    "YXDOMAIN": 6, "YXRRSET": 7, "NXRRSET": 8, "NOTAUTH": 9, "NOTZONE": 10, "BADVERS": 16,
    "BADKEY": 17, "BADTIME": 18, "BADMODE": 19, "BADNAME": 20, "BADALG": 21, "BADTRUNC": 22,
    "BADCOOKIE": 23,
}  # fmt: skip

_TYPE_NAMES = {number: name for name, number in TYPES.items()}
_CLASS_NAMES = {number: name for name, number in CLASSES.items()}
_RCODE_NAMES = {number: name for name, number in RCODES.items()}


def type_name(number: int) -> str:
    """The mnemonic of a record type; ``TYPE12345`` for one without (RFC 3597 section 5)."""
    return _TYPE_NAMES.get(number) or f"TYPE{number}"


def class_name(number: int) -> str:
    """The mnemonic of a class; ``CLASS12345`` for one without (RFC 3597 section 5)."""
    return _CLASS_NAMES.get(number) or f"CLASS{number}"


def rcode_name(number: int) -> str:
    """The mnemonic of a response code; its decimal number for one without."""
    return _RCODE_NAMES.get(number) or str(number)


def parse_type(text: str) -> int:
    """The number of a record type given as mnemonic, ``TYPE123`` or decimal; ValueError otherwise."""
    return _parse(text, TYPES, "TYPE", 0xFFFF, "record type")


def parse_class(text: str) -> int:
    """The number of a class given as mnemonic or ``CLASS123``; ValueError otherwise."""
    return _parse(text, CLASSES, "CLASS", 0xFFFF, "class")


def parse_rcode(text: str) -> int:
    """The number of a response code given as mnemonic or decimal; ValueError otherwise."""
    return _parse(text, RCODES, "RCODE", 0xFFF, "response code")


def _parse(text: str, known: dict[str, int], prefix: str, most: int, what: str) -> int:
    upper = text.upper()
    if upper in known:
        return known[upper]
    digits = upper.removeprefix(prefix)
    if digits.isascii() and digits.isdigit() and int(digits) <= most:
        return int(digits)
    raise ValueError(f"not a {what}: {text!r}")
