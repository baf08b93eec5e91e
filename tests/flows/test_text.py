# SPDX-License-Identifier: Apache-2.0
"""Flows as people paste and type them: what is understood, and how a mistake is named."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdnctl.flows.flow import Flow
from sdnctl.flows.text import parse, read_line
from tests.flows import strategies


@given(st.text(max_size=80))
def test_any_text(line: str):
    for text in (line, f"{line} actions=drop", f"actions={line}"):
        with contextlib.suppress(ValueError):
            parse(text)


@given(strategies.flows(), st.integers(0, 200), st.text(max_size=3))
def test_damaged_text(flow: Flow, at: int, put: str):
    text = flow.text()
    with contextlib.suppress(ValueError):
        parse(text[:at] + put + text[at + len(put) :])


@pytest.mark.parametrize(
    ("line", "says"),
    (
        ("ip,nw_src=10.0.0.1", "has no actions"),
        ("ip,nw_src=10.0.0.256 actions=drop", "nw_src=10.0.0.256"),
        ("ip,nw_src=10.0.0.0/33 actions=drop", "32 bits"),
        ("ip,nw_src=10.0.0.1/8 actions=drop", "does not fit"),
        ("nw_src=10.0.0.1 actions=drop", "says IPV4"),
        ("ip,arp actions=drop", "contradicts"),
        ("dl_srk=1 actions=drop", "did you mean one of dl_dst, dl_src"),
        ("dl_src=52:54:00:00:01 actions=drop", "no MAC address"),
        ("fast actions=drop", "no test of a field"),
        ("table=nowhere actions=drop", "port_security"),
        ("priority=high actions=drop", "no number"),
        ("ip,nw_frag=maybe actions=drop", "one of no"),
        ("ct_state=+up actions=drop", "no flag"),
        ("actions=fly", "no action we know"),
        ("actions=output:1,", "no action"),
        ("actions=ct(commit", "not closed"),
        ("ip actions=ct(commit,alg=ftp)", "ct"),
        ("actions=load:5", "->"),
        ("actions=load:5->reg99[]", "no part of a field"),
        ("actions=set_field:5->nothing", "no field that can be set"),
        ("actions=resubmit(5,6)", "only resubmit"),
        ("actions=pop_vlan:5", "takes no argument"),
        ("actions=controller(reason=no_match)", "max_len and userdata"),
        ("actions=conjunction(5)", "ID,K/N"),
        ("actions=output(port=5)", "port and max_len"),
        ("actions=clone(output:1,goto_table:5)", "in a clone"),
        ("actions=" + "clone(" * 300 + "output:1" + ")" * 300, "no clone stands inside"),
        ("ip actions=ct(commit,nat(src=somewhere))", "src=somewhere"),
        ("ip actions=ct(zone=1,zone=2)", "twice"),
        ("ip actions=ct(commit,nat(src=a-b-c))", "no range of addresses"),
        ("ip actions=ct(commit,exec(" + "ct(commit,exec(" * 300 + "))" * 300 + "))", "no ct stands inside"),
    ),
)
def test_text_is_refused_with_the_word(line: str, says: str):
    with pytest.raises(ValueError, match=re.escape(says)):
        parse(line)


def test_foreign_actions_are_left_as_text():
    head = " cookie=0x5, duration=7.5s, table=3, n_packets=1, n_bytes=2, reset_counts ip,nw_src=10.0.0.0/8"
    line = f"{head} actions=learn(table=5)"
    read = read_line(line)
    assert (read.table, read.cookie, read.match.text()) == (3, 5, "ip,nw_src=10.0.0.0/8")
    assert read.actions == "learn(table=5)"
    with pytest.raises(ValueError, match="learn"):
        parse(line)


@pytest.mark.parametrize(
    ("typed", "means"),
    (
        ("table=port_security,actions=NORMAL", None),
        ('table="port_security", ip actions=goto_table:responders', "table=10, ip actions=goto_table:20"),
        ("eth_type=0x800,ip_proto=6,tcp_dst=80,actions=1", "tcp,tp_dst=80 actions=output:1"),
        ("udp,udp_src=67/0xffff,actions=in_port", "udp,tp_src=67 actions=IN_PORT"),
        ("icmp6,icmpv6_type=135,icmpv6_code=0 actions=drop", "icmp6,icmp_type=135,icmp_code=0 actions=drop"),
        ("icmp,icmp_type=8 actions=LOCAL", "icmp,icmp_type=8 actions=LOCAL"),
        ("vlan_tci=0 actions=drop", "vlan_tci=0x0000/0x1fff actions=drop"),
        ("vlan_vid=5 actions=strip_vlan", "dl_vlan=5 actions=pop_vlan"),
        ("vlan_vid=0x1000/0x1000 actions=drop", "vlan_tci=0x1000/0x1000 actions=drop"),
        ("dl_vlan=5,dl_vlan_pcp=3 actions=drop", "dl_vlan=5,dl_vlan_pcp=3 actions=drop"),
        ("dl_vlan_pcp=3 actions=drop", "dl_vlan_pcp=3 actions=drop"),
        ("vlan_tci=0xe000/0xe000,dl_vlan=5 actions=drop", "dl_vlan=5,dl_vlan_pcp=7 actions=drop"),
        ("ct_state=33 actions=controller:128", "ct_state=new|trk actions=CONTROLLER:128"),
        ("vlan_tci=0x1005/0x1fff actions=drop", "dl_vlan=5 actions=drop"),
        ("vlan_tci=0x7005 actions=drop", "dl_vlan=5,dl_vlan_pcp=3 actions=drop"),
        ("actions=output:controller,output:in_port", "actions=CONTROLLER:65535,IN_PORT"),
        ("ip,nw_tos=32 actions=mod_nw_dst:10.0.0.1", "ip,nw_tos=32 actions=set_field:10.0.0.1->ip_dst"),
        (
            "ip,ip_dscp=8 actions=mod_dl_src:00:00:00:00:00:01",
            "ip,nw_tos=32 actions=set_field:00:00:00:00:00:01->eth_src",
        ),
        ("in_port=local actions=output:LOCAL", "in_port=LOCAL actions=LOCAL"),
        ("tunnel_id=5 actions=set_field:5->reg0[0..3]", "tun_id=0x5 actions=load:0x5->NXM_NX_REG0[0..3]"),
        ("ct_state=0x21/0x21 actions=CONTROLLER", "ct_state=+new+trk actions=CONTROLLER:65535"),
        ("ct_state=est|trk,ip actions=ct_clear", "ct_state=est|trk,ip actions=ct_clear"),
        ("ip,nw_src=10.0.0.0/255.0.0.0 actions=drop", "ip,nw_src=10.0.0.0/8 actions=drop"),
        ("ip,nw_src=0.0.0.0/0 actions=drop", "ip actions=drop"),
        ("actions=move:NXM_NX_REG0[5]->reg1[0]", "actions=move:NXM_NX_REG0[5]->NXM_NX_REG1[0]"),
    ),
)
def test_other_ways_to_type(typed: str, means: str | None):
    if means is None:
        with pytest.raises(ValueError, match="NORMAL"):
            parse(typed)
    else:
        assert parse(typed).text() == means
