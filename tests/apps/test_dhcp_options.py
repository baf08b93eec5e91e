# SPDX-License-Identifier: Apache-2.0
"""DHCP options: text to bytes and the refusals, each with what would be right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdnctl.model.dhcp_options import ALIASES, NAMES, RESERVED, code_of, encode, validate

RIGHT = [
    ("router", "10.0.0.1", 3, "0a000001"),
    ("ntp-server", "10.0.0.2, 10.0.0.3", 42, "0a0000020a000003"),
    ("routers", "10.0.0.1", 3, "0a000001"),
    ("mtu", "1400", 26, "0578"),
    ("26", "1400", 26, "0578"),
    ("interface-mtu", "1400", 26, "0578"),
    ("time-offset", "-3600", 2, "fffff1f0"),
    ("default-ttl", "64", 23, "40"),
    ("ip-forward-enable", "1", 19, "01"),
    ("lease-time", "3600", 51, "00000e10"),
    ("path-mtu-plateau", "68,296", 25, "00440128"),
    ("static-route", "10.1.0.1,10.0.0.1", 33, "0a0100010a000001"),
    ("hostname", "vm-1.example", 12, b"vm-1.example".hex()),
    ("domain-name", "a.example b.example", 15, b"a.example b.example".hex()),
    ("bootfile-name", "http://boot/x?y=z", 67, b"http://boot/x?y=z".hex()),
    ("domain-search", "a.example, b.c.", 119, b"\1a\7example\0\1b\1c\0".hex()),
    ("classless-static-route", "10.1.0.0/16,10.0.0.9,0.0.0.0/0,10.0.0.1", 121, "100a010a000009" + "000a000001"),
    ("121", "10:0a:01:0a:00:00:09", 121, "100a010a000009"),
    ("249", "10.1.0.0/16,10.0.0.9", 249, "100a010a000009"),
    ("sip-server", "10.0.0.5", 120, "010a000005"),
    ("sip-server", "sip.example", 120, "00" + b"\3sip\7example\0".hex()),
    ("vendor-encap", "01:04:0A:00:00:01", 43, "01040a000001"),
    ("vendor-class", "PXEClient", 60, b"PXEClient".hex()),
    ("server-ip-address", "10.0.0.7", 0, "0a000007"),
    ("224", "10.0.0.1,10.0.0.2", 224, "0a0000010a000002"),
    ("224", "7", 224, "07"),
    ("224", "256", 224, "0100"),
    ("224", "65536", 224, "00010000"),
    ("224", "ab:cd", 224, "abcd"),
    ("224", "free text", 224, b"free text".hex()),
    ("224", "x" * 255, 224, b"x".hex() * 255),
]


@pytest.mark.parametrize(("name", "value", "code", "encoded"), RIGHT, ids=[f"{one[0]}={one[1][:20]}" for one in RIGHT])
def test_value_becomes_bytes(name: str, value: str, code: int, encoded: str) -> None:
    assert encode(name, value) == (code, bytes.fromhex(encoded))
    assert validate(name, value) is None


WRONG = [
    ("router", "10.0.0.256", "'10.0.0.256' is not IPv4 addresses with commas between them"),
    ("router", "10.0.0.1,", "'10.0.0.1,' is not IPv4 addresses with commas between them"),
    ("router", "", "'' is not IPv4 addresses with commas between them"),
    ("netmask", "2001:db8::1", "'2001:db8::1' is not an IPv4 address"),
    ("mtu", "many", "'many' is not a number from 68 to 65535"),
    ("mtu", "67", "'67' is not a number from 68 to 65535"),
    ("mtu", "65536", "'65536' is not a number from 68 to 65535"),
    ("mtu", "1" * 99, f"'{'1' * 57}...' is not a number from 68 to 65535"),
    ("mtu", "\uff11\uff14", "'\uff11\uff14' is not a number from 68 to 65535"),
    ("default-ttl", "-1", "'-1' is not a number from 0 to 255"),
    ("ip-forward-enable", "2", "'2' is not 0 or 1"),
    ("hostname", "a b", "'a b' is not letters, digits, '-', '_' and '.', at most 253"),
    ("hostname", "-a", "'-a' is not letters, digits, '-', '_' and '.', at most 253"),
    ("hostname", "$(reboot)", "'$(reboot)' is not letters, digits, '-', '_' and '.', at most 253"),
    ("domain-search", "a..b", "'a..b' is not domain names with commas between them"),
    ("domain-search", "x" * 64, f"'{'x' * 57}...' is not domain names with commas between them"),
    ("bootfile-name", "a\nb", "'a\nb' is not text without control characters, of 1 to 255 bytes"),
    ("bootfile-name", "", "'' is not text without control characters, of 1 to 255 bytes"),
    ("bootfile-name", "x" * 256, f"'{'x' * 57}...' makes 256 bytes; an option has 1 to 255"),
    ("static-route", "10.0.0.1", "'10.0.0.1' is not pairs of IPv4 addresses with commas between them"),
    ("121", "10.0.0.1/8,10.0.0.9",
     "'10.0.0.1/8,10.0.0.9' is not destination,gateway,destination,gateway... such as 10.1.0.0/16,10.0.0.9"),
    ("121", "10.0.0.0/8",
     "'10.0.0.0/8' is not destination,gateway,destination,gateway... such as 10.1.0.0/16,10.0.0.9"),
    ("0", "1", "no such option: use a name that dnsmasq knows or a number from 1 to 254"),
    ("255", "1", "no such option: use a name that dnsmasq knows or a number from 1 to 254"),
    ("1000", "1", "no such option: use a name that dnsmasq knows or a number from 1 to 254"),
    ("53", "1", "option 53 cannot be set: it says what kind of message an answer is"),
    ("54", "10.0.0.1", "option 54 cannot be set: it is the address of the network's DHCP server"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "error"), WRONG, ids=[f"{one[0]}={one[1][:12]!r}" for one in WRONG])
def test_wrong_value_is_refused_with_what_is_right(name: str, value: str, error: str) -> None:
    assert validate(name, value) == error


def test_name_nobody_knows_is_let_pass() -> None:
    """It may be for another server than ours; it is never sent."""
    assert validate("no-such-option", "x") is None
    with pytest.raises(ValueError, match="no such option"):
        encode("no-such-option", "x")


def test_tables_fit_together() -> None:
    codes = [code for code, _ in NAMES.values()]
    assert len(codes) == len(set(codes))
    assert not set(codes) & set(RESERVED)
    assert set(ALIASES.values()) <= set(NAMES)
    assert not set(ALIASES) & set(NAMES)
    assert (code_of("mtu"), code_of("26"), code_of("254"), code_of("-1"), code_of("²")) == (26, 26, 254, None, None)


@given(st.sampled_from(sorted(NAMES)) | st.integers(0, 300).map(str), st.text(max_size=300))
def test_validate_and_encode_agree_about_anything(name: str, value: str) -> None:
    """What is let pass can be sent, in one option; what is not, is refused and nothing else."""
    error = validate(name, value)
    if error is None:
        code, encoded = encode(name, value)
        assert 0 <= code <= 254
        assert 1 <= len(encoded) <= 255
    else:
        with pytest.raises(ValueError, match=r".+"):
            encode(name, value)
