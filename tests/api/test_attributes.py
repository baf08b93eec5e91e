# SPDX-License-Identifier: Apache-2.0
"""What values of attributes may be: what is taken, how it is kept, and what a refusal says."""

from __future__ import annotations

import pytest

from sdnctl.api.attributes import (
    Address,
    Boolean,
    Choice,
    Cidr,
    Field,
    Integer,
    Json,
    ListOf,
    Mac,
    MapOf,
    OrNull,
    Prefix,
    Protocol,
    Record,
    Text,
    Type,
    Uuid,
)
from sdnctl.errors import InvalidError

ID = "6f3a0f1c-3a55-4f0e-8f5e-0123456789ab"
POOL = Record((Field("start", Address(), required=True), Field("end", Address(), required=True)))
OPTION = Record((Field("opt_name", Text(), required=True), Field("ip_version", Choice((4, 6)), default=4)))


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    (
        (Text(), "", ""),
        (Text(), "Gerät", "Gerät"),
        (Text(), "x" * 255, "x" * 255),
        (Boolean(), True, True),
        (Boolean(), "False", False),
        (Boolean(), "true", True),
        (Boolean(), 0, False),
        (Boolean(), 1, True),
        (Integer(0, 10), "7", 7),
        (Integer(0, 10), 10, 10),
        (Integer(-5, 5), "-5", -5),
        (Choice((4, 6)), "6", 6),
        (Choice(("flat", "vlan")), "vlan", "vlan"),
        (Uuid(), ID.upper(), ID),
        (Mac(), "FA:16:3E:00:00:01", "fa:16:3e:00:00:01"),
        (Mac(), "fa-16-3e-00-00-01", "fa:16:3e:00:00:01"),
        (Mac(), "fa163e000001", "fa:16:3e:00:00:01"),
        (Address(), "2001:DB8:0::1", "2001:db8::1"),
        (Address(4), "10.0.0.1", "10.0.0.1"),
        (Cidr(), "10.6.0.7/24", "10.6.0.0/24"),
        (Cidr(), "2001:db8::7/64", "2001:db8::/64"),
        (Cidr(or_address=True), "10.0.0.1", "10.0.0.1"),
        (Cidr(or_address=True), "0.0.0.0/0", "0.0.0.0/0"),
        (Prefix(), "10.0.0.7/24", "10.0.0.7/24"),
        (Prefix(), "10.0.0.7", "10.0.0.7/32"),
        (Prefix(), "2001:DB8::7/32", "2001:db8::7/32"),
        (Prefix(), "2001:DB8::0:7", "2001:db8::7/128"),
        (Protocol(), "tcp", "tcp"),
        (Protocol(), "ICMPv6", "icmpv6"),
        (Protocol(), 6, "6"),
        (Protocol(), "006", "6"),
        (Protocol(), "any", None),
        (OrNull(Address()), None, None),
        (OrNull(ListOf(Address()), null=[]), None, []),
        (ListOf(Integer()), ["1", 2], [1, 2]),
        (POOL, {"start": "10.0.0.2", "end": "10.0.0.9"}, {"start": "10.0.0.2", "end": "10.0.0.9"}),
        (OPTION, {"opt_name": "mtu"}, {"opt_name": "mtu", "ip_version": 4}),
        (MapOf(Text(), Text()), {"a": "b"}, {"a": "b"}),
        (Json(), {"a": [1, None, "x"]}, {"a": [1, None, "x"]}),
    ),
)
def test_value_is_kept_as(kind: Type, value: object, kept: object) -> None:
    assert kind.parse(value, "x") == kept
    assert type(kind.parse(value, "x")) is type(kept)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    (
        (Text(), 5, "x: 5 is not a string."),
        (Text(), None, "x: null is not a string."),
        (Text(), "a" * 256, "has 256 characters; at most 255 are allowed."),
        (Text(shortest=1), "", "x: '' is too short; at least 1 characters are needed."),
        (Text(), "a\0", "contains a NUL character."),
        (Text(), "a\ud800", "contains half of a surrogate pair."),
        (Text(pattern="[a-z]+", means="lower case"), "A", "x: 'A' is not lower case."),
        (Text(pattern="[a-z]+", means="lower case"), "a\n", "is not lower case."),
        (Boolean(), "maybe", "x: 'maybe' is not a boolean; use true or false."),
        (Boolean(), 2, "x: 2 is not a boolean"),
        (Boolean(), None, "x: null is not a boolean"),
        (Boolean(), [], "x: a list of 0 is not a boolean"),
        (Integer(68, 9000), "x", "x: 'x' is not an integer from 68 to 9000."),
        (Integer(68, 9000), 67, "x: 67 is not an integer from 68 to 9000."),
        (Integer(68, 9000), 9001, "x: 9001 is not an integer"),
        (Integer(), True, "x: true is not an integer"),
        (Integer(), 1.5, "x: 1.5 is not an integer"),
        (Integer(), "9" * 30, "is not an integer"),
        (Integer(), "\u0661", "is not an integer"),
        (Choice((4, 6)), 5, "x: 5 is not one of 4, 6."),
        (Choice((1, 6)), True, "x: true is not one of 1, 6."),
        (Choice(("a",)), {}, "x: an object is not one of a."),
        (Uuid(), "vm1", "x: 'vm1' is not a UUID."),
        (Uuid(), f"{ID}\n", "is not a UUID."),
        (Mac(), "fa:16:3e:00:00", "is not a MAC address; write one like fa:16:3e:01:02:03."),
        (Mac(), "fa:16-3e:00:00:01", "is not a MAC address"),
        (Mac(), "01:00:5e:00:00:01", "is a multicast MAC address"),
        (Mac(), "00:00:00:00:00:00", "is no station's MAC address: all zero"),
        (Address(), "10.0.0.256", "is not an IP address; write one like 192.0.2.5 or 2001:db8::5."),
        (Address(), "10.1", "is not an IP address"),
        (Address(), 167772161, "is not an IP address"),
        (Address(), "fe80::1%eth0", "is not an IP address"),
        (Address(4), "::1", "is not an IPv4 address; write one like 192.0.2.5."),
        (Cidr(), "10.0.0.0", "has no prefix length; write one like 192.0.2.0/24"),
        (Cidr(), "10.0.0.0/33", "is not a CIDR"),
        (Cidr(), "10.0.0.0/255.255.255.0", "has no number as prefix length"),
        (Cidr(), "10.0.0.0/²", "has no number as prefix length"),
        (Cidr(), 5, "x: 5 is not a CIDR"),
        (Cidr(or_address=True), "fe80::1%eth0", "is not a CIDR"),
        (Prefix(), "10.0.0.0/33", "is not a CIDR"),
        (Prefix(), "10.0.0.0/" + "0" * 60, "has 69 characters; at most 49 are allowed"),
        (Protocol(), "tpc", "x: 'tpc' is no IP protocol (did you mean 'tcp'?); give 0 to 255 or one of ah, dccp,"),
        (Protocol(), "256", "x: '256' is no IP protocol; give 0 to 255"),
        (Protocol(), -1, "x: -1 is no IP protocol"),
        (Protocol(), True, "x: true is no IP protocol"),
        (Protocol(), "\u0661", "is no IP protocol"),
        (ListOf(Address()), "10.0.0.1", "x: '10.0.0.1' is not a list."),
        (ListOf(Address()), ["10.0.0.1", "y"], "x[1]: 'y' is not an IP address"),
        (ListOf(Text(), longest=1), ["a", "b"], "x: 2 items; at most 1 are allowed."),
        (ListOf(Text(), unique=True), ["a", "b", "a"], "x[2]: 'a' stands there twice."),
        (POOL, {"start": "10.0.0.2"}, "x: end is missing."),
        (POOL, {"start": "10.0.0.2", "ende": "y"}, "x: unknown key 'ende' (did you mean 'end'?)."),
        (POOL, [], "x: a list of 0 is not an object with start, end."),
        (ListOf(POOL), [{"start": "a", "end": "b"}], "x[0].start: 'a' is not an IP address"),
        (MapOf(Text(3, 1), Text()), {"abcd": ""}, "a key of x: 'abcd' has 4 characters"),
        (MapOf(Text(), Text()), {"a": 1}, "x.a: 1 is not a string."),
        (Json(longest=10), "x" * 11, "x: about 13 characters; at most 10 are allowed."),
        (Json(), [[[[[[[[[1]]]]]]]]], "x: nested more than 8 levels deep."),
        (Json(), {"a": "\ud800"}, "x.a: '\\ud800' contains half of a surrogate pair."),
    ),
)
def test_refusal_says_field_reason_and_remedy(kind: Type, value: object, message: str) -> None:
    with pytest.raises(InvalidError) as raised:
        kind.parse(value, "x")
    text = str(raised.value)
    assert text.startswith("Invalid input for ")
    assert message in text


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    (
        (POOL, "start=10.0.0.2,end=10.0.0.9", {"start": "10.0.0.2", "end": "10.0.0.9"}),
        (OPTION, "opt-name=mtu,ip-version=6", {"opt_name": "mtu", "ip_version": 6}),
        (OPTION, "opt_name=a,b=c,d,ip_version=4", {"opt_name": "a,b=c,d", "ip_version": 4}),
        (MapOf(Text(), Text()), "physnet1:br-ex", {"physnet1": "br-ex"}),
        (ListOf(Address()), "10.0.0.1", ["10.0.0.1"]),
        (OrNull(Integer()), "5", 5),
    ),
)
def test_one_word_stands_for_a_value(kind: Type, text: str, value: object) -> None:
    assert kind.from_text(text, "x") == value


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    (
        (POOL, "10.0.0.2-10.0.0.9", "is not of the form start=ADDRESS,end=ADDRESS"),
        (POOL, "strat=10.0.0.2", "did you mean 'start'?"),
        (MapOf(Text(), Text()), "physnet1", "is not of the form TEXT:TEXT"),
    ),
)
def test_a_word_of_the_wrong_form_is_told_the_right_one(kind: Type, text: str, message: str) -> None:
    with pytest.raises(InvalidError, match=message.replace("?", r"\?")):
        kind.from_text(text, "x")


def test_a_refused_value_is_repeated_only_so_far() -> None:
    with pytest.raises(InvalidError) as raised:
        Uuid().parse("y" * 1_000_000, "id")
    assert len(str(raised.value)) < 200
