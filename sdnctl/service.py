# SPDX-License-Identifier: Apache-2.0
"""The composition root of `sdnctl serve`: builds the parts, starts them in order, stops them in the other order.

What can be refused comes first (files, database, sockets), so that a start either works or says in one line why not.
Stopping leaves every switch as it is. This is the only module that knows all the others, and importing it needs
`runtime.install()` to have run.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from sdnctl import __version__, log, runtime
from sdnctl.api.app import Application
from sdnctl.api.auth import by_token, nobody_asked
from sdnctl.api.call import Limits
from sdnctl.api.server import Server
from sdnctl.apps.leases import Defaults
from sdnctl.config import AuthMode, Config, advertised
from sdnctl.errors import SdnctlError
from sdnctl.flows.pipeline import Table
from sdnctl.metrics import CONTENT_TYPE, HostSample, Metrics, watch_hub
from sdnctl.model.host import Host, HostFacts
from sdnctl.model.tls import Tls
from sdnctl.openflow.listener import Listener
from sdnctl.ovsdb import HostLink, Remotes
from sdnctl.store import Settings, Store
from sdnctl.sync.fabric import Fabric, Link

TABLE_NAMES: Final = {int(table): table.name.lower() for table in Table}
GC_THRESHOLDS: Final = (50_000, 20, 50)
"""Collections of cycles are rare, because next to nothing here makes any."""
DROPS_S: Final = 30.0
"""How often drop counters are read from the switches."""


class Service:
    """All parts of a running controller. Building it opens the database; `start` opens the doors."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._tls = _tls(config)
        self._remotes = Remotes()
        self.metrics = Metrics(__version__)
        self.store = Store.open(config.database, _settings(config))
        self.fabric = Fabric(
            self.store,
            self._make_link,
            self.metrics,
            advertise=self._controllers,
            leases=Defaults(lease_time_s=config.dhcp.lease_time_s, dns_domain=config.dhcp.dns_domain),
        )
        self.metrics.watch(self._samples, lambda: self.fabric.world.revision)
        self.listener = Listener(config.openflow.listen, self._tls, self.fabric.on_connection)
        application = Application(
            self.store,
            nobody_asked() if config.auth is AuthMode.NONE else by_token(self.store),
            fabric=self.fabric,
            limits=Limits(body=config.api.max_body_bytes, wait_s=config.api.wait_timeout_s),
            metrics=lambda: (self.metrics.text(runtime.give_way), CONTENT_TYPE),
            observe=self.metrics.request,
        )
        self.server = Server(
            application, config.api.listen.host, config.api.listen.port, timeout_s=config.api.client_timeout_s
        )
        self._watchers: list[runtime.Task] = []

    def start(self) -> None:
        """Open the doors, hosts first: what can be refused is refused before anything was touched."""
        if self._config.auth is AuthMode.TOKEN:
            self.store.ensure_admin_token(Path(self._config.admin_token_file))
        self.listener.start()
        self.fabric.start()
        self.server.start()
        # What is there now stays. Without this, each full collection looks at all of it, for tens of milliseconds.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        self._watchers = [
            runtime.spawn(watch_hub, self.metrics, runtime.sleep, runtime.monotonic),
            runtime.spawn(self._watch_drops),
        ]
        log.info(
            "serving",
            version=__version__,
            api=self.server.url,
            openflow=",".join(self.listener.targets),
            auth=self._config.auth.value,
            hosts=len(self.fabric.world.hosts),
            ports=len(self.fabric.world.ports),
            revision=self.fabric.world.revision,
        )

    def stop(self) -> None:
        """Finish requests that are under way, then end. Switches keep what they have."""
        self.server.stop()
        for watcher in self._watchers:
            watcher.stop()
        self.listener.stop()
        self.fabric.stop()
        self.store.close()
        log.info("stopped")

    # --- parts that need several others ---------------------------------------------------------------------

    def _make_link(
        self, host: Host, controllers: tuple[str, ...], on_facts: Callable[[HostFacts | None, str], None]
    ) -> Link:
        return HostLink(host, controllers, self._tls, on_facts, tables=TABLE_NAMES, remotes=self._remotes)

    def _controllers(self, host: Host) -> tuple[str, ...]:
        openflow = self._config.openflow
        return openflow.advertise or advertised(self.listener.targets or openflow.listen, host.ovsdb)

    def _samples(self) -> Iterator[HostSample]:
        for task in self.fabric.tasks.values():
            pending = task.pending_since()
            revision = self.fabric.world.revision if pending is None else task.applied_revision
            yield HostSample(task.host.name, task.state.value, task.wanted, len(task.tables), revision)

    def _watch_drops(self) -> None:
        while True:
            runtime.sleep(DROPS_S)
            for name, readings in self.fabric.read_drops():
                self.metrics.drops(name, readings)


def _tls(config: Config) -> Tls | None:
    if not config.has_tls:
        return None
    return Tls(config.tls.private_key, config.tls.certificate, config.tls.ca_certificate)


def _settings(config: Config) -> Settings:
    network = config.network
    vlan_ranges: dict[str, list[tuple[int, int]]] = {}
    for vlan in network.vlan_ranges:
        tags = vlan_ranges.setdefault(vlan.physical_network, [])
        if vlan.tags is not None:
            tags.append((vlan.tags.first, vlan.tags.last))
    return Settings(
        tenant_network_types=network.tenant_types,
        vni_ranges=tuple((ids.first, ids.last) for ids in network.vni_ranges),
        vlan_ranges={name: tuple(tags) for name, tags in vlan_ranges.items()},
        flat_physnets=network.flat_networks,
        underlay_mtu=network.underlay_mtu,
        default_physnet_mtu=network.underlay_mtu,
        physnet_mtu={one.physical_network: one.mtu for one in network.physical_mtus},
        mac_oui=network.mac_prefix,
        dns_domain=config.dhcp.dns_domain,
        quotas={
            "network": config.quota.network,
            "subnet": config.quota.subnet,
            "port": config.quota.port,
            "ip_group": config.quota.ip_group,
        },
    )


def run(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    log.configure(config.log.level, config.log.format)
    ended = runtime.Signal()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: runtime.spawn(ended.set))
    try:
        service = Service(config)
        service.start()
    except (SdnctlError, OSError) as error:
        sys.stderr.write(f"sdnctl serve: {error}\n")
        return os.EX_CONFIG
    ended.wait()
    service.stop()
    return os.EX_OK
