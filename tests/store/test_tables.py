# SPDX-License-Identifier: Apache-2.0
"""What stands in the database: other versions of sdnctl have written it, and will read it."""

from __future__ import annotations

from sqlalchemy import text

from tests.store.cloud import ADMIN, Cloud


def test_lists_and_objects_are_compact_text(cloud: Cloud) -> None:
    """Nothing, if there is nothing in them."""
    host = cloud.host(bridge_mappings={"physnet2": "br-2", "physnet1": "br-1"})
    network = cloud.network()
    port = cloud.port(network, ADMIN, tags=["\u00e4", "b"], extra_dhcp_opts=[], security_filters={"ip": False})
    query = text("SELECT tags, extra_dhcp_opts, binding_profile, filters_off FROM ports WHERE id = :id")
    found = cloud.store._database.read(lambda connection: connection.execute(query, {"id": port["id"]}).one())
    assert tuple(found) == (r'["b","\u00e4"]', "", "", '["ip"]')
    query = text("SELECT bridge_mappings, controllers FROM hosts WHERE id = :id")
    found = cloud.store._database.read(lambda connection: connection.execute(query, {"id": host["id"]}).one())
    assert tuple(found) == ('{"physnet1":"br-1","physnet2":"br-2"}', "")
