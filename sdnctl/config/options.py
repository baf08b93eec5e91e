# SPDX-License-Identifier: Apache-2.0
"""The options: each stands here once, with name, type, default, one-line help and check.

A field of `Config`, or of one of its sections, is an option. Its key is its path (`api.listen`), and from the key come
the flag (`--api-listen`), the environment variable (`SDNCTL_API_LISTEN`) and the place in the TOML file (`listen` in
`[api]`). What one value may be is checked by the option's `Kind`; what several may be together, when the `Config` is
made: an unusable one cannot exist.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sdnctl.config import values
from sdnctl.config.values import MAX_MTU, MIN_MTU, AuthMode, Endpoint, IdRange, Kind, PhysicalMtu, VlanRange
from sdnctl.errors import SdnctlError

PREFIX: Final = "SDNCTL_"


class ConfigError(SdnctlError):
    """An option that cannot be used: which (its `kind`), where it came from, why, and what would be right."""

    kind = ""


TEXT: Final = Kind("TEXT", values.plain)
FILE: Final = Kind("FILE", values.path)
QUOTA: Final = Kind("NUMBER", values.number(-1, 2**31 - 1))


def option(
    help_text: str,
    kind: Kind[Any],
    *,
    many: bool = False,
    secret: bool = False,
    default_text: str = "",
) -> dict[str, Any]:
    """Metadata that makes a dataclass field an option; `default_text` tells a default that depends on the machine."""
    return {"help": help_text, "kind": kind, "many": many, "secret": secret, "default_text": default_text}


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The REST API."""

    listen: Endpoint = field(
        default=Endpoint("127.0.0.1", 9696),
        metadata=option("address and port of the REST API", Kind("HOST:PORT", values.endpoint)),
    )
    max_body_bytes: int = field(
        default=8 * 2**20,
        metadata=option(
            "largest request body that is read; a larger one is answered 413", Kind("BYTES", values.number(1024, 2**30))
        ),
    )
    client_timeout_s: int = field(
        default=60,
        metadata=option(
            "how long a client may take to send a request, or stay silent between two",
            Kind("SECONDS", values.number(1, 3600)),
        ),
    )
    wait_timeout_s: int = field(
        default=30,
        metadata=option(
            "how long ?wait=applied waits for the hosts before it answers as things are",
            Kind("SECONDS", values.number(1, 3600)),
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFlow:
    """Where switches connect to."""

    listen: tuple[str, ...] = field(
        default=("tcp:0.0.0.0:6653",),
        metadata=option(
            "where switches connect to: tcp:HOST:PORT, ssl:HOST:PORT or unix:PATH",
            Kind("TARGET", values.listening_target),
            many=True,
        ),
    )
    advertise: tuple[str, ...] = field(
        default=(),
        metadata=option(
            "what a host's bridge is told as its controllers",
            Kind("TARGET", values.reachable_target),
            many=True,
            default_text="one of the listeners, per host",
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Files for ssl: listeners and ssl: hosts; all three or none."""

    private_key: str = field(default="", metadata=option("our private key, PEM", FILE))
    certificate: str = field(default="", metadata=option("our certificate, PEM", FILE))
    ca_certificate: str = field(
        default="", metadata=option("certificates of the authorities that sign the hosts', PEM", FILE)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Keystone:
    """The Keystone that validates tokens with auth keystone (which is not built yet)."""

    url: str = field(default="", metadata=option("URL of the identity service", Kind("URL", values.url)))
    username: str = field(default="", metadata=option("our service user", TEXT))
    password: str = field(
        default="",
        metadata=option("its password; other users of the machine can read it on a command line", TEXT, secret=True),
    )
    project_name: str = field(default="service", metadata=option("project of our service user", TEXT))
    user_domain_name: str = field(default="Default", metadata=option("domain of our service user", TEXT))
    project_domain_name: str = field(default="Default", metadata=option("domain of that project", TEXT))


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """What networks are made of."""

    tenant_types: tuple[str, ...] = field(
        default=("vxlan",),
        metadata=option(
            "types for networks whose maker names none, tried in this order: vxlan, vlan",
            Kind("TYPE", values.tenant_type),
            many=True,
        ),
    )
    vni_ranges: tuple[IdRange, ...] = field(
        default=(IdRange(1, 65535),),
        metadata=option(
            "VNIs to allot to vxlan networks, up to 16777215", Kind("FIRST:LAST", values.vni_range), many=True
        ),
    )
    vlan_ranges: tuple[VlanRange, ...] = field(
        default=(),
        metadata=option(
            "physical networks for vlan networks and the tags to allot there; PHYSNET alone: only tags an admin names",
            Kind("PHYSNET[:FIRST:LAST]", values.vlan_range),
            many=True,
        ),
    )
    flat_networks: tuple[str, ...] = field(
        default=("*",),
        metadata=option(
            "physical networks that may carry a flat network; *: any", Kind("PHYSNET", values.flat_network), many=True
        ),
    )
    underlay_mtu: int = field(
        default=1500,
        metadata=option(
            "MTU between the hosts; a vxlan network over IPv4 gets 50 less",
            Kind("BYTES", values.number(MIN_MTU, MAX_MTU)),
        ),
    )
    physical_mtus: tuple[PhysicalMtu, ...] = field(
        default=(),
        metadata=option(
            "MTUs of physical networks that differ from underlay_mtu",
            Kind("PHYSNET:MTU", values.physical_mtu),
            many=True,
        ),
    )
    mac_prefix: str = field(
        default="fa:16:3e",
        metadata=option("first three bytes of the MAC addresses we allot", Kind("XX:XX:XX", values.mac_prefix)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Dhcp:
    """What guests are told."""

    lease_time_s: int = field(
        default=86400, metadata=option("how long a lease lasts", Kind("SECONDS", values.number(60, 2**31 - 1)))
    )
    dns_domain: str = field(
        default="sdnctl.internal",
        metadata=option("domain of guests whose network has none", Kind("DOMAIN", values.domain)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """How many of each a project may have unless told otherwise; -1: any number."""

    network: int = field(default=-1, metadata=option("networks of one project", QUOTA))
    subnet: int = field(default=-1, metadata=option("subnets of one project", QUOTA))
    port: int = field(default=-1, metadata=option("ports of one project", QUOTA))
    ip_group: int = field(default=-1, metadata=option("IP groups of one project", QUOTA))


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What is written to standard error."""

    level: str = field(
        default="info",
        metadata=option(
            "least important events to write: debug, info, warning, error",
            Kind("LEVEL", values.choice("debug", "info", "warning", "error")),
        ),
    )
    format: str = field(
        default="text",
        metadata=option("text, a line for people, or json, an object", Kind("FORMAT", values.choice("text", "json"))),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything `sdnctl serve` can be told."""

    database: str = field(
        metadata=option(
            "where the state is: sqlite:////FILE or postgresql://USER:PASSWORD@HOST/DATABASE",
            Kind("URL", values.database),
            default_text="sdnctl.db in /var/lib/sdnctl, or in $XDG_STATE_HOME/sdnctl when not root",
        )
    )
    auth: AuthMode = field(
        default=AuthMode.TOKEN,
        metadata=option(
            "none, token or keystone; none makes everyone an admin and needs loopback",
            Kind("MODE", values.auth_mode),
        ),
    )
    admin_token_file: str = field(
        default="",
        metadata=option(
            "where the first start writes the admin's token, readable by its owner only",
            FILE,
            default_text="admin-token, next to the database",
        ),
    )
    api: Api = field(default_factory=Api)
    openflow: OpenFlow = field(default_factory=OpenFlow)
    tls: Tls = field(default_factory=Tls)
    keystone: Keystone = field(default_factory=Keystone)
    network: Networks = field(default_factory=Networks)
    dhcp: Dhcp = field(default_factory=Dhcp)
    quota: Quota = field(default_factory=Quota)
    log: Log = field(default_factory=Log)

    def __post_init__(self) -> None:
        if not self.admin_token_file:
            # The only way to fill in a field of a frozen value; nobody has seen it yet.
            object.__setattr__(self, "admin_token_file", default_admin_token_file(self.database))
        for key, reason in contradictions(self):
            raise ConfigError(f"{key}: {reason}", kind=key)

    @property
    def has_tls(self) -> bool:
        return bool(self.tls.private_key)


# ------------------------------------------------------------------------------------------- what must hold together


def contradictions(config: Config) -> Iterator[tuple[str, str]]:
    """(option, why and what would be right) of what does not go together."""
    if config.auth is AuthMode.NONE and not config.api.listen.is_loopback:
        at = config.api.listen
        yield "auth", f"none makes everyone an admin, so api.listen must be on loopback, not {at}; use auth token"
    if config.auth is AuthMode.KEYSTONE:
        yield "auth", "keystone is not built yet; use token"
    if not config.openflow.listen:
        yield "openflow.listen", "the list is empty, so no switch could connect; write for example tcp:0.0.0.0:6653"
    yield from _tls_contradictions(config)
    network = config.network
    if not network.tenant_types:
        yield "network.tenant_types", "the list is empty; write vxlan"
    if "vlan" in network.tenant_types and not any(vlan.tags for vlan in network.vlan_ranges):
        yield (
            "network.tenant_types",
            "vlan needs tags to allot; give network.vlan_ranges too, for example physnet1:100:199",
        )
    if "vxlan" in network.tenant_types and not network.vni_ranges:
        yield "network.vni_ranges", "the list is empty, so no vxlan network could be made; write for example 1:65535"
    yield from _overlaps("network.vni_ranges", [("", ids) for ids in network.vni_ranges])
    yield from _overlaps(
        "network.vlan_ranges", [(vlan.physical_network, vlan.tags) for vlan in network.vlan_ranges if vlan.tags]
    )
    names = [mtu.physical_network for mtu in network.physical_mtus]
    for name in names:
        if names.count(name) > 1:
            yield "network.physical_mtus", f"{name} is listed {names.count(name)} times; keep one"


def _tls_contradictions(config: Config) -> Iterator[tuple[str, str]]:
    files = {
        "tls.private_key": config.tls.private_key,
        "tls.certificate": config.tls.certificate,
        "tls.ca_certificate": config.tls.ca_certificate,
    }
    given = [key for key, file in files.items() if file]
    missing = [key for key, file in files.items() if not file]
    if given and missing:
        yield given[0], f"is of no use without {' and '.join(missing)}; give all three files or none"
    if missing and any(target.startswith("ssl:") for target in config.openflow.listen):
        yield "openflow.listen", "ssl: needs tls.private_key, tls.certificate and tls.ca_certificate"


def _overlaps(key: str, ranges: Sequence[tuple[str, IdRange]]) -> Iterator[tuple[str, str]]:
    ordered = sorted(ranges, key=lambda item: (item[0], item[1].first))
    for (name, low), (next_name, high) in itertools.pairwise(ordered):
        if name == next_name and high.first <= low.last:
            yield key, f"{low} and {high}{' of ' + name if name else ''} overlap; make them apart or one"


# ------------------------------------------------------------------------------------------------ defaults and paths


def state_directory(environ: Mapping[str, str], *, is_root: bool) -> Path:
    """Where state lives unless told otherwise."""
    if is_root:
        return Path("/var/lib/sdnctl")
    state_home = environ.get("XDG_STATE_HOME")
    return (
        Path(state_home) if state_home else Path(environ.get("HOME") or "~").expanduser() / ".local/state"
    ) / "sdnctl"


def default_database(environ: Mapping[str, str], *, is_root: bool) -> str:
    return f"sqlite:///{state_directory(environ, is_root=is_root)}/sdnctl.db"


def default_admin_token_file(database: str) -> str:
    """`admin-token` beside the SQLite file; for a database server in the state directory."""
    file = re.fullmatch(r"sqlite(?:\+\w+)?:///([^?]+).*", database)
    beside = Path(file[1]).parent if file else state_directory(os.environ, is_root=os.geteuid() == 0)
    return str(beside / "admin-token")


# ------------------------------------------------------------------------------------------------- options as a list


@dataclass(frozen=True, slots=True)
class Option:
    """One option, as flags, variables, documents and errors speak of it."""

    key: str
    help: str
    kind: Kind[Any]
    many: bool
    secret: bool
    default: str
    """For people; empty: none."""

    @property
    def flag(self) -> str:
        return "--" + self.key.replace(".", "-").replace("_", "-")

    @property
    def variable(self) -> str:
        return PREFIX + self.key.replace(".", "_").upper()

    @property
    def section(self) -> str:
        return self.key.rpartition(".")[0]

    @property
    def name(self) -> str:
        """The key inside its section."""
        return self.key.rpartition(".")[2]


def show(value: object) -> str:
    """A value as it would be written in the environment."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


SECTIONS: Final[Mapping[str, Any]] = {
    item.name: item.default_factory for item in dataclasses.fields(Config) if "kind" not in item.metadata
}
"""The dataclass of each section, by name."""


def _options() -> Iterator[Option]:
    for prefix, cls in {"": Config, **{f"{name}.": cls for name, cls in SECTIONS.items()}}.items():
        for item in dataclasses.fields(cls):
            about = item.metadata
            if "kind" in about:
                default = about["default_text"] or show(item.default)
                yield Option(prefix + item.name, about["help"], about["kind"], about["many"], about["secret"], default)


OPTIONS: Final[Mapping[str, Option]] = {found.key: found for found in _options()}
"""Every option by key; those without a section first."""
