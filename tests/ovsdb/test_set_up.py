# SPDX-License-Identifier: Apache-2.0
"""The integration bridge is made right, and nothing else is touched. With a real ovsdb-server and ovs-vswitchd."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from netaddr import IPAddress

from sdnctl.model.host import Host, HostFacts
from sdnctl.ovsdb.goal import TUNNEL_OFPORT, patch_names, tunnel_name
from tests.ovsdb.support import TARGET, Watched, Wiretap, a_host, get, plugs, records, settle
from tests.support.dummy_ovs import DummySwitch

pytestmark = pytest.mark.switch

TUNNEL = tunnel_name("br-int")
INNER, OUTER = patch_names("br-int", "physnet1", "br-ex")


def a_full_host(switch: DummySwitch, **changes: Any) -> Host:
    """With a tunnel address and a provider bridge."""
    return a_host(
        switch.database,
        **{"tunnel_ip": IPAddress("192.0.2.1"), "bridge_mappings": (("physnet1", "br-ex"),), **changes},
    )


@pytest.mark.proves("S135")
def test_makes_all_of_a_fresh_host(switch: DummySwitch) -> None:
    """From an empty OVSDB to a bridge that is ready for flows."""
    switch.bridge("br-ex")
    with Watched(a_full_host(switch)) as watched:
        facts = watched.until_has(TUNNEL, INNER)
    assert facts.problems == ()
    assert f"{facts.datapath_id:016x}" == json.loads(get(switch, "bridge", "br-int", "datapath_id"))
    assert re.fullmatch("[0-9a-f]{31}", facts.serial)
    assert f"Serial Num: {facts.serial}\n" in switch.ofctl("dump-desc", "br-int")
    assert get(switch, "bridge", "br-int", "other_config:disable-in-band") == '"true"'
    assert get(switch, "bridge", "br-int", "fail_mode") == "secure"
    assert get(switch, "bridge", "br-int", "datapath_type") == "dummy"
    assert get(switch, "bridge", "br-int", "protocols") == "[OpenFlow10, OpenFlow13, OpenFlow14]"
    assert switch.vsctl("get-controller", "br-int").split() == [TARGET]
    assert get(switch, "controller", "br-int", "connection_mode") == "out-of-band"
    assert get(switch, "controller", "br-int", "max_backoff") == "1000"
    assert facts.tunnel_ofport == TUNNEL_OFPORT
    assert get(switch, "interface", TUNNEL, "options") == '{key=flow, local_ip="192.0.2.1", remote_ip=flow}'
    assert facts.patch_ofports == {"physnet1": facts.interfaces[INNER].ofport}
    assert switch.vsctl("list-ports", "br-ex").split() == [OUTER]
    assert all(facts.interfaces[name].is_ours for name in (TUNNEL, INNER))


def test_makes_the_bridge_in_a_database_that_nobody_initialised(switch: DummySwitch) -> None:
    """`ovs-vsctl init` is no precondition."""
    switch.stop_vswitchd()
    switch.stop_database()
    (switch.directory / "conf.db").unlink()
    switch.run("ovsdb-tool", "create", f"{switch.directory}/conf.db", "/usr/share/openvswitch/vswitch.ovsschema")
    switch.start_database()
    with Watched(a_host(switch.database)) as watched:
        watched.until_lost("is ovs-vswitchd running?")
        switch.start_vswitchd()
        watched.until(lambda facts: facts.datapath_id)


def test_names_the_tables(switch: DummySwitch) -> None:
    """Plain ovs-ofctl prints what a table is for."""
    with Watched(a_host(switch.database)) as watched:
        watched.until(lambda facts: facts.datapath_id)
        switch.ofctl("add-flow", "br-int", "table=10,actions=goto_table:60")
        line = switch.ofctl("--no-stats --names dump-flows", "br-int")
    assert "table=port_security," in line.replace('"', "")
    assert "goto_table:switching" in line.replace('"', "")


def test_a_second_start_writes_nothing(switch: DummySwitch, tmp_path: Path) -> None:
    """The same wishes, the same database: not one transaction is sent."""
    switch.bridge("br-ex")
    host = a_full_host(switch)
    with Watched(host) as watched:
        watched.link.want(plugs("p1", "p2"))
        first = watched.until_has(TUNNEL, INNER, "p1", "p2")
    with Wiretap(tmp_path / "tap", switch) as tap, Watched(replace(host, ovsdb=tap.target)) as watched:
        watched.link.want(plugs("p1", "p2"))
        assert watched.until_has("p1", "p2") == first
        watched.link.configure(replace(host, ovsdb=tap.target), (TARGET,))
        watched.link.want(plugs("p2", "p1"))
        switch.vsctl("add-port", "br-int", "later", "--", "set", "interface", "later", "type=dummy")
        # This came after everything that could have made the link write.
        watched.until_has("later")
        assert tap.sent("monitor_cond_since") == 1
        assert tap.sent("transact") == 0


def test_touches_nothing_of_others(switch: DummySwitch) -> None:
    """A bridge that was in use before: its ports, keys, tables and controllers, and all of the other bridge."""
    switch.bridge("br-int", theirs=7)
    switch.bridge("br-other", elsewhere=3)
    switch.vsctl(
        *("set-controller", "br-int", "tcp:127.0.0.1:1", "--", "set", "bridge", "br-int", "protocols=OpenFlow15"),
        *("other_config:hwaddr=02:00:00:00:00:01", "other_config:dp-sn=asset-4711"),
        *("--", "--id=@t", "create", "flow_table", "name=mine", "flow_limit=5"),
        *("--", "set", "bridge", "br-int", "flow_tables:10=@t"),
        *(
            "--",
            "set-controller",
            "br-other",
            "tcp:127.0.0.1:2",
            "--",
            "set",
            "interface",
            "theirs",
            "external_ids:a=b",
        ),
    )
    tables = {"interface": ("theirs", "elsewhere", "br-other"), "port": ("theirs",), "bridge": ("br-other",)}
    before = {(table, row): switch.vsctl("list", table, row) for table, rows in tables.items() for row in rows}
    theirs = rows(switch)
    with Watched(a_host(switch.database)) as watched:
        facts = watched.until(lambda facts: facts.datapath_id)
        watched.link.want({})
        assert not facts.interfaces["theirs"].is_ours
        assert facts.serial == "asset-4711"
        settle(switch)
        after = {key: switch.vsctl("list", *key) for key in before}
    ephemeral = re.compile(r"^(statistics|status|lacp_status|mac_in_use|link_\w+) .*$", re.MULTILINE)
    assert {k: ephemeral.sub("", v) for k, v in after.items()} == {k: ephemeral.sub("", v) for k, v in before.items()}
    assert set(switch.vsctl("get-controller", "br-int").split()) == {"tcp:127.0.0.1:1", TARGET}
    assert theirs < rows(switch)
    assert get(switch, "bridge", "br-int", "protocols") == "[OpenFlow14, OpenFlow15]"
    assert get(switch, "bridge", "br-int", "other_config:hwaddr") == '"02:00:00:00:00:01"'
    assert get(switch, "flow_table", "mine", "flow_limit") == "5"


def rows(switch: DummySwitch) -> set[str]:
    """Every controller's row, as far as it is a setting."""
    text = switch.vsctl("--columns=_uuid,target,max_backoff,connection_mode,external_ids", "list", "controller")
    return {row.strip() for row in text.split("\n\n")}


def test_changes_the_controller_target_without_a_flush(switch: DummySwitch) -> None:
    """Flows outlive every change of targets; an empty list of targets is not obeyed."""
    host = a_host(switch.database)
    # Outside its own directory ovs-vswitchd ignores sockets, which makes such a target none at all.
    socket = f"unix:{switch.directory}/controller"
    with Watched(host) as watched:
        watched.until(lambda facts: facts.datapath_id)
        switch.ofctl("add-flow", "br-int", "cookie=0x77,priority=5,actions=drop")
        for targets in ((TARGET, "tcp:127.0.0.1:2"), ("tcp:127.0.0.1:3",), (socket,), (), (TARGET,)):
            watched.link.configure(host, targets)
            watched.link.configure(host, targets)
            wait_for_targets(watched, switch, set(targets) or {socket})
            assert switch.dump("br-int") == ["cookie=0x77, priority=5 actions=drop"]


def wait_for_targets(watched: Watched, switch: DummySwitch, targets: set[str]) -> None:
    """Nothing in the facts tells, so a change that does is made after it."""
    watched.link.set_installed({})
    name = f"m{records(switch)}"
    switch.vsctl("add-port", "br-int", name, "--", "set", "interface", name, "type=dummy")
    watched.until_has(name)
    switch.vsctl("del-port", name)
    watched.until(lambda facts: name not in facts.interfaces)
    assert set(switch.vsctl("get-controller", "br-int").split()) == targets


def test_takes_over_a_controller_that_somebody_set_for_us(switch: DummySwitch) -> None:
    """An operator's or Mininet's row for our target is used; a second connection would come otherwise."""
    switch.bridge("br-int")
    switch.vsctl("set-controller", "br-int", TARGET, "--", "set", "controller", "br-int", "controller_rate_limit=100")
    row = get(switch, "controller", "br-int", "_uuid")
    with Watched(a_host(switch.database)) as watched:
        watched.until(lambda facts: facts.datapath_id)
        settle(switch)
    assert get(switch, "controller", "br-int", "_uuid") == row
    assert get(switch, "controller", "br-int", "controller_rate_limit") == "[]"
    assert get(switch, "controller", "br-int", "connection_mode") == "out-of-band"


def test_a_provider_bridge_that_comes_later(switch: DummySwitch) -> None:
    """Missing: said, and all else goes on. There: the patch is made. Gone: the other end goes too."""
    host = a_full_host(switch, bridge_mappings=(("physnet1", "br-ex"), ("physnet2", "br-int")))
    with Watched(host) as watched:
        facts = watched.until_has(TUNNEL)
        assert facts.problems == (
            "physical network 'physnet1' is not reachable: bridge 'br-ex' does not exist on the host",
            "physical network 'physnet2' is not reachable: its bridge 'br-int' is the integration bridge itself",
        )
        assert facts.patch_ofports == {}
        switch.bridge("br-ex")
        facts = watched.until(lambda facts: facts.patch_ofports)
        assert len(facts.problems) == 1
        switch.delete_bridge("br-ex")
        watched.until(lambda facts: INNER not in facts.interfaces and len(facts.problems) == 2)


def test_two_hosts_share_an_ovsdb(switch: DummySwitch) -> None:
    """As in Mininet: each link has its bridge, its ports and its own ends on the provider bridge."""
    switch.bridge("br-ex")
    mappings = (("physnet1", "br-ex"), ("physnet2", "br-ex"))
    one = a_host(switch.database, bridge="s1", bridge_mappings=mappings, tunnel_ip=IPAddress("192.0.2.1"))
    two = a_host(switch.database, bridge="s2", bridge_mappings=mappings, tunnel_ip=IPAddress("192.0.2.2"))

    def has_all(facts: HostFacts) -> bool:
        return facts.tunnel_ofport is not None and len(facts.patch_ofports or ()) == 2

    with Watched(one) as first, Watched(two) as second:
        facts = [watched.until(has_all) for watched in (first, second)]
        assert facts[0].datapath_id != facts[1].datapath_id
        assert facts[0].serial != facts[1].serial
        assert not facts[0].interfaces.keys() & facts[1].interfaces.keys()
        assert len(switch.vsctl("list-ports", "br-ex").split()) == 4
        first.link.configure(a_host(switch.database, bridge="s1"), (TARGET,))
        first.until(lambda facts: set(facts.interfaces) == {"s1"})
        assert len(switch.vsctl("list-ports", "br-ex").split()) == 2
        assert second.facts == facts[1]


def test_two_bridges_cannot_have_one_tunnel_address(switch: DummySwitch) -> None:
    """What ovs-vswitchd cannot do shows as a problem of the second host."""
    switch.stop_vswitchd()
    switch._daemon("ovs-vswitchd", switch.database, "--enable-dummy", "--disable-system")  # tunnels are real ones then
    address = IPAddress("192.0.2.1")
    with Watched(a_host(switch.database, bridge="s1", tunnel_ip=address)) as first:
        first.until(lambda facts: facts.tunnel_ofport)
        with Watched(a_host(switch.database, bridge="s2", tunnel_ip=address)) as second:
            facts = second.until(lambda facts: facts.problems)
    assert facts.tunnel_ofport is None
    assert f"interface '{tunnel_name('s2')}' does not work: could not add" in facts.problems[0]


def test_follows_the_hosts_description(switch: DummySwitch) -> None:
    """A new tunnel address changes the port in place; none removes it."""
    with Watched(a_full_host(switch, bridge_mappings=())) as watched:
        watched.until_has(TUNNEL)
        row = get(switch, "interface", TUNNEL, "_uuid")
        watched.link.configure(a_full_host(switch, tunnel_ip=IPAddress("2001:db8::1"), bridge_mappings=()), (TARGET,))
        switch.vsctl("--timeout=5", "wait-until", "interface", TUNNEL, 'options:local_ip="2001:db8::1"')
        assert get(switch, "interface", TUNNEL, "_uuid") == row
        watched.link.configure(a_host(switch.database), (TARGET,))
        watched.until(lambda facts: TUNNEL not in facts.interfaces and facts.tunnel_ofport is None)


def test_a_name_that_is_taken_is_a_problem(switch: DummySwitch) -> None:
    """Somebody else's port of our name stays; when it goes, ours comes."""
    switch.bridge("br-int", **{TUNNEL: 5})
    with Watched(a_full_host(switch, bridge_mappings=())) as watched:
        facts = watched.until(lambda facts: facts.problems)
        assert facts.problems == (
            f"interface '{TUNNEL}' cannot be made: there is one of that name that sdnctl did not make",
        )
        assert facts.tunnel_ofport is None
        switch.vsctl("del-port", TUNNEL)
        watched.until(lambda facts: facts.tunnel_ofport and not facts.problems)


def test_a_bridge_whose_name_is_taken_is_a_problem(switch: DummySwitch) -> None:
    """A port of another bridge may bear the name; nothing is made until it goes, and the reason is told."""
    switch.bridge("br-other", **{"br-int": 5})
    with Watched(a_host(switch.database)) as watched:
        watched.link.want(plugs("p1"))
        assert "bridge 'br-int' cannot be made: there is an interface of that name" in watched.until_lost("br-int")
        assert switch.vsctl("list-br").split() == ["br-other"]
        switch.vsctl("del-port", "br-int")
        watched.until_has("p1")


def test_puts_right_what_others_undo(switch: DummySwitch) -> None:
    """Settings, also of the controller, a patch port, the whole bridge."""
    switch.bridge("br-ex")
    with Watched(a_full_host(switch)) as watched:
        facts = watched.until_has(TUNNEL, INNER)
        switch.vsctl("set-fail-mode", "br-int", "standalone")
        switch.vsctl("--timeout=5", "wait-until", "bridge", "br-int", "fail_mode=secure")
        switch.vsctl("set", "controller", "br-int", "max_backoff=60000", "connection_mode=in-band")
        switch.vsctl("--timeout=5", "wait-until", "controller", "br-int", "max_backoff=1000")
        switch.vsctl("del-port", INNER)
        switch.vsctl("--timeout=5", "wait-until", "interface", INNER, "ofport>0")
        switch.delete_bridge("br-int")
        again = watched.until(lambda now: now.serial != facts.serial and now.tunnel_ofport and now.patch_ofports)
    assert again.problems == facts.problems == ()
