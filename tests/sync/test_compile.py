# SPDX-License-Identifier: Apache-2.0
"""What many hosts have alike is computed once and kept once."""

from __future__ import annotations

import gc

from sdnctl.sync.compile import Compiler, compile_view
from sdnctl.sync.units import Unit, UnitKind
from tests.sync import clouds


def test_a_neighbour_is_the_same_on_its_own_host_and_elsewhere() -> None:
    world, _ = clouds.busy_cloud()
    compiler, unit = Compiler(), Unit(UnitKind.NEIGHBOUR, "p1")
    here, there = (compiler.compile(world.view(host_id, unit)) for host_id in ("id-h1", "id-h2"))
    assert here.flows
    assert here is there


def test_sharing_changes_nothing() -> None:
    world, _ = clouds.busy_cloud()
    compiler = Compiler()
    for host_id in ("id-h1", "id-h2", "id-h1"):
        for unit in world.units(host_id):
            view = world.view(host_id, unit)
            assert compiler.compile(view) == compile_view(view)


def test_what_no_host_has_any_more_is_forgotten() -> None:
    world, _ = clouds.busy_cloud()
    compiler, unit = Compiler(), Unit(UnitKind.NEIGHBOUR, "p1")
    kept = compiler.compile(world.view("id-h1", unit))
    assert len(compiler) == 1
    del kept
    gc.collect()
    assert len(compiler) == 0
