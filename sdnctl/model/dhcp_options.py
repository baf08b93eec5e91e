# SPDX-License-Identifier: Apache-2.0
"""DHCPv4 options by name or number, and how a value written as text becomes bytes.

    encode("ntp-server", "10.0.0.2,10.0.0.3")            (42, bytes of the two addresses)
    encode("26", "1400")                                 (26, 05 78)
    encode("121", "192.168.0.0/16,10.0.0.9")             (121, RFC 3442)
    encode("43", "01:04:0a:00:00:01")                    (43, as written: hexadecimal pairs)
    validate("mtu", "many")                              "'many' is not a number from 68 to 65535"

Names are those that dnsmasq prints with `--help dhcp`, because that is what users of the Networking API write; ISC's
names for the common ones are accepted too. An option that has no entry here is used by its number, and its value is
taken for what it looks like: addresses, hexadecimal pairs, a number, else text.

Control characters are refused in every text: clients hand these values to shell scripts.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from typing import Final

NEXT_SERVER: Final = 0
"""Not an option but the `siaddr` of the header; option 0 does not exist (it is padding)."""
LONGEST: Final = 255
"""Bytes of one option's value."""


class Type(enum.Enum):
    """What an option's value is, and how it is written."""

    ADDRESS = "an IPv4 address"
    ADDRESSES = "IPv4 addresses with commas between them"
    PAIRS = "pairs of IPv4 addresses with commas between them"
    TEXT = "text without control characters, of 1 to 255 bytes"
    NAME = "letters, digits, '-', '_' and '.', at most 253"
    NAMES = "domain names with spaces between them"
    DOMAINS = "domain names with commas between them"
    ROUTES = "destination,gateway,destination,gateway... such as 10.1.0.0/16,10.0.0.9"
    SIP = "IPv4 addresses or domain names with commas between them"
    BYTES = "hexadecimal pairs (01:02) or text"
    FLAG = "0 or 1"
    U8 = "a number from 0 to 255"
    U16 = "a number from 0 to 65535"
    MTU = "a number from 68 to 65535"
    U16S = "numbers from 0 to 65535 with commas between them"
    U32 = "a number from 0 to 4294967295"
    S32 = "a number from -2147483648 to 2147483647"
    ANY = "addresses, hexadecimal pairs (01:02), a number or text"


NAMES: Final[dict[str, tuple[int, Type]]] = {
    "server-ip-address": (NEXT_SERVER, Type.ADDRESS),
    "netmask": (1, Type.ADDRESS),
    "time-offset": (2, Type.S32),
    "router": (3, Type.ADDRESSES),
    "time-server": (4, Type.ADDRESSES),
    "dns-server": (6, Type.ADDRESSES),
    "log-server": (7, Type.ADDRESSES),
    "lpr-server": (9, Type.ADDRESSES),
    "hostname": (12, Type.NAME),
    "boot-file-size": (13, Type.U16),
    "domain-name": (15, Type.NAMES),
    "swap-server": (16, Type.ADDRESS),
    "root-path": (17, Type.TEXT),
    "extension-path": (18, Type.TEXT),
    "ip-forward-enable": (19, Type.FLAG),
    "non-local-source-routing": (20, Type.FLAG),
    "policy-filter": (21, Type.PAIRS),
    "max-datagram-reassembly": (22, Type.U16),
    "default-ttl": (23, Type.U8),
    "path-mtu-timeout": (24, Type.U32),
    "path-mtu-plateau": (25, Type.U16S),
    "mtu": (26, Type.MTU),
    "all-subnets-local": (27, Type.FLAG),
    "broadcast": (28, Type.ADDRESS),
    "router-discovery": (31, Type.FLAG),
    "router-solicitation": (32, Type.ADDRESS),
    "static-route": (33, Type.PAIRS),
    "trailer-encapsulation": (34, Type.FLAG),
    "arp-timeout": (35, Type.U32),
    "ethernet-encap": (36, Type.FLAG),
    "tcp-ttl": (37, Type.U8),
    "tcp-keepalive": (38, Type.U32),
    "nis-domain": (40, Type.TEXT),
    "nis-server": (41, Type.ADDRESSES),
    "ntp-server": (42, Type.ADDRESSES),
    "vendor-encap": (43, Type.BYTES),
    "netbios-ns": (44, Type.ADDRESSES),
    "netbios-dd": (45, Type.ADDRESSES),
    "netbios-nodetype": (46, Type.U8),
    "netbios-scope": (47, Type.TEXT),
    "x-windows-fs": (48, Type.ADDRESSES),
    "x-windows-dm": (49, Type.ADDRESSES),
    "lease-time": (51, Type.U32),
    "T1": (58, Type.U32),
    "T2": (59, Type.U32),
    "vendor-class": (60, Type.BYTES),
    "nis+-domain": (64, Type.TEXT),
    "nis+-server": (65, Type.ADDRESSES),
    "tftp-server": (66, Type.TEXT),
    "bootfile-name": (67, Type.TEXT),
    "mobile-ip-home": (68, Type.ADDRESSES),
    "smtp-server": (69, Type.ADDRESSES),
    "pop3-server": (70, Type.ADDRESSES),
    "nntp-server": (71, Type.ADDRESSES),
    "irc-server": (74, Type.ADDRESSES),
    "user-class": (77, Type.BYTES),
    "posix-timezone": (100, Type.TEXT),
    "tzdb-timezone": (101, Type.TEXT),
    "ipv6-only": (108, Type.U32),
    "captive-portal": (114, Type.TEXT),
    "auto-configure": (116, Type.FLAG),
    "domain-search": (119, Type.DOMAINS),
    "sip-server": (120, Type.SIP),
    "classless-static-route": (121, Type.ROUTES),
    "vendor-id-encap": (125, Type.BYTES),
    "tftp-server-address": (150, Type.ADDRESSES),
    "config-file": (209, Type.TEXT),
    "path-prefix": (210, Type.TEXT),
    "reboot-time": (211, Type.U32),
    "ms-classless-static-route": (249, Type.ROUTES),
    "wpad": (252, Type.TEXT),
}
ALIASES: Final = {
    "subnet-mask": "netmask",
    "routers": "router",
    "domain-name-servers": "dns-server",
    "host-name": "hostname",
    "interface-mtu": "mtu",
    "broadcast-address": "broadcast",
    "ntp-servers": "ntp-server",
    "nis-servers": "nis-server",
    "netbios-name-servers": "netbios-ns",
    "vendor-encapsulated-options": "vendor-encap",
    "dhcp-lease-time": "lease-time",
    "dhcp-renewal-time": "T1",
    "dhcp-rebinding-time": "T2",
    "t1": "T1",
    "t2": "T2",
    "tftp-server-name": "tftp-server",
    "filename": "bootfile-name",
    "next-server": "server-ip-address",
    "static-routes": "static-route",
    "rfc3442-classless-static-routes": "classless-static-route",
    "default-ip-ttl": "default-ttl",
}
RESERVED: Final = {
    50: "only a client sends it",
    52: "whether the header carries options is seen in each answer",
    53: "it says what kind of message an answer is",
    54: "it is the address of the network's DHCP server",
    55: "only a client sends it",
    56: "it explains a refusal",
    57: "only a client sends it",
    61: "the client's own is echoed",
    82: "the relay's own is echoed",
}
"""Numbers of the protocol itself, which nobody may set, and why."""

_TYPES: Final = dict(NAMES.values())
_BITS: Final = {Type.FLAG: 1, Type.U8: 8, Type.U16: 16, Type.MTU: 16, Type.U32: 32}
_HEX: Final = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2})+")
_LABEL: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_SIP_NAMES: Final = b"\0"
_SIP_ADDRESSES: Final = b"\1"


def code_of(name: str) -> int | None:
    """The option's number; None for a name nobody knows here, or a number out of range."""
    if name.isascii() and name.isdigit():
        code = int(name) if len(name) < 4 else 0
        return code if 1 <= code <= 254 else None
    found = NAMES.get(ALIASES.get(name, name))
    return None if found is None else found[0]


def encode(name: str, value: str) -> tuple[int, bytes]:
    """Number and bytes of an option; ValueError, with what would be right, if there is no such thing."""
    code = code_of(name)
    if code is None:
        raise ValueError("no such option: use a name that dnsmasq knows or a number from 1 to 254")
    if code in RESERVED:
        raise ValueError(f"option {code} cannot be set: {RESERVED[code]}")
    kind = _TYPES.get(code, Type.ANY)
    try:
        encoded = _encode(kind, value)
    except ValueError as error:
        raise ValueError(f"'{_shortened(value)}' is not {kind.value}") from error
    if not 0 < len(encoded) <= LONGEST:
        raise ValueError(f"'{_shortened(value)}' makes {len(encoded)} bytes; an option has 1 to {LONGEST}")
    return code, encoded


def validate(name: str, value: str) -> str | None:
    """Why the value cannot be used and what could, or None. A name nobody knows here is let pass: it is ignored."""
    if code_of(name) is None and not (name.isascii() and name.isdigit()):
        return None
    try:
        encode(name, value)
    except ValueError as error:
        return str(error)
    return None


def domain(name: str) -> bytes:
    """A domain name as DNS has it on the wire (RFC 1035), without compression; ValueError if it is none."""
    labels = name.removesuffix(".").split(".")
    if not all(_LABEL.fullmatch(label) for label in labels) or len(name) > 253:
        raise ValueError(name)
    return b"".join(bytes((len(label),)) + label.encode() for label in labels) + b"\0"


def route(destination: int, prefix_length: int, gateway: int) -> bytes:
    """A classless route (RFC 3442): only the bytes of the destination that the prefix covers."""
    octets = (prefix_length + 7) // 8
    return bytes((prefix_length,)) + destination.to_bytes(4, "big")[:octets] + gateway.to_bytes(4, "big")


def _encode(kind: Type, value: str) -> bytes:
    if _CONTROL.search(value):
        raise ValueError(value)
    match kind:
        case Type.ADDRESS:
            return _address(value)
        case Type.ADDRESSES:
            return b"".join(map(_address, value.split(",")))
        case Type.PAIRS:
            addresses = [_address(one) for one in value.split(",")]
            if len(addresses) % 2:
                raise ValueError(value)
            return b"".join(addresses)
        case Type.TEXT:
            return _text(value)
        case Type.NAME:
            domain(value)
            return value.encode()
        case Type.NAMES:
            for name in value.split(" "):
                domain(name)
            return value.encode()
        case Type.DOMAINS:
            return _hexadecimal(value) or b"".join(map(domain, _parts(value)))
        case Type.ROUTES:
            return _hexadecimal(value) or _routes(value)
        case Type.SIP:
            return _hexadecimal(value) or _sip(value)
        case Type.BYTES:
            return _hexadecimal(value) or _text(value)
        case Type.U16S:
            return b"".join(_number(one, 0, 0xFFFF).to_bytes(2, "big") for one in value.split(","))
        case Type.S32:
            return _number(value, -(1 << 31), (1 << 31) - 1).to_bytes(4, "big", signed=True)
        case Type.MTU:
            return _number(value, 68, 0xFFFF).to_bytes(2, "big")
        case Type.ANY:
            return _anything(value)
        case Type.FLAG | Type.U8 | Type.U16 | Type.U32:
            bits = _BITS[kind]
            return _number(value, 0, (1 << bits) - 1).to_bytes((bits + 7) // 8, "big")


def _parts(value: str) -> list[str]:
    return [part.strip() for part in value.split(",")]


def _address(value: str) -> bytes:
    return ipaddress.IPv4Address(value.strip()).packed


def _text(value: str) -> bytes:
    encoded = value.encode()
    if not encoded:
        raise ValueError(value)
    return encoded


def _number(value: str, least: int, most: int) -> int:
    text = value.strip()
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 10 or not least <= int(text) <= most:
        raise ValueError(value)
    return int(text)


def _hexadecimal(value: str) -> bytes | None:
    """The bytes of `01:02`; None for anything else (a pair alone could be a number)."""
    return bytes.fromhex(value.replace(":", "")) if _HEX.fullmatch(value) else None


def _routes(value: str) -> bytes:
    parts = _parts(value)
    if len(parts) % 2:
        raise ValueError(value)
    encoded = b""
    for destination, gateway in zip(parts[::2], parts[1::2], strict=True):
        network = ipaddress.IPv4Network(destination)
        encoded += route(int(network.network_address), network.prefixlen, int(ipaddress.IPv4Address(gateway)))
    return encoded


def _sip(value: str) -> bytes:
    parts = _parts(value)
    try:
        return _SIP_ADDRESSES + b"".join(map(_address, parts))
    except ValueError:
        return _SIP_NAMES + b"".join(map(domain, parts))


def _anything(value: str) -> bytes:
    try:
        return b"".join(map(_address, value.split(",")))
    except ValueError:
        pass
    encoded = _hexadecimal(value)
    if encoded is not None:
        return encoded
    try:
        number = _number(value, 0, (1 << 32) - 1)
    except ValueError:
        return _text(value)
    return number.to_bytes(1 if number < 1 << 8 else 2 if number < 1 << 16 else 4, "big")


def _shortened(value: str) -> str:
    return value if len(value) <= 60 else value[:57] + "..."
