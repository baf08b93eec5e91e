# SPDX-License-Identifier: Apache-2.0
"""A packet as the fields that a switch sees of it: a small immutable value.

    packet = read_packet("in_port=1,tcp,ip_dst=10.0.0.12,tcp_dst=80")
    packet[Field.TCP_DST]                 80
    packet.changed({Field.IP_TTL: 63})

Every field has a value, as in Open vSwitch: one that the packet does not have is 0. That does not say whether it is
there and need not, because a match never tests a field without what the field needs (its prerequisites): a match of
`tcp_dst=0` also says `ip,nw_proto=6`. So `Packet.of` takes no field without its prerequisites either. What this means
where one might expect otherwise:

* VLAN_VID 0 is a frame without a tag; a priority tag is 0x1000. A tag behind the first one (`inner`) cannot be matched.
* A later fragment has no field of layer 4 at all, so its ports are 0 and no match of ports hits it.
* An ND option that is absent is MAC 0.
* ETH_TYPE 0x05ff is a frame that has a length where others have a type.
* CT_STATE 0 has not been tracked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self

from sdnctl.flows.fields import Field
from sdnctl.flows.match import Match, match_of
from sdnctl.flows.oxm import test
from sdnctl.flows.text import read_match

SIZE: Final = max(Field) + 1
"""Fields are small numbers, so a packet is a row of values; place 0 is nobody's."""

_ND: Final = (135, 136)
WITHIN: Final = (
    Field.IN_PORT,
    Field.CONJ_ID,
    Field.TUN_ID,
    Field.TUN_SRC,
    Field.TUN_DST,
    Field.TUN_IPV6_SRC,
    Field.TUN_IPV6_DST,
    Field.PKT_MARK,
    Field.CT_STATE,
    Field.CT_ZONE,
    Field.CT_MARK,
    Field.CT_LABEL,
    Field.METADATA,
    *(field for field in Field if field.name.startswith("REG")),
)
"""What a switch knows beside the packet and no wire carries."""


@dataclass(frozen=True, slots=True)
class Packet:
    """See the module's docstring."""

    values: tuple[int, ...]
    inner: tuple[tuple[int, int], ...] = ()
    """VLAN_VID and VLAN_PCP of the tags behind the first one, outermost first."""

    @classmethod
    def of(cls, fields: Mapping[Field, int]) -> Self:
        """The packet with these fields; ValueError for one that lacks what it needs, or has a value it cannot have."""
        match_of(test(field, value, field.full) for field, value in fields.items())
        values = [0] * SIZE
        for field, value in fields.items():
            values[field] = value
        return cls(tuple(values))

    def __getitem__(self, field: Field) -> int:
        return self.values[field]

    def __repr__(self) -> str:
        return f"Packet({self.text()})"

    def changed(self, fields: Mapping[Field, int]) -> Self:
        """The same with other values."""
        values = list(self.values)
        for field, value in fields.items():
            values[field] = value
        return type(self)(tuple(values), self.inner)

    def on_the_wire(self) -> Self:
        """What leaves with the packet: nothing of what only the switch knew."""
        return self.changed(dict.fromkeys(WITHIN, 0))

    def fields(self) -> Iterator[tuple[Field, int]]:
        """Fields that are not 0; and code 0 of neighbour discovery, which its other fields need."""
        is_nd = self.values[Field.ICMP6_TYPE] in _ND
        for field in Field:
            if self.values[field] or (is_nd and field is Field.ICMP6_CODE):
                yield field, self.values[field]

    def match(self) -> Match:
        """The narrowest match of it that says nothing of fields that are 0; ValueError if there is none."""
        return match_of(test(field, value, field.full) for field, value in self.fields())

    def text(self) -> str:
        """As `ofproto/trace` takes it."""
        try:
            return self.match().text()
        except ValueError:
            return ",".join(f"{field.match_name}={value:#x}" for field, value in self.fields())


def read_packet(text: str) -> Packet:
    """The packet that `text` describes, written as a match; ValueError says which word is wrong, and why."""
    fields: dict[Field, int] = {}
    for one in read_match(text).tests:
        if one.mask != one.field.full:
            raise ValueError(f"{one!r}: a packet has one value, not a range of them")
        fields[one.field] = one.value
    return Packet.of(fields)
