# SPDX-License-Identifier: Apache-2.0
"""How values of fields are written in text, and read back: addresses, flags, masks, as ovs-ofctl writes them.

`write` gives what stands after `name=` in a match; `read` takes it (and what people type) to a value and a mask.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping
from typing import Final

from sdnctl.flows.fields import Field, Notation

PORTS: Final[Mapping[int, str]] = {
    0xFFFFFFF8: "IN_PORT",
    0xFFFFFFF9: "TABLE",
    0xFFFFFFFA: "NORMAL",
    0xFFFFFFFB: "FLOOD",
    0xFFFFFFFC: "ALL",
    0xFFFFFFFD: "CONTROLLER",
    0xFFFFFFFE: "LOCAL",
    0xFFFFFFFF: "ANY",
}
"""OpenFlow's reserved ports."""
LAST_PORT: Final = 0xFEFF
"""Open vSwitch numbers its ports with 16 bits; above are reserved ones."""

CT_FLAGS: Final = ("new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat")
TCP_FLAGS: Final = ("fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns", "[200]", "[400]", "[800]")
_FRAGMENT_VALUES: Final = {"no": (0, 3), "first": (1, 3), "later": (3, 3), "yes": (1, 1), "not_later": (0, 2)}
_FRAGMENTS: Final = {both: word for word, both in _FRAGMENT_VALUES.items()}


def hexadecimal(value: int) -> str:
    """C's %#x: zero has no prefix."""
    return f"{value:#x}" if value else "0"


def mac(value: int) -> str:
    digits = f"{value:012x}"
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def ipv4(value: int) -> str:
    return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"


def ipv6(value: int) -> str:
    return socket.inet_ntop(socket.AF_INET6, value.to_bytes(16, "big"))


def prefix_length(mask: int, bits: int) -> int | None:
    """How many leading ones `mask` is, or None if it is not only that."""
    ones = mask.bit_count()
    return ones if mask == (1 << bits) - (1 << bits - ones) else None


def _flags(names: tuple[str, ...], value: int, mask: int) -> str:
    if mask == (1 << len(names)) - 1:
        return "|".join(name for bit, name in enumerate(names) if value >> bit & 1) or "0"
    return "".join(
        ("+" if value >> bit & 1 else "-") + (names[bit] if bit < len(names) else f"[{bit}]")
        for bit in range(mask.bit_length())
        if mask >> bit & 1
    )


def _netmask(text: str, mask: int, bits: int, mask_text: str) -> str:
    length = prefix_length(mask, bits)
    if length == bits:
        return text
    return f"{text}/{mask_text if length is None else length}"


def write(field: Field, value: int, mask: int) -> str:
    """`value/mask` as dump-flows prints it behind the field's name."""
    exact = mask == field.full
    match field.notation:
        case Notation.MAC:
            return mac(value) if exact else f"{mac(value)}/{mac(mask)}"
        case Notation.IPV4:
            return _netmask(ipv4(value), mask, 32, ipv4(mask))
        case Notation.IPV6:
            return _netmask(ipv6(value), mask, 128, ipv6(mask))
        case Notation.PORT:
            return PORTS.get(value, str(value))
        case Notation.CT_STATE:
            return _flags(CT_FLAGS, value, mask)
        case Notation.TCP_FLAGS:
            return _flags(TCP_FLAGS, value, mask)
        case Notation.FRAGMENT:
            return _FRAGMENTS[value, mask]
        case Notation.HEX4:
            return f"0x{value:04x}" if exact else f"0x{value:04x}/0x{mask:04x}"
        case Notation.HEX5:
            return f"0x{value:05x}" if exact else f"0x{value:05x}/0x{mask:05x}"
        case Notation.HEX:
            return hexadecimal(value) if exact else f"{hexadecimal(value)}/{hexadecimal(mask)}"
        case Notation.DECIMAL:
            return str(value) if exact else f"0x{value:x}/0x{mask:x}"


def _read_mac(text: str) -> int:
    if not re.fullmatch(r"[0-9a-fA-F]{1,2}(:[0-9a-fA-F]{1,2}){5}", text):
        raise ValueError(f"{text!r} is no MAC address: six hexadecimal bytes with colons between")
    value = 0
    for byte in text.split(":"):
        value = value << 8 | int(byte, 16)
    return value


def _read_flags(names: tuple[str, ...], text: str) -> tuple[int, int]:
    """`+trk-new`: those two, the others may be anything. `new|trk`: exactly those."""
    value = mask = 0
    signed = re.fullmatch(r"([+-][^+-]+)+", text) is not None
    for sign, name in re.findall(r"([+-])([^+-]+)", text) if signed else [("+", name) for name in text.split("|")]:
        if name not in names:
            raise ValueError(f"{name!r} is no flag; there are {', '.join(names)}, as in +{names[0]}-{names[1]}")
        bit = 1 << names.index(name)
        mask |= bit
        value |= bit if sign == "+" else 0
    return value, mask if signed else (1 << len(names)) - 1


def read_port(text: str) -> int:
    """An OpenFlow port by number or reserved name."""
    for number, name in PORTS.items():
        if text.upper() == name:
            return number
    return int(text, 0)


def _read_one(field: Field, text: str) -> int:
    match field.notation:
        case Notation.MAC:
            return _read_mac(text)
        case Notation.IPV4:
            return int(ipaddress.IPv4Address(text))
        case Notation.IPV6:
            return int(ipaddress.IPv6Address(text))
        case Notation.PORT:
            return read_port(text)
        case _:
            return int(text, 0)


def read(field: Field, text: str) -> tuple[int, int]:
    """Value and mask written as `text`; raises ValueError with what would be right."""
    if field.notation is Notation.FRAGMENT:
        if text not in _FRAGMENT_VALUES:
            raise ValueError(f"nw_frag={text}: one of {', '.join(_FRAGMENT_VALUES)}")
        return _FRAGMENT_VALUES[text]
    if field.notation in {Notation.CT_STATE, Notation.TCP_FLAGS} and not text[:1].isdigit():
        return _read_flags(CT_FLAGS if field.notation is Notation.CT_STATE else TCP_FLAGS, text)
    first, slash, second = text.partition("/")
    value = _read_one(field, first)
    if field.notation is Notation.CT_STATE and not slash:
        return value, field.valid
    if not slash:
        return value, field.full
    if field.notation in (Notation.IPV4, Notation.IPV6) and second.isdecimal():
        length = int(second)
        if length > field.bits:
            raise ValueError(f"{field.match_name}={text}: a prefix has at most {field.bits} bits")
        return value, field.full - ((1 << field.bits - length) - 1)
    return value, _read_one(field, second)
