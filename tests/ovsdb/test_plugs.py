# SPDX-License-Identifier: Apache-2.0
"""Interfaces are followed, and made and removed as wished. With a real ovsdb-server and ovs-vswitchd."""

from __future__ import annotations

import signal

import pytest
from netaddr import EUI

from sdnctl import runtime
from sdnctl.model.host import Interface
from sdnctl.ovsdb.goal import tunnel_name
from tests.ovsdb.support import Watched, a_host, get, mac_of, plugs, records, settle
from tests.support.dummy_ovs import DummySwitch

pytestmark = pytest.mark.switch


def add_port(switch: DummySwitch, name: str, *settings: str, bridge: str = "br-int") -> None:
    """As os-vif or a script does it."""
    switch.vsctl("add-port", bridge, name, "--", "set", "interface", name, "type=dummy", *settings)


def test_sees_what_others_plug(switch: DummySwitch) -> None:
    """An interface with its iface-id, its removal, and its return with another ofport."""
    switch.bridge("br-other")
    with Watched(a_host(switch.database)) as watched:
        watched.until(lambda facts: facts.datapath_id)
        add_port(switch, "vif1", "external_ids:iface-id=some-port", 'external_ids:attached-mac="52:54:00:AB:00:01"')
        add_port(switch, "vif2", "external_ids:iface-id=other-port", bridge="br-other")
        seen = watched.until_has("vif1").interfaces["vif1"]
        assert seen == Interface("vif1", seen.ofport, "some-port", EUI("52:54:00:ab:00:01"), "dummy")
        switch.vsctl("del-port", "vif1")
        watched.until(lambda facts: "vif1" not in facts.interfaces)
        add_port(switch, "vif1", "ofport_request=4711", "external_ids:iface-id=some-port")
        assert watched.until_has("vif1").interfaces["vif1"].ofport == 4711
        for ofport in range(9, 15):
            # In one transaction: gone, and back as another row.
            row = f"--|--id=@i|create|interface|name=vif1|type=dummy|ofport_request={ofport}|"
            row += "--|--id=@p|create|port|name=vif1|interfaces=@i|--|add|bridge|br-int|ports|@p"
            switch.vsctl("del-port", "vif1", *row.split("|"))
            facts = watched.until(lambda facts, ofport=ofport: facts.interfaces["vif1"].ofport == ofport)
            assert set(facts.interfaces) == {"br-int", "vif1"}


def test_sees_an_interface_that_failed(switch: DummySwitch) -> None:
    """Without ofport, and with what ovs-vswitchd says of it."""
    with Watched(a_host(switch.database)) as watched:
        watched.until(lambda facts: facts.datapath_id)
        switch.vsctl("--no-wait", "add-port", "br-int", "bad", "--", "set", "interface", "bad", "type=nonsense")
        bad = watched.until(lambda facts: "bad" in facts.interfaces and facts.interfaces["bad"].error).interfaces["bad"]
        assert bad.ofport is None
        assert "could not open network device bad" in bad.error


@pytest.mark.proves("S33", "S135")
def test_makes_and_removes_plugs(switch: DummySwitch) -> None:
    """Each with its port's id, MAC and MTU; in use is what the last wish says."""
    with Watched(a_host(switch.database)) as watched:
        watched.link.want(plugs("p1", "p2"))
        facts = watched.until_has("p1", "p2")
        p1 = facts.interfaces["p1"]
        assert p1 == Interface("p1", p1.ofport, "port-of-p1", mac_of("p1"), "internal", is_ours=True)
        assert get(switch, "interface", "p1", "external_ids:iface-status") == "active"
        assert get(switch, "interface", "p1", "mtu_request") == "1450"
        assert get(switch, "interface", "p1", "mac_in_use") == get(switch, "interface", "p1", "mac")
        watched.link.want(plugs("p2", "p3"))
        facts = watched.until(lambda facts: "p1" not in facts.interfaces and "p3" in facts.interfaces)
        p3 = watched.until_has("p3").interfaces["p3"]
        assert p3.ofport not in {p1.ofport, facts.interfaces["p2"].ofport}, "a number that was just given back"
        watched.link.want({})
        watched.until(lambda facts: set(facts.interfaces) == {"br-int"})


@pytest.mark.parametrize(
    ("datapath", "wished", "made"),
    (
        ("dummy", "internal", "internal"),
        ("dummy", "system", ""),
        ("dummy", "tap", ""),
        ("netdev", "tap", "tap"),
        ("netdev", "dpdkvhostuserclient", "dpdkvhostuserclient"),
    ),
)
def test_types_of_plugs(switch: DummySwitch, datapath: str, wished: str, made: str) -> None:
    """Open vSwitch makes taps for the userspace datapath only; the device of `system` is there already."""
    with Watched(a_host(switch.database, datapath_type=datapath)) as watched:
        watched.link.want(plugs("p1", kind=wished))
        watched.until(lambda facts: "p1" in facts.interfaces)
        assert get(switch, "interface", "p1", "type").strip('"') == made
        mac = "[]" if wished != "internal" else get(switch, "interface", "p1", "external_ids:attached-mac")
        assert get(switch, "interface", "p1", "mac") == mac
        if wished == "dpdkvhostuserclient":
            assert get(switch, "interface", "p1", "options") == '{vhost-server-path="/var/run/openvswitch/p1"}'


def test_a_plug_that_changes_is_changed_in_place(switch: DummySwitch) -> None:
    """Another port, another MTU: the row and what others wrote there stay."""
    with Watched(a_host(switch.database)) as watched:
        watched.link.want(plugs("p1"))
        ofport = watched.until_has("p1").interfaces["p1"].ofport
        switch.vsctl("set", "interface", "p1", "external_ids:note=theirs")
        changed = plugs("p1", mtu=1400)
        watched.link.want(changed)
        switch.vsctl("--timeout=5", "wait-until", "interface", "p1", "mtu_request=1400")
        assert get(switch, "interface", "p1", "external_ids:note") == "theirs"
        assert watched.until_has("p1").interfaces["p1"].ofport == ofport


def test_removes_nothing_before_the_wish_is_stated(switch: DummySwitch) -> None:
    """A controller that starts finds its plugs and leaves them; what it then does not wish goes."""
    host = a_host(switch.database)
    with Watched(host) as watched:
        watched.link.want(plugs("p1", "p2"))
        before = watched.until_has("p1", "p2").interfaces
    with Watched(host) as watched:
        assert watched.until(lambda facts: facts.datapath_id).interfaces == before
        settled = settle(switch)
        add_port(switch, "probe")
        watched.until_has("probe")
        assert {"p1", "p2"} <= watched.until(bool).interfaces.keys()
        watched.link.want(plugs("p1"))
        assert watched.until(lambda facts: "p2" not in facts.interfaces).interfaces["p1"] == before["p1"]
    assert records(switch) - settled <= 6


def test_ofports_stay_when_vswitchd_restarts(switch: DummySwitch) -> None:
    """Numbers that flows are for do not move from one port to another."""
    names = [f"p{n}" for n in range(20)]
    with Watched(a_host(switch.database)) as watched:
        watched.link.want(plugs(*names))
        before = watched.until_has(*names).interfaces
        watched.link.want(plugs(*names[10:]))
        watched.until(lambda facts: "p0" not in facts.interfaces)
        switch.stop_vswitchd(signal.SIGKILL)
        switch.start_vswitchd()
        add_port(switch, "new")
        after = watched.until_has("new").interfaces
        assert {n: after[n].ofport for n in names[10:]} == {n: before[n].ofport for n in names[10:]}


def test_a_name_that_is_taken_is_left_alone(switch: DummySwitch) -> None:
    """Somebody else's interface, also on another bridge: a problem, until it goes. The others are made."""
    switch.bridge("br-other", p2=5)
    switch.bridge("br-int", p1=5)
    before = [switch.vsctl("--columns=_uuid,type,external_ids", "list", "interface", name) for name in ("p1", "p2")]
    with Watched(a_host(switch.database)) as watched:
        watched.link.want(plugs("p1", "p2", "p3"))
        facts = watched.until_has("p3")
        assert facts.problems == (
            "interface 'p1' cannot be made: there is one of that name that sdnctl did not make",
            "interface 'p2' cannot be made: there is one of that name that sdnctl did not make",
        )
        watched.link.want(plugs("p2"))
        watched.until(lambda facts: "p3" not in facts.interfaces and len(facts.problems) == 1)
        assert before == [
            switch.vsctl("--columns=_uuid,type,external_ids", "list", "interface", n) for n in ("p1", "p2")
        ]
        switch.vsctl("del-port", "p2")
        assert watched.until(lambda facts: "p2" in facts.interfaces).interfaces["p2"].is_ours
        watched.until(lambda facts: not facts.problems)


def test_one_that_the_server_refuses_does_not_hold_up_the_others(switch: DummySwitch) -> None:
    """A bond's name is a port's name and no interface's; OVSDB finds out, and refuses the whole transaction."""
    switch.bridge("br-other", a=1, b=2)
    switch.vsctl("del-port", "a", "--", "del-port", "b", "--", "add-bond", "br-other", "p37", "a", "b")
    names = [f"p{n}" for n in range(100)]
    with Watched(a_host(switch.database)) as watched:
        watched.link.want(plugs(*names))
        facts = watched.until(lambda facts: len(facts.interfaces) == 100 and facts.problems)
        assert len(facts.problems) == 1
        assert facts.problems[0].startswith("interface 'p37' could not be made or removed: OVSDB Error: ")
        assert set(names) - facts.interfaces.keys() == {"p37"}


@pytest.mark.parametrize(
    ("name", "problem"),
    (("a" * 16, "15 printable"), ("a/b", "printable"), ("..", "printable"), (tunnel_name("br-int"), "like that")),
)
def test_a_plug_that_cannot_be(switch: DummySwitch, name: str, problem: str) -> None:
    """It is not even sent."""
    with Watched(a_host(switch.database)) as watched:
        watched.link.want(plugs(name, "p1"))
        assert problem in watched.until_has("p1").problems[0]


def test_many_plugs_are_a_few_transactions(switch: DummySwitch) -> None:
    """A thousand at once, and away again."""
    names = [f"p{n}" for n in range(1000)]
    with Watched(a_host(switch.database)) as watched:
        watched.until(lambda facts: facts.datapath_id)
        before = settle(switch)
        watched.link.want(plugs(*names))
        facts = watched.until(lambda facts: sum(i.ofport is not None for i in facts.interfaces.values()) == 1000, 60)
        assert len({interface.ofport for interface in facts.interfaces.values()}) == 1001
        calls = len(watched.calls)
        assert calls < 20, "changes that come together are told together"
        assert records(switch) - before <= 8
        watched.link.want({})
        watched.until(lambda facts: len(facts.interfaces) == 1, 60)
        assert settle(switch) - before <= 16


def test_marks_what_is_installed(switch: DummySwitch) -> None:
    """In one transaction; who is not there is passed over; what is written is not written again."""
    with Watched(a_host(switch.database)) as watched:
        watched.link.want(plugs("p1"))
        watched.until_has("p1")
        add_port(switch, "vif1", "external_ids:iface-id=x")
        watched.until_has("vif1")
        before = settle(switch)
        watched.link.set_installed({"p1": 41, "vif1": 41, "gone": 41})
        watched.link.set_installed({"p1": 42})
        watched.until(lambda facts: [facts.interfaces[n].installed for n in ("p1", "vif1")] == ["42", "41"])
        assert get(switch, "interface", "vif1", "external_ids") == '{iface-id=x, sdnctl-installed="41"}'
        watched.link.set_installed({"p1": 42, "vif1": 41})
        assert settle(switch) - before <= 4


def test_makes_again_what_others_remove(switch: DummySwitch) -> None:
    """The interface, and what it says."""
    with Watched(a_host(switch.database)) as watched:
        watched.link.want(plugs("p1"))
        watched.until_again("p1")
        row = get(switch, "interface", "p1", "_uuid")
        switch.vsctl("del-port", "p1")
        watched.until_again("p1")
        assert get(switch, "interface", "p1", "_uuid") != row
        switch.vsctl("set", "interface", "p1", "external_ids:iface-id=somebody")
        switch.vsctl("--timeout=5", "wait-until", "interface", "p1", "external_ids:iface-id=port-of-p1")


def test_does_not_fight(switch: DummySwitch) -> None:
    """Who removes our interface again and again has it back once a second, not a hundred times."""
    with Watched(a_host(switch.database)) as watched:
        watched.link.want(plugs("p1"))
        watched.until_again("p1")
        began = runtime.monotonic()
        for _ in range(3):
            switch.vsctl("del-port", "p1")
            watched.until_again("p1")
        assert runtime.monotonic() - began > 1.9
