# SPDX-License-Identifier: Apache-2.0
"""Keeps one integration bridge as wished, over one connection, and says what is there.

In each turn it takes what changed, sets up the bridge, makes and removes plugs, writes marks, and publishes, each only
as far as there is something to do. One transaction is under way at a time.

What we were asked to change is changed at once. What somebody else changed is put right at most once a second, so that
two who disagree do not turn the database into a battlefield. Marks are gathered for a quarter of a second: who waits
for one can, and each write makes ovs-vswitchd look at all its ports. What the server refuses is tried again later, and
of many plugs the one that it refuses is found by halving: the others do not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ovsdbapp.backend.ovs_idl import command, transaction

from sdnctl import runtime
from sdnctl.model.host import HostFacts, PlugSpec
from sdnctl.model.ids import Ofport
from sdnctl.ovsdb import ops
from sdnctl.ovsdb.goal import (
    INSTALLED,
    Goal,
    patch_names,
    shown,
    tunnel_name,
)
from sdnctl.ovsdb.idl import HostIdl
from sdnctl.ovsdb.ops import Op
from sdnctl.ovsdb.plan import Edit, plan_plug, plan_set_up
from sdnctl.ovsdb.replica import Replica

REPAIR_S: Final = 1.0
"""Between two corrections of what somebody else changed."""

RETRY_S: Final = 10.0
"""Before what the server refused is tried again."""

MARK_S: Final = 0.25
"""Between two transactions with marks. After each, ovs-vswitchd is busy for 30 ms beside 1 000 ports."""

BATCH: Final = 500
"""Interfaces to a transaction at most."""

PROBLEMS_SHOWN: Final = 10

TRANSACTION_TIMEOUT_S: Final = 30

NEVER: Final = float("inf")

OnFacts = Callable[[HostFacts | None, str], None]


@dataclass(slots=True)
class Wishes:
    """What outlives a connection."""

    goal: Goal
    plugs: Mapping[str, PlugSpec] | None = None
    """None until they have been stated: then nothing of ours is known to be too much."""


class Keeper:
    """See above. Lives as long as its connection."""

    def __init__(
        self, replica: Replica, wishes: Wishes, serial: Callable[[], str], on_facts: OnFacts, wake: Callable[[], None]
    ) -> None:
        self._replica = replica
        self._wishes = wishes
        self._serial = serial
        self._on_facts = on_facts
        self._wake = wake
        self._view = replica.add_view(wishes.goal.host.bridge)
        self._is_set_up_wished = True
        self._set_up_problems: list[str] = []
        self._wished: dict[str, None] = {}
        """Names of plugs to look at, because the wish changed."""
        self._touched: dict[str, None] = {}
        """Names of plugs to look at, because the interface changed."""
        self._refused: dict[str, None] = {}
        self._plug_problems: dict[str, str] = {}
        self._batch = BATCH
        self._marks: dict[str, int] = {}
        self._mark_at = 0.0
        self._repair_at = 0.0
        self._retry_at = NEVER
        self._wake_at = NEVER
        self._facts: HostFacts | None = None
        self._is_started = False

    def close(self) -> None:
        self._replica.remove_view(self._view)

    # --- called by other tasks --------------------------------------------------------------------------------

    def configure(self) -> None:
        """The goal is another one."""
        self._is_set_up_wished = True
        self._call()

    def want(self, old: Mapping[str, PlugSpec] | None, new: Mapping[str, PlugSpec]) -> None:
        """The wished plugs are `new` ones."""
        if old is None:
            self._look_at_all(new)
        else:
            self._wished |= dict.fromkeys(
                name for name, spec in new.items() if (had := old.get(name)) is not spec and had != spec
            )
            self._wished |= dict.fromkeys(name for name in old if name not in new)
        self._call()

    def set_installed(self, revisions: Mapping[str, int]) -> None:
        here = self._view.here
        self._marks |= {name: revision for name, revision in revisions.items() if name in here}
        self._call()

    def _call(self) -> None:
        self._view.is_due = True
        self._wake()

    # --- called by the connection's task ----------------------------------------------------------------------

    @property
    def due_at(self) -> float:
        """When `turn` has something to do, if nothing changes."""
        return 0.0 if self._view.is_due else min(self._wake_at, self._retry_at)

    def turn(self) -> None:
        """Do what is to do, up to one transaction; `due_at` says whether there is more."""
        view, plugs = self._view, self._wishes.plugs or {}
        self._replica.refresh()
        view.is_due = False
        if not self._is_started:
            self._is_started = True
            self._look_at_all(plugs)
        touched, view.touched = view.touched, set()
        self._touched |= dict.fromkeys(name for name in touched if name in plugs or name in view.plugs)
        if not touched.isdisjoint(_set_up_names(self._wishes.goal)):
            view.is_set_up_unchecked = True
        self._retry()
        self._wake_at = NEVER
        if self._set_up() or self._make_plugs() or self._write_marks():
            view.is_due = True
        self._publish()

    def _look_at_all(self, plugs: Mapping[str, PlugSpec]) -> None:
        self._wished |= dict.fromkeys(plugs) | dict.fromkeys(self._view.plugs)

    def _retry(self) -> None:
        if runtime.monotonic() >= self._retry_at:
            self._retry_at = NEVER
            self._is_set_up_wished = True
            self._wished |= self._refused
            self._refused = {}

    def _may_repair(self) -> bool:
        """Whether what others changed may be put right now; if not, when."""
        now = runtime.monotonic()
        if now < self._repair_at:
            self._wake_at = min(self._wake_at, self._repair_at)
            return False
        self._repair_at = now + REPAIR_S
        return True

    # --- the bridge -------------------------------------------------------------------------------------------

    def _set_up(self) -> bool:
        replica, view, goal = self._replica, self._view, self._wishes.goal
        if not self._is_set_up_wished and not view.is_set_up_unchecked:
            return False
        if self._is_set_up_wished:
            self._watch()
        planned, problems = plan_set_up(goal, replica.state(view, _set_up_names(goal)), self._serial())
        if planned and not self._is_set_up_wished and not self._may_repair():
            return False
        self._is_set_up_wished = view.is_set_up_unchecked = False
        if planned and (refusal := self._commit(planned)):
            problems.append(f"bridge {shown(goal.host.bridge)} could not be set up: {refusal}")
        self._set_up_problems = problems
        return bool(planned)

    def _watch(self) -> None:
        """Be told of everything whose name matters, also when it is on other bridges."""
        goal = self._wishes.goal
        providers = (provider for _, provider in goal.host.bridge_mappings)
        self._replica.watch(self._view, (*_set_up_names(goal), *providers, *self._plug_problems))

    # --- plugs ------------------------------------------------------------------------------------------------

    def _make_plugs(self) -> bool:
        if self._wishes.plugs is None:
            self._touched = {}
            return False
        if not self._replica.has_bridge(self._view.bridge):
            # The server would accept ports that are on no bridge, and forget them at once.
            return False
        is_repair = not self._wished
        source = self._touched if is_repair else self._wished
        batch = [name for name, _ in zip(source, range(self._batch), strict=False)]
        if not batch:
            return False
        for name in batch:
            del source[name]
        problems, planned = self._plan_plugs(batch)
        if planned and is_repair and not self._may_repair():
            self._touched |= dict.fromkeys(batch)
            return False
        refusal = self._commit(planned) if planned else ""
        if refusal and len(batch) > 1:
            self._wished |= dict.fromkeys(batch)
            self._batch = len(batch) // 2
            return True
        if refusal:
            problems[batch[0]] = f"interface {shown(batch[0])} could not be made or removed: {refusal}"
            self._refused[batch[0]] = None
        self._batch = min(2 * self._batch, BATCH)
        if problems or not self._plug_problems.keys().isdisjoint(batch):
            for name in batch:
                self._plug_problems.pop(name, None)
            self._plug_problems |= problems
            self._watch()
        return True

    def _plan_plugs(self, names: Iterable[str]) -> tuple[dict[str, str], list[Op]]:
        """What stands in the way by name, and the operations."""
        edit, problems = Edit(), {}
        for name in runtime.in_slices(names):
            wishes, row = self._wishes, self._replica.interface(name)
            spec = (wishes.plugs or {}).get(name)
            if problem := plan_plug(edit, name, spec, row, wishes.goal):
                problems[name] = problem
        return problems, edit.finish()

    # --- marks ------------------------------------------------------------------------------------------------

    def _write_marks(self) -> bool:
        now = runtime.monotonic()
        if not self._marks or now < self._mark_at:
            self._wake_at = min(self._wake_at, self._mark_at if self._marks else NEVER)
            return False
        self._mark_at = now + MARK_S
        here = self._view.here
        marks, self._marks = self._marks, {}
        planned = []
        for name, revision in marks.items():
            row_id = self._replica.interface_id(name)
            if row_id is not None and name in here and here[name].installed != str(revision):
                mark = ops.set_keys("external_ids", {INSTALLED: str(revision)})
                planned.append(ops.mutate("Interface", row_id, mark))
        if planned:
            # Refused or not: the next facts say what is written.
            self._commit(planned)
        return bool(planned)

    # --- both ways --------------------------------------------------------------------------------------------

    def _commit(self, planned: list[Op]) -> str:
        """Send one transaction and wait for its end; why the server refused it, if it did."""
        api = _Api(self._replica.idl)
        txn = transaction.Transaction(api, api, check_error=True, log_errors=False)
        txn.add(_Operations(api, planned))
        try:
            txn.do_commit()
        except RuntimeError as error:
            self._retry_at = runtime.monotonic() + RETRY_S
            return str(error)[:300]
        return ""

    def _publish(self) -> None:
        replica, view, goal, old = self._replica, self._view, self._wishes.goal, self._facts
        datapath_id = replica.datapath_id(view.bridge)
        if datapath_id is None:
            self._facts = None
            waiting = f"bridge {shown(view.bridge)} has no datapath id yet: is ovs-vswitchd running?"
            self._on_facts(None, "; ".join((*self._set_up_problems, waiting)))
            return
        is_same = old is not None and not view.is_here_changed
        interfaces = old.interfaces if old is not None and is_same else dict(view.here)
        view.is_here_changed = False
        problems = [*self._set_up_problems, *_interface_problems(goal, interfaces), *self._shown_plug_problems()]
        tunnel = interfaces.get(tunnel_name(goal.host.bridge))
        facts = HostFacts(
            datapath_id=datapath_id,
            serial=replica.serial(view.bridge),
            interfaces=interfaces,
            tunnel_ofport=tunnel.ofport if tunnel is not None and tunnel.is_ours else None,
            patch_ofports=_patch_ofports(goal, interfaces),
            problems=tuple(problems),
        )
        if facts != old:
            self._facts = facts
            self._on_facts(facts, "")

    def _shown_plug_problems(self) -> list[str]:
        """Of many problems of one kind the first few."""
        problems = [self._plug_problems[name] for name in sorted(self._plug_problems)[:PROBLEMS_SHOWN]]
        if len(self._plug_problems) > PROBLEMS_SHOWN:
            problems.append(f"and {len(self._plug_problems) - PROBLEMS_SHOWN} more interfaces")
        return problems


@dataclass(frozen=True, slots=True)
class _Api:
    """What the library's transactions need of its connection class, which we have no use for.

    That one has two threads for each host, keeps the first host's connection in a class attribute for all, and does
    not tell when a connection is lost.
    """

    idl: HostIdl
    timeout: int = TRANSACTION_TIMEOUT_S


class _Operations(command.BaseCommand):
    """Operations as they are sent."""

    def __init__(self, api: _Api, planned: list[Op]) -> None:
        super().__init__(api)
        self._planned = planned

    def run_idl(self, txn: Any) -> None:
        for op in self._planned:
            txn.add_op(op)


def _set_up_names(goal: Goal) -> list[str]:
    """All names that setting up the bridge may want to use."""
    host = goal.host
    names = [host.bridge, tunnel_name(host.bridge)]
    for physnet, provider in host.bridge_mappings:
        names += patch_names(host.bridge, physnet, provider)
    return names


def _patch_ofports(goal: Goal, interfaces: Mapping[str, Any]) -> dict[str, Ofport]:
    found = {}
    for physnet, provider in goal.host.bridge_mappings:
        patch = interfaces.get(patch_names(goal.host.bridge, physnet, provider)[0])
        if patch is not None and patch.is_ours and patch.ofport is not None:
            found[physnet] = patch.ofport
    return found


def _interface_problems(goal: Goal, interfaces: Mapping[str, Any]) -> list[str]:
    """What ovs-vswitchd says of the tunnel port and the patch ports."""
    problems = []
    for name in _set_up_names(goal):
        interface = interfaces.get(name)
        if interface is not None and interface.is_ours and interface.error:
            problems.append(f"interface {shown(name)} does not work: {interface.error}")
    return problems
