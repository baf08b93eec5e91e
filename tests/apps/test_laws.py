# SPDX-License-Identifier: Apache-2.0
"""What holds for every cloud: who may give which flow, how many, and that nothing falls through."""

from __future__ import annotations

import importlib
import inspect
import re
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdnctl import apps
from sdnctl.apps import (
    classify,
    dhcp,
    ip_groups,
    isolation,
    output,
    port_security,
    qos,
    responders,
    security_groups,
    statistics,
    switching,
)
from sdnctl.flows.action import Action, Clone, Goto, Learn, Resubmit
from sdnctl.flows.flow import Flow
from sdnctl.flows.match import Match
from sdnctl.flows.pipeline import App, Reason, Table, read_cookie
from sdnctl.flows.wire import encode
from sdnctl.model.filters import Filters
from sdnctl.model.ids import GroupKey, HostKey
from sdnctl.model.ip_group import VIRTUAL_MACS
from sdnctl.model.network import NetworkType
from sdnctl.model.qos import QosLimits, Rate
from sdnctl.model.security import Direction
from sdnctl.model.views import GroupAddress, GroupRule, GroupView, HostView, LocalPort, Neighbour, Source, Station
from tests.apps.clouds import Cloud, Guest, Net, Vip, flows_of, meters_of
from tests.apps.conftest import CLOUD
from tests.apps.packets import mac, v4, v6
from tests.apps.test_ip_groups import CLOUD as SHARED
from tests.apps.test_qos import CLOUD as LIMITED
from tests.apps.test_security_groups import CLOUD as GUARDED

STAGES = (
    classify,
    port_security,
    responders,
    dhcp,
    ip_groups,
    qos,
    security_groups,
    isolation,
    switching,
    output,
    statistics,
)

nets = st.sampled_from(
    (
        Net(1, NetworkType.VXLAN, 5000),
        Net(2, NetworkType.VLAN, 300),
        Net(3, NetworkType.FLAT, None),
        Net(4, NetworkType.VXLAN, 5001),
        Net(5, NetworkType.VXLAN, 5002, isolated=True),
        Net(6, NetworkType.VLAN, 301, isolated=True),
        Net(7, NetworkType.VXLAN, 5003, subnet=False),
        Net(8, NetworkType.VLAN, 302, isolated=True, subnet=False),
    )
)
rates = st.none() | st.builds(Rate, st.sampled_from((1, 5000, 0xFFFFFFFF)), st.sampled_from((100, 0xFFFFFFFF)))
limits = st.builds(
    QosLimits,
    from_bandwidth=rates,
    from_packets=rates,
    to_bandwidth=rates,
    to_packets=rates,
    dscp=st.sampled_from((None, 0, 46)),
)


@st.composite
def pairs(draw: st.DrawFn) -> Source:
    """An allowed address pair; its prefix may be everything, its MAC may be somebody else's."""
    version, bits = draw(st.sampled_from(((4, 32), (6, 128))))
    length = draw(st.sampled_from((0, 8, bits - 4, bits)))
    mask = (1 << bits) - (1 << bits - length)
    address = {4: v4, 6: v6}[version](draw(st.integers(1, 200)))
    return Source(mac(draw(st.integers(1, 200))), version, address & mask, mask)


rules = st.builds(
    GroupRule,
    direction=st.sampled_from(Direction),
    version=st.just(4),
    protocol=st.sampled_from((None, 6, 17, 1, 47)),
    port_min=st.sampled_from((None, 0, 80)),
    port_max=st.sampled_from((None, 90, 255)),
    keeps=st.booleans(),
    prefix=st.sampled_from((None, (0, 0), (v4(0), 0xFFFFFF00))),
) | st.builds(
    GroupRule,
    direction=st.sampled_from(Direction),
    version=st.sampled_from((4, 6)),
    protocol=st.sampled_from((None, 17)),
    port_min=st.sampled_from((None, 80)),
    keeps=st.booleans(),
    remote=st.integers(1, 6).map(GroupKey),
)


@st.composite
def policies(draw: st.DrawFn, key: GroupKey) -> GroupView:
    addresses = st.builds(
        GroupAddress,
        st.integers(5, 6).map(GroupKey),
        st.just(4),
        st.just(v4(0)),
        st.sampled_from((0xFFFFFF00, 0xFFFFFFC0)),
    )
    found = draw(st.lists(addresses, unique=True, max_size=3))
    return GroupView(key, tuple(draw(st.lists(rules, max_size=6))), tuple(found))


@st.composite
def clouds(draw: st.DrawFn) -> Cloud:
    numbers = draw(st.lists(st.integers(1, 200), unique=True, min_size=1, max_size=8))
    guests = [
        Guest(
            number,
            draw(nets),
            draw(st.integers(1, 3)),
            filters=draw(st.none() | st.builds(Filters, st.booleans(), st.booleans(), st.booleans())),
            dhcp=draw(st.booleans()),
            pairs=tuple(draw(st.lists(pairs(), max_size=3))),
            ipv4=draw(st.booleans()),
            groups=tuple(sorted(draw(st.sets(st.integers(1, 4), max_size=3)))),
            stateful=draw(st.booleans()),
            qos=draw(limits),
            service=draw(st.booleans()),
        )
        for number in numbers
        if number not in (100, 101)
    ]
    found = tuple(draw(policies(GroupKey(key))) for key in range(1, 5))
    return Cloud(tuple(guests), (1, 2, 3), policies=found, vips=tuple(draw(vips(guests))))


@st.composite
def vips(draw: st.DrawFn, guests: list[Guest], least: int = 0) -> list[Vip]:
    """Some of the guests' networks have addresses that several of them share; a guest may share several."""
    found = []
    for number in range(20, 20 + draw(st.integers(least, least + 3)) if guests else 20):
        net = draw(st.sampled_from(guests)).net
        members = draw(st.sets(st.sampled_from([one.number for one in guests if one.net == net]), min_size=1))
        one_of = st.sampled_from(sorted(members))
        version, vrrp, holder = draw(st.sampled_from((4, 6))), draw(st.booleans()), draw(st.none() | one_of)
        found.append(
            Vip(
                number,
                net,
                version,
                {4: v4, 6: v6}[version](number + 200),
                tuple(sorted(members)),
                holder=holder,
                pinned=draw(st.none() | one_of),
                vrrp=vrrp,
                virtual_mac=draw(st.none() | st.just(VIRTUAL_MACS[version] + 1)) if vrrp and holder else None,
            )
        )
    return found


def flows_on(cloud: Cloud, host: int) -> list[Flow]:
    return [flow for view in cloud.views(host) for flow in flows_of(view)]


@given(clouds())
def test_no_two_units_give_one_key(cloud: Cloud) -> None:
    """Or the switch would keep whichever came last, and deleting one unit would delete the other's."""
    for host in cloud.hosts:
        counted = Counter(encode(flow).key for flow in flows_on(cloud, host))
        assert [key.hex() for key, count in counted.items() if count > 1] == []


@given(clouds())
def test_equal_views_give_equal_flows(cloud: Cloud) -> None:
    for view, same in zip(cloud.views(1), cloud.views(1), strict=True):
        assert view == same
        assert [encode(one) for one in flows_of(view)] == [encode(one) for one in flows_of(same)]


@given(clouds())
def test_drops_and_only_drops_have_a_reason(cloud: Cloud) -> None:
    for flow in flows_on(cloud, 1):
        found = read_cookie(flow.cookie)
        assert found is not None
        assert (found[1] is Reason.NONE) != flow.drops, flow.text()


@given(clouds())
def test_meters_in_use_exist(cloud: Cloud) -> None:
    views = list(cloud.views(1))
    there = [spec.id for view in views for spec in meters_of(view)]
    used = [int(one) for flow in flows_on(cloud, 1) for one in re.findall(r"meter:(\d+)", flow.text())]
    assert len(there) == len(set(there))
    # Who may not announce an address, or holds it, has nothing that goes to the controller.
    quiet = {spec.id for view in views if isinstance(view, LocalPort) and view.announces for spec in meters_of(view)}
    assert set(there) - quiet <= set(used) <= set(there)


def steps(flow: Flow) -> list[Action]:
    """All that a flow does, within its clones too."""
    return [one for action in flow.actions for one in (action.actions if isinstance(action, Clone) else (action,))]


@given(clouds())
def test_jumps_lead_to_a_table_that_has_flows(cloud: Cloud) -> None:
    flows = flows_on(cloud, 1)
    filled = {flow.table for flow in flows}
    for flow in flows:
        for action in steps(flow):
            if isinstance(action, Goto | Resubmit):
                assert action.table in filled, flow.text()


@given(clouds())
def test_flows_on_a_host_are_of_its_own_networks(cloud: Cloud) -> None:
    """A host without a port of a network carries nothing of it (requirement S32)."""
    own = [one.net for one in cloud.on(1)]
    alone = replace(cloud, guests=tuple(guest for guest in cloud.guests if guest.net in own))
    assert {flow.text() for flow in flows_on(cloud, 1)} == {flow.text() for flow in flows_on(alone, 1)}


@pytest.mark.parametrize("table", Table, ids=lambda table: table.name.lower())
def test_every_table_has_a_miss(table: Table) -> None:
    """Even on a host that has nothing, so that nothing is dropped without being counted under a reason."""
    misses = [flow for flow in apps.host(HostView(HostKey(1), None)) if flow.table == table and flow.priority == 0]
    assert [flow.match for flow in misses] == [Match()]


@pytest.mark.parametrize("module", STAGES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_header_tells_the_tables_and_priorities_of_the_flows(module: object) -> None:
    """What the docstring lists is what there is: same tables, same priorities, same jumps and reasons in each."""
    told: dict[tuple[str, int], str] = {}
    table = ""
    for line in (inspect.getdoc(module) or "").splitlines():
        if found := re.match(r" +table ([A-Z_]+)", line):
            table = found.group(1)
        elif (found := re.match(r" +prio +(\d+) +(.*)", line)) and table:
            key = table, int(found.group(1))
            told[key] = f"{told.get(key, '')} {found.group(2)}"
    given_flows = [
        flow
        for cloud in (CLOUD, GUARDED, SHARED, LIMITED)
        for host in (1, 2)
        for flow in flows_on(cloud, host)
        if flow.cookie >> 48 & 0xFF == app_of(module)
    ]
    alone = HostView(HostKey(3), None)
    given_flows += [flow for flow in apps.host(alone) if flow.cookie >> 48 & 0xFF == app_of(module)]
    there = {(Table(flow.table).name, flow.priority) for flow in given_flows}
    there |= {
        (Table(action.table).name, action.priority)
        for flow in given_flows
        for action in flow.actions
        if isinstance(action, Learn)
    }
    assert there <= set(told), "flows that the docstring does not tell"
    for flow in given_flows:
        words = told[Table(flow.table).name, flow.priority]
        found_reason = read_cookie(flow.cookie)
        assert found_reason is not None
        if found_reason[1]:
            assert found_reason[1].name in words or module is statistics, (words, flow.text())
        for action in () if flow.drops else steps(flow):
            if isinstance(action, Goto | Resubmit):
                assert Table(action.table).name in words, (words, flow.text())


def app_of(module: object) -> App:
    return App[str(getattr(module, "__name__", "")).rpartition(".")[2].upper()]


@pytest.mark.parametrize("app", [app for app in App if app is not App.PIPELINE], ids=lambda app: app.name.lower())
def test_every_app_is_a_module(app: App) -> None:
    """A cookie leads to the file that explains the flow."""
    assert importlib.import_module(f"sdnctl.apps.{app.name.lower()}") in STAGES


def test_a_remote_port_costs_four_flows() -> None:
    """With an IPv4 and an IPv6 address: station, ARP, ND of the address and of its link-local one."""
    remote = [
        flow
        for view in CLOUD.views(1)
        if isinstance(view, Neighbour | Station) and view.key == 6
        for flow in flows_of(view)
    ]
    assert len(remote) == 4, [flow.text() for flow in remote]


def test_a_local_port_costs_22_flows() -> None:
    """The same with what lets it send: classify, port security, DHCP, output."""
    local = [
        flow
        for view in CLOUD.views(1)
        if isinstance(view, LocalPort | Neighbour | Station) and view.key == 1
        for flow in flows_of(view)
    ]
    assert len(local) == 22, [flow.text() for flow in local]


def test_removing_a_pair_removes_exactly_its_flows() -> None:
    guest = Guest(1, Net(1, NetworkType.VXLAN, 5000), 1)
    pair = Source(mac(1), 4, v4(77), 0xFFFFFFFF)
    with_pair = {flow.text() for flow in apps.port(Guest(1, guest.net, 1, pairs=(pair,)).local())}
    without = {flow.text() for flow in apps.port(guest.local())}
    assert without < with_pair
    assert all("10.0.0.77" in text for text in with_pair - without)
    assert len(with_pair - without) == 3
