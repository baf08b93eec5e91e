# SPDX-License-Identifier: Apache-2.0
"""Objects by command: what is sent, what is printed, what is refused."""

from __future__ import annotations

import argparse
import csv
import io
import json

import pytest
import yaml

from sdnctl.api.resources import RESOURCES, May
from sdnctl.cli import flags
from sdnctl.cli.resources import COLUMNS
from tests.api.fake import MEMBER
from tests.cli.conftest import PROJECT, Api

SOME_ID = "11111111-2222-3333-4444-555555555555"
SAMPLES = {
    "TEXT": "text",
    "NUMBER": "5",
    "MAC": "02:00:00:00:00:01",
    "CIDR": "10.0.0.0/24",
    "ADDRESS": "10.0.0.9",
    "DOMAIN": "example.org.",
    "NAME": "name1",
    "PHYSNET": "physnet1",
    "TAG": "blue",
    "TIME": "2030-01-31T00:00:00Z",
    "HOST": "h1",
    "TEXT:JSON": "key:value",
    "PHYSNET:NAME": "physnet1:br-ex",
    "tcp:IP:PORT|ssl:IP:PORT|unix:PATH": "tcp:192.0.2.1:6640",
    "NETWORK": "net1",
    "PROJECT": "demo",
    "PROTOCOL": "tcp",
    "subnet=SUBNET,ip-address=ADDRESS": "subnet=lan,ip-address=10.0.0.9",
    "start=ADDRESS,end=ADDRESS": "start=10.0.0.5,end=10.0.0.9",
    "destination=CIDR,nexthop=ADDRESS": "destination=10.9.0.0/16,nexthop=10.0.0.1",
    "ip-address=CIDR,mac-address=MAC": "ip-address=10.0.0.0/24,mac-address=02:00:00:00:00:01",
    "name=TEXT,value=TEXT,ip-version=4|6": "name=mtu,value=1400,ip-version=4",
    "mac=BOOLEAN,arp=BOOLEAN,ip=BOOLEAN": "mac=true,arp=false,ip=no",
}


# -------------------------------------------------------------------------------------------------- from the tables


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.name)
def test_every_attribute_has_flags_that_nobody_else_has(resource: object) -> None:
    """Adding all of them to one parser would raise on a conflict."""
    for may in (May.CREATE, May.UPDATE, May.FILTER):
        parser = argparse.ArgumentParser()
        given = flags.flags_for(resource, may)  # type: ignore[arg-type]
        (flags.add_filters if may is May.FILTER else flags.add_values)(parser, given)
        parser.format_help()


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.name)
def test_every_resource_has_columns_for_people(resource: object) -> None:
    names = {attribute.name for attribute in resource.attributes}  # type: ignore[attr-defined]
    assert set(COLUMNS[resource.name]) <= names  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("resource", "attribute"),
    [
        (resource, attribute)
        for resource in RESOURCES
        for attribute in resource.attributes
        if May.CREATE in attribute.may
    ],
    ids=lambda part: part.name,
)
def test_every_attribute_can_be_given(resource: object, attribute: object) -> None:
    """Each flag takes a sample of its metavar, and what comes out is what the API's own type accepts."""
    flag = flags.flag_of(attribute)  # type: ignore[arg-type]
    parser = argparse.ArgumentParser()
    flags.add_values(parser, [flag])
    metavar = flags.metavar(flag.type, flag.attribute.name)
    words = [f"--{flag.names[0]}"]
    if metavar != "BOOLEAN":
        words.append(SAMPLES.get(metavar) or metavar.split("|")[0])
    values = flags.values(parser.parse_args(words), [flag], lambda _kind, _name: SOME_ID)
    assert set(values) == {flag.attribute.name}
    if flag.attribute.name not in flags.REFERENCES:
        assert flag.attribute.type.parse(values[flag.attribute.name], "x") == values[flag.attribute.name]


# ------------------------------------------------------------------------------------------------------- what is sent


def test_a_network_with_provider_attributes(api: Api) -> None:
    made = api.json(
        "network create net1 --provider-network-type vlan --provider-physical-network physnet1 "
        "--provider-segmentation-id 100 --shared --mtu 1400 --no-admin-state-up --tag blue --tag red"
    )
    assert made == made | {
        "name": "net1",
        "provider:network_type": "vlan",
        "provider:physical_network": "physnet1",
        "provider:segmentation_id": 100,
        "shared": True,
        "mtu": 1400,
        "admin_state_up": False,
    }


def test_references_are_names_or_ids(lan: Api) -> None:
    network = lan.ok("network show net1 -f value -c id").out.strip()
    for reference in ("net1", network):
        assert lan.json(f"port create --network {reference}")["network_id"] == network
    assert lan.json(f"port create --network-id {network}")["network_id"] == network
    demo = lan.ok("project show demo -f value -c id").out.strip()
    assert lan.json("network create x --project demo")["project_id"] == demo


def test_a_port_with_everything(lan: Api) -> None:
    subnet = lan.json("subnet show lan")["id"]
    lan.ok(
        "port create vm1 --network net1 --mac-address 02-00-00-00-00-01 "
        "--fixed-ip subnet=lan,ip-address=10.0.0.5 --fixed-ip ip-address=10.0.0.6 --fixed-ip subnet_id=lan "
        "--allowed-address ip-address=10.2.0.0/24 --allowed-address mac-address=02:00:00:00:00:02,ip-address=10.0.0.9 "
        "--extra-dhcp-option name=mtu,value=1400 --extra-dhcp-option 'name=42,value=10.0.0.1,10.0.0.2,ip-version=4' "
        "--no-port-security --host h1 --device-owner compute:nova"
    )
    assert lan.sent("port") == lan.sent("port") | {
        "name": "vm1",
        "mac_address": "02:00:00:00:00:01",
        "fixed_ips": [
            {"subnet_id": subnet, "ip_address": "10.0.0.5"},
            {"ip_address": "10.0.0.6"},
            {"subnet_id": subnet},
        ],
        "allowed_address_pairs": [
            {"ip_address": "10.2.0.0/24"},
            {"ip_address": "10.0.0.9", "mac_address": "02:00:00:00:00:02"},
        ],
        "extra_dhcp_opts": [
            {"opt_name": "mtu", "opt_value": "1400", "ip_version": 4},
            {"opt_name": "42", "opt_value": "10.0.0.1,10.0.0.2", "ip_version": 4},
        ],
        "port_security_enabled": False,
        "binding:host_id": "h1",
        "device_owner": "compute:nova",
    }


def test_absent_empty_and_null_differ(lan: Api) -> None:
    lan.ok("subnet create a --network net1 --cidr 10.1.0.0/24")
    assert "gateway_ip" not in lan.sent("subnet")
    lan.ok("subnet create b --network net1 --cidr 10.2.0.0/24 --no-gateway")
    assert lan.sent("subnet")["gateway_ip"] is None
    lan.ok("port create a --network net1")
    assert "fixed_ips" not in lan.sent("port")
    lan.ok("port create b --network net1 --no-fixed-ip")
    assert lan.sent("port")["fixed_ips"] == []


def test_the_ip_version_follows_from_the_cidr(lan: Api) -> None:
    assert lan.json("subnet create a --network net1 --cidr 10.1.0.0/24")["ip_version"] == 4
    assert lan.json("subnet create b --network net1 --cidr 2001:db8::/64")["ip_version"] == 6


def test_a_host_as_the_contract_writes_it(api: Api) -> None:
    """Lists may follow their flag word by word, and the name may stand anywhere."""
    expected = {
        "name": "h1",
        "ovsdb": "tcp:192.0.2.1:6640",
        "bridge": "br-sdn",
        "tunnel_ip": "198.51.100.1",
        "bridge_mappings": {"physnet1": "br-ex", "physnet2": "br-dmz"},
        "datapath_type": "netdev",
        "gateway": True,
        "controllers": ["tcp:192.0.2.9:6653", "ssl:192.0.2.9:6654"],
    }
    tail = "--ovsdb tcp:192.0.2.1:6640 --bridge br-sdn --tunnel-ip 198.51.100.1 --datapath-type netdev --gateway"
    mapping, controller = "--bridge-mapping physnet1:br-ex", "--controller tcp:192.0.2.9:6653"
    after_it = f"h1 {tail} {mapping} physnet2:br-dmz {controller} ssl:192.0.2.9:6654"
    before_it = f"{tail} {controller} --controller ssl:192.0.2.9:6654 {mapping} --bridge-mapping physnet2:br-dmz h1"
    for words in (after_it, before_it):
        assert api.json(f"host add {words}").items() >= expected.items()
    assert api.ok("host list -f value -c name").lines == ["h1", "h1"]


def test_set_sends_what_was_given_and_no_more(lan: Api) -> None:
    before = dict(lan.sent("network"))
    lan.ok("network set net1 --name net2 --no-shared --description ''")
    after = lan.sent("network")
    assert {key for key in after if after[key] != before.get(key)} == {"name", "revision_number"}
    lan.ok("port create vm1 --network net2 --fixed-ip ip-address=10.0.0.5")
    lan.ok("port set vm1 --no-fixed-ip --no-host")
    assert lan.sent("port")["fixed_ips"] == []
    assert lan.sent("port")["binding:host_id"] == ""


def test_an_option_without_a_value_is_removed(lan: Api) -> None:
    lan.ok("port create vm1 --network net1 --extra-dhcp-option name=mtu,value=1400")
    lan.ok("port set vm1 --extra-dhcp-option name=mtu")
    assert lan.sent("port")["extra_dhcp_opts"] == [{"opt_name": "mtu", "opt_value": None, "ip_version": 4}]


def test_set_can_insist_on_a_revision(lan: Api) -> None:
    assert lan.ok("network set net1 --name a --if-revision 1").status == 0
    refused = lan.run("network set a --name b --if-revision 1")
    assert refused.status == 1
    assert "(412, req-" in refused.err


def test_tags(lan: Api) -> None:
    lan.ok("network set net1 --tag blue --tag red")
    assert lan.json("network set net1 --remove-tag blue")["tags"] == ["red"]
    refused = lan.run("network set net1 --remove-tag 'a b'")
    assert refused.err.startswith("sdnctl: Tag a b could not be found. (404")


def test_plug_and_unplug(lan: Api) -> None:
    lan.ok("port create vm1 --network net1")
    made = lan.json("port plug vm1 --host h1 --type tap --interface tap-vm1")
    assert made["plug"] == {"host": "h1", "type": "tap", "interface": "tap-vm1"}
    assert lan.json("port unplug vm1")["plug"] is None


def test_rules_of_a_qos_policy(lan: Api) -> None:
    """Parts of an object are added, changed and removed by verbs of their own."""
    policy = lan.json("qos-policy create gold --shared --is-default")
    assert policy == policy | {"name": "gold", "shared": True, "is_default": True}
    rule = lan.json("qos-policy add-bandwidth-limit-rule gold --max-kbps 5000 --direction ingress --wait")
    assert rule == rule | {"max_kbps": 5000, "max_burst_kbps": 0, "direction": "ingress"}
    assert lan.sent("bandwidth_limit_rule")["qos_policy_id"] == policy["id"]
    changed = lan.json(f"qos-policy set-bandwidth-limit-rule gold {rule['id']} --max-burst-kbps 700")
    assert changed == rule | {"max_burst_kbps": 700}
    assert lan.json("qos-policy add-dscp-marking-rule gold --dscp-mark 46")["dscp_mark"] == 46
    lan.ok(f"qos-policy remove-bandwidth-limit-rule gold {rule['id']}")
    assert lan.repository.objects["bandwidth_limit_rule"] == {}
    assert lan.json("port create --network net1 --qos-policy gold")["qos_policy_id"] == policy["id"]
    assert lan.json("network set net1 --qos-policy gold")["qos_policy_id"] == policy["id"]
    assert lan.json("network set net1 --no-qos-policy")["qos_policy_id"] is None
    for line, message in (
        ("qos-policy add-bandwidth-limit-rule gold", "--max-kbps"),
        ("qos-policy add-dscp-marking-rule gold --dscp-mark 1", "not one of"),
        (f"qos-policy set-dscp-marking-rule gold {rule['id']}", "nothing to change"),
        (f"qos-policy remove-dscp-marking-rule gold {rule['id']}", "could not be found"),
        ("qos-policy add-dscp-marking-rule silver --dscp-mark 8", "no qos-policy with the name"),
    ):
        result = lan.run(line)
        assert (result.status in {1, 2}, message in result.err) == (True, True), result.err


def test_wait(lan: Api) -> None:
    """--wait waits for the hosts; those that did not confirm in time are named, and the status tells."""
    assert lan.run("network create a --wait").status == 0
    assert len(lan.fabric.waited) == 1
    lan.ok("network create b")
    assert len(lan.fabric.waited) == 1
    lan.fabric.pending = ("h1", "h2")
    late = lan.run("network create c --wait -f value -c name")
    assert (late.status, late.out) == (1, "c\n")
    assert "not yet confirmed by h1, h2" in late.err


def test_delete_several(lan: Api) -> None:
    """One that cannot be deleted does not keep the others; the status tells."""
    for name in ("a", "b"):
        lan.ok(f"network create {name}")
    result = lan.run("network delete a nix b")
    assert (result.status, result.out) == (1, "")
    assert result.err == "sdnctl: nix: there is no network with the name or id 'nix'\n"
    assert lan.ok("network list -f value -c name").lines == ["net1"]


@pytest.mark.parametrize(("verb", "alias"), (("add", "create"), ("remove", "delete")))
def test_verbs_have_plain_names_too(verb: str, alias: str, api: Api) -> None:
    for word in (verb, alias):
        result = api.run(f"host {word} --help")
        assert result.status == 0
        assert "usage: sdnctl host" in result.out


def test_a_token_is_shown_once(lan: Api) -> None:
    made = lan.json("token create ci --project demo --role member --role reader")
    assert made["roles"] == ["member", "reader"]
    assert lan.run("token revoke ci").status == 0
    assert lan.ok("token list -f csv").lines == ["id,name,project_id,roles,expires_at"]


def test_a_member_names_its_project_by_id(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members may not look at projects; what they write is taken as it is."""
    monkeypatch.setenv("SDNCTL_TOKEN", MEMBER)
    assert api.json(f"network create n --project {PROJECT}")["project_id"] == PROJECT
    refused = api.run("network create n --project other")
    assert refused.status == 1


# ------------------------------------------------------------------------------------------------- what is printed


def test_a_table_for_people(lan: Api) -> None:
    lan.ok("subnet create mañana --network net1 --cidr 10.1.0.0/24 --no-dhcp")
    lan.ok("subnet create 網路 --network net1 --cidr 10.2.0.0/24")
    assert lan.ok("subnet list --sort cidr -c name -c cidr -c enable-dhcp").out == (
        "NAME    CIDR         ENABLE DHCP\n"
        "lan     10.0.0.0/24  true\n"
        "mañana  10.1.0.0/24  false\n"
        "網路    10.2.0.0/24  true\n"
    )


def test_one_object_for_people(lan: Api) -> None:
    lan.ok("port create vm1 --network net1 --fixed-ip ip-address=10.0.0.5 --fixed-ip ip-address=10.0.0.6")
    shown = lan.ok("port show vm1 -c name -c fixed_ips -c admin_state_up -c device_id").out
    assert shown == (
        "NAME            vm1\n"
        "FIXED IPS       ip_address=10.0.0.5\n"
        "                ip_address=10.0.0.6\n"
        "ADMIN STATE UP  true\n"
        "DEVICE ID\n"
    )
    assert "TENANT ID" not in lan.ok("port show vm1").out
    assert lan.ok("port list -c fixed_ips").lines[1] == "10.0.0.5, 10.0.0.6"


def test_for_programs(lan: Api) -> None:
    lan.ok("port create 'a,\"b' --network net1 --fixed-ip ip-address=10.0.0.5")
    port = lan.json("port show 'a,\"b'")
    assert port["tenant_id"] == port["project_id"]
    assert json.loads(lan.ok("port list -f json").out) == [port]
    assert yaml.safe_load(lan.ok("port list -f yaml").out) == [port]
    assert yaml.safe_load(lan.ok(f"port show {port['id']} -f yaml").out) == port
    head, row = csv.reader(io.StringIO(lan.ok("port list -f csv -c name -c fixed_ips -c admin_state_up").out))
    assert head == ["name", "fixed_ips", "admin_state_up"]
    assert row == ['a,"b', '[{"ip_address": "10.0.0.5"}]', "true"]
    assert lan.ok("port list -f value -c id").out == f"{port['id']}\n"
    assert lan.ok("port list -f json -c name").out == '[\n  {\n    "name": "a,\\"b"\n  }\n]\n'


@pytest.mark.parametrize(
    ("form", "out", "err"),
    (
        ("table", "", "sdnctl: no ports\n"),
        ("json", "[]\n", ""),
        ("yaml", "[]\n", ""),
        ("value", "", ""),
        ("csv", "id,name\n", ""),
    ),
)
def test_an_empty_list(form: str, out: str, err: str, api: Api) -> None:
    columns = "-c id -c name" if form == "csv" else ""
    result = api.ok(f"port list -f {form} {columns}")
    assert (result.out, result.err) == (out, err)


def test_other_peoples_names_cannot_move_the_cursor(api: Api) -> None:
    api.repository.create(  # as somebody else's client would
        api.repository.authenticate("admin-secret"),  # type: ignore[arg-type]
        "network",
        [{"name": "evil\x1b[2J\nnet2  ACTIVE", "project_id": PROJECT}],
    )
    out = api.ok("network list -c name").out
    assert out == "NAME\nevil\\x1b[2J\\nnet2  ACTIVE\n"
    assert "\x1b" not in api.ok("network show 'evil\x1b[2J\nnet2  ACTIVE'").out
    assert len(api.ok("network list -f value -c name").lines) == 1
    assert json.loads(api.ok("network list -f json -c name").out) == [{"name": "evil\x1b[2J\nnet2  ACTIVE"}]


def test_only_the_columns_that_are_shown_are_asked_for(lan: Api) -> None:
    lan.ok("network list -f value -c id")
    assert lan.json("network list -f json")[0].keys() > {"id", "name", "mtu"}  # type: ignore[index]


# ------------------------------------------------------------------------------------------------- lists and pages


def test_filters(lan: Api) -> None:
    lan.ok("port create a --network net1 --fixed-ip ip-address=10.0.0.5 --no-admin-state-up")
    lan.ok("port create b --network net1 --fixed-ip subnet=lan,ip-address=10.0.0.6")
    lan.ok("network create net2")
    lan.ok("port create c --network net2")

    def names(line: str) -> list[str]:
        return sorted(lan.ok(f"port list {line} -f value -c name").lines)

    assert names("") == ["a", "b", "c"]
    assert names("--network net1") == ["a", "b"]
    assert names("--network net1 --network net2") == ["a", "b", "c"]
    assert names("--name a --name c") == ["a", "c"]
    assert names("--no-admin-state-up") == ["a"]
    assert names("--fixed-ip ip-address=10.0.0.6") == ["b"]
    assert names("--fixed-ip subnet=lan") == ["b"]
    assert names("--network net1 --name c") == []


def test_order_and_limit(api: Api) -> None:
    for name in ("b", "c", "a"):
        api.ok(f"network create {name}")
    assert api.ok("network list -f value -c name").lines == ["a", "b", "c"]
    assert api.ok("network list --sort name -f value -c name").lines == ["a", "b", "c"]
    assert api.ok("network list --sort name:desc --limit 2 -f value -c name").lines == ["c", "b"]
    assert api.ok("network list --limit 0 -f value -c name").lines == []


@pytest.mark.parametrize("count", (2, 3, 4))
def test_all_pages(count: int, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list is whole however many pages it takes, each object once."""
    monkeypatch.setattr("sdnctl.cli.client.PAGE", 2)
    for number in range(count):
        api.ok(f"network create n{number}")
    assert sorted(api.ok("network list -f value -c name").lines) == [f"n{number}" for number in range(count)]
    assert len(api.ok("network list --limit 3 -f value -c name").lines) == min(3, count)


# -------------------------------------------------------------------------------------------------- what is refused


def test_a_name_that_several_have(api: Api) -> None:
    ids = sorted(str(api.json("network create twin")["id"]) for _ in range(2))
    refused = api.run("network show twin")
    assert refused.status == 1
    assert refused.err == f"sdnctl: 2 networks have the name 'twin'; say which by its id: {', '.join(ids)}\n"
    assert api.ok(f"network show {ids[0]} -f value -c id").out == f"{ids[0]}\n"


def test_the_api_is_quoted(lan: Api) -> None:
    refused = lan.run(f"network show {SOME_ID}")
    assert refused.status == 1
    assert refused.err.startswith(f"sdnctl: Network {SOME_ID} could not be found. (404, req-")
    assert refused.err.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "message"),
    (
        ("port create --network net1 --mac-address zz", "--mac-address: 'zz' is not a MAC address"),
        (
            "port create --network net1 --fixed-ip foo=1",
            "'foo' is no key of it; write subnet=SUBNET,ip-address=ADDRESS",
        ),
        ("port create --network net1 --fixed-ip 10.0.0.5", "'10.0.0.5' has no key; write subnet="),
        ("port create --network net1 --fixed-ip ip-address=10.0.0.999", "--fixed-ip ip-address: '10.0.0.999' is not"),
        ("port create --network net1 --fixed-ip ip-address=::1,ip-address=::2", "ip-address stands there twice"),
        ("port create --network net1 --allowed-address mac-address=02:00:00:00:00:01", "ip_address is missing"),
        ("port create vm1 --name vm2 --network net1", "two names are given: 'vm1' and 'vm2'"),
        ("port create", "the following arguments are required: --network/--network-id"),
        ("port create --netwrok net1", "required: --network"),
        ("port create --network net1 --nme vm1 x", "port create: unknown: --nme (did you mean --name?)"),
        ("port create a b --network net1", "port create: unknown: b; sdnctl port create --help says more"),
        ("network set net1", "nothing to change is given"),
        ("network list -c blub", "there is no column 'blub'; there are id, name,"),
        ("network list --sort nmae", "cannot sort by 'nmae' (did you mean 'name'?)"),
        ("network list --limit -1", "'-1' is no number of 0 or more"),
        ("network list --limit many", "'many' is no number of 0 or more"),
        ("network frobnicate", "unknown: frobnicate (there are create, list,"),
        ("network craete", "unknown: craete (did you mean create?)"),
        ("frobnicate", "unknown: frobnicate (there are serve, host,"),
        ("prot list", "unknown: prot (did you mean port?)"),
        ("network list -f xml", "unknown: xml (there are table, json,"),
        ("host add h1", "the following arguments are required: --ovsdb"),
        ("host add h1 --ovsdb here", "--ovsdb: 'here' is not an OVSDB remote"),
        ("host add h1 --ovsdb tcp:1.2.3.4:1 --bridge-mapping br-ex", "'br-ex' is not of the form PHYSNET:NAME"),
        ("subnet create --network net1 --cidr 10.0.0.0", "--cidr: '10.0.0.0' has no prefix length"),
        ("--bogus", "the following arguments are required: COMMAND"),
    ),
)
def test_a_wrong_command_line(line: str, message: str, lan: Api) -> None:
    """One line, status 2, nothing sent."""
    before = lan.repository.revision()
    refused = lan.run(line)
    assert (refused.status, refused.out) == (2, "")
    assert message in refused.err
    assert refused.err.startswith("sdnctl")
    assert refused.err.count("\n") == 1
    assert lan.repository.revision() == before
