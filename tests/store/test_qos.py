# SPDX-License-Identifier: Apache-2.0
"""QoS policies in the store: what the follower reads, what the journal says, and many at once."""

from __future__ import annotations

import pytest

from sdnctl.errors import ConflictError, NotFoundError, PreconditionError, SdnctlError
from sdnctl.model.qos import QosPolicy, QosRule
from sdnctl.model.security import Direction
from tests.store import laws
from tests.store.cloud import ADMIN, ALICE, Cloud, Object
from tests.store.test_parallel import at_once, kinds


@pytest.fixture
def gold(cloud: Cloud) -> Object:
    return cloud.create("qos_policy", name="gold")


def model_of(cloud: Cloud, policy: Object) -> QosPolicy:
    """The policy as the follower has it, by both ways to read it."""
    [loaded] = [one for one in cloud.store.load().qos_policies if one.id == policy["id"]]
    assert cloud.store.fetch("qos_policy", [policy["id"]]) == {policy["id"]: loaded}
    return loaded


def test_what_the_follower_reads(cloud: Cloud, gold: Object) -> None:
    into = cloud.create(
        "bandwidth_limit_rule", qos_policy_id=gold["id"], max_kbps=5, max_burst_kbps=7, direction="ingress"
    )
    cloud.create("bandwidth_limit_rule", qos_policy_id=gold["id"], max_kbps=6, max_burst_kbps=0, direction="egress")
    cloud.create("packet_rate_limit_rule", qos_policy_id=gold["id"], max_kpps=2**31 - 1, max_burst_kpps=0)
    cloud.create("dscp_marking_rule", qos_policy_id=gold["id"], dscp_mark=0)
    assert model_of(cloud, gold).rules == (
        QosRule("bandwidth_limit", Direction.EGRESS, 6),
        QosRule("bandwidth_limit", Direction.INGRESS, 5, 7),
        QosRule("dscp_marking", Direction.EGRESS, 0),
        QosRule("packet_rate_limit", Direction.EGRESS, 2**31 - 1),
    )
    cloud.delete("bandwidth_limit_rule", into)
    assert len(model_of(cloud, gold).rules) == 3
    network = cloud.network(qos_policy_id=gold["id"])
    port = cloud.port(network, qos_policy_id=gold["id"])
    contents = cloud.store.load()
    assert [one.qos_policy_id for one in contents.networks] == [gold["id"]]
    assert [one.qos_policy_id for one in contents.ports if one.id == port["id"]] == [gold["id"]]


def test_a_rule_is_an_entry_and_so_is_its_policy(cloud: Cloud, gold: Object) -> None:
    """The follower looks at policies only; a change that changes nothing is no entry."""
    before = cloud.store.revision()
    rule = cloud.create("dscp_marking_rule", qos_policy_id=gold["id"], dscp_mark=8)
    assert [(kind, what) for kind, _, what, _ in cloud.entries(before)] == [
        ("qos_policy", "update"),
        ("dscp_marking_rule", "create"),
    ]
    before = cloud.store.revision()
    cloud.update("dscp_marking_rule", rule, dscp_mark=8)
    assert cloud.store.revision() == before
    cloud.update("dscp_marking_rule", rule, dscp_mark=10)
    assert {(kind, what) for kind, _, what, _ in cloud.entries(before)} == {
        ("qos_policy", "update"),
        ("dscp_marking_rule", "update"),
    }
    revision = cloud.get("qos_policy", gold)["revision_number"]
    with pytest.raises(PreconditionError):
        cloud.store.delete(ALICE, "qos_policy", gold["id"], revision - 1)
    before = cloud.store.revision()
    cloud.store.delete(ALICE, "qos_policy", gold["id"], revision)
    assert {(kind, what) for kind, _, what, _ in cloud.entries(before)} == {
        ("qos_policy", "delete"),
        ("dscp_marking_rule", "delete"),
    }


def test_delete_a_policy_against_giving_it(cloud: Cloud) -> None:
    """Either it goes and the others are refused, or somebody has it and it stays."""
    network = cloud.network()
    port = cloud.port(network)

    def attempt(number: int) -> object:
        match number:
            case 0:
                return cloud.delete("qos_policy", policy)
            case 1:
                return cloud.port(network, qos_policy_id=policy["id"])
            case 2:
                return cloud.update("network", network, qos_policy_id=policy["id"])
        return cloud.update("port", port, qos_policy_id=policy["id"])

    for _ in range(8):
        policy = cloud.create("qos_policy")
        removed, *given = at_once(4, attempt)
        if isinstance(removed, ConflictError):
            assert not all(isinstance(one, SdnctlError) for one in given)
        else:
            assert all(isinstance(one, NotFoundError) for one in given)
        cloud.update("port", port, qos_policy_id=None)
        cloud.update("network", network, qos_policy_id=None)
    laws.check(cloud)


def test_one_default_and_one_rule_of_a_kind(cloud: Cloud, gold: Object) -> None:
    results = at_once(10, lambda _: cloud.create("qos_policy", is_default=True))
    assert kinds(results) == ["QoSPolicyDefaultAlreadyExists"] * 9
    body = {"qos_policy_id": gold["id"], "max_kbps": 5}
    results = at_once(10, lambda _: cloud.create("bandwidth_limit_rule", **body))
    assert kinds(results) == ["QoSRulesConflict"] * 9
    assert len(cloud.get("qos_policy", gold)["rules"]) == 1


def test_new_networks_get_the_default_policy_of_their_own_project(cloud: Cloud) -> None:
    default = cloud.create("qos_policy", is_default=True)
    assert cloud.network()["qos_policy_id"] == default["id"]
    assert cloud.network(ADMIN)["qos_policy_id"] is None
    assert cloud.network(ADMIN, project_id=ALICE.project_id)["qos_policy_id"] == default["id"]
