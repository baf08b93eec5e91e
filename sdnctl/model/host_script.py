# SPDX-License-Identifier: Apache-2.0
"""A shell script that asks a host's kernel for what OVSDB cannot tell: `sdnctl host check NAME --script | ssh HOST sh`.

It runs as root, with what a minimal system has (sh, ip, ovs-vsctl, ovs-appctl), and changes nothing unless it was
written to. What it asks for is what the lab of our tests sets: both read `SETTINGS`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sdnctl.errors import InvalidError

NETDEV: Final = "netdev"


@dataclass(frozen=True, slots=True)
class Setting:
    """A file under /proc/sys with a part for each device."""

    path: str
    value: int
    without: str
    """What goes wrong without it."""

    def of(self, device: str) -> str:
        """As `sysctl -w` takes it; with slashes, for names of devices may have dots."""
        return f"{self.path.format(device)}={self.value}"


SETTINGS: Final = (
    Setting("net/ipv4/conf/{}/arp_ignore", 8, "the kernel answers ARP of guests for the host's addresses"),
    Setting("net/ipv6/conf/{}/disable_ipv6", 1, "the kernel talks IPv6 to guests"),
    Setting("net/ipv4/conf/{}/forwarding", 0, "the kernel routes what guests send, past all filters"),
    Setting("net/ipv4/conf/{}/rp_filter", 1, "services of the host take datagrams of guests with forged sources"),
    Setting("net/ipv4/conf/{}/route_localnet", 0, "guests reach what listens on 127.0.0.1"),
)
"""For each device from which the userspace datapath gets copies of frames, while the kernel's stack gets them too."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the script has to know of the host."""

    name: str
    bridge: str
    datapath_type: str
    tunnel_ip: str
    """Empty: none."""
    tunnel_mtu: int
    """What the device with that address has to carry; 0: whatever."""


def script(asked: Asked, *, fix: bool = False) -> str:
    """The script; one that puts right what it can if `fix`."""
    for text in (asked.name, asked.bridge, asked.datapath_type, asked.tunnel_ip):
        if not re.fullmatch(r"[!-~]*", text):
            raise InvalidError(f"{text!r} cannot stand in a shell script.")
    words = {
        "name": asked.name,
        "bridge": asked.bridge,
        "type": asked.datapath_type,
        "tunnel_ip": asked.tunnel_ip,
        "tunnel_mtu": str(asked.tunnel_mtu),
        "fix": "yes" if fix else "no",
    }
    return _HEAD + "".join(_assignments(words)) + _FUNCTIONS + "\n".join(_device_function()) + _BODY


def _assignments(words: Mapping[str, str]) -> Iterator[str]:
    yield from (f"{name}={shlex.quote(value)}\n" for name, value in words.items())


def _device_function() -> Iterator[str]:
    yield "settings() {  # DEVICE VERDICT: what a device of guests has to have set"
    for one in SETTINGS:
        path = one.path.format("$1")
        yield f'    setting "{path}" {one.value} "$2" {shlex.quote(one.without)} "$1"'
    yield "}"


_HEAD: Final = """#!/bin/sh
# What this host's kernel has to have set for sdnctl. Written by `sdnctl host check`; run it as root.
"""

_FUNCTIONS: Final = r"""failed=0

tell() {  # VERDICT CHECK FINDING [REMEDY]
    printf '%-4s  %-10s  %s\n' "$1" "$2" "$3"
    if [ "$1" = fail ]; then failed=1; fi
    if [ -n "${4:-}" ]; then printf '                  cure: %s\n' "$4"; fi
}

cure() {  # VERDICT CHECK FINDING REMEDY: tells it, or puts it right and tells that
    if [ "$fix" = yes ] && sh -c "$4" >/dev/null 2>&1; then
        tell ok "$2" "cured: $3"
    else
        tell "$1" "$2" "$3" "$4"
    fi
}

setting() {  # PATH VALUE VERDICT WITHOUT DEVICE
    file=/proc/sys/$1 all=
    if [ ! -e "$file" ]; then return; fi
    have=$(cat "$file")
    case $1 in
    */arp_ignore | */rp_filter)
        # The kernel takes the greater of this and that of `all`.
        all=$(cat "/proc/sys/${1%/"$5"/*}/all/${1##*/}")
        if [ "$5" != default ] && [ "$all" -gt "$have" ]; then have=$all; fi ;;
    esac
    if [ "$have" = "$2" ]; then return; fi
    wrong=1
    if [ "$5" != default ] && [ "$have" = "$all" ] && [ "$(cat "$file")" = "$2" ]; then
        tell fail kernel "net.*.conf.all.${1##*/} is $all, which counts for $5: $4" \
            "sysctl -w ${1%/"$5"/*}/all/${1##*/}=0"
    else
        cure "$3" kernel "$5: ${1##*/} is $have: $4" "sysctl -w $1=$2"
    fi
}

"""

_BODY: Final = r"""

if [ "$(id -u)" != 0 ]; then
    tell fail root "this has to run as root"
    exit 1
fi
if ! ovs-vsctl --timeout=5 get Open_vSwitch . _uuid >/dev/null 2>&1; then
    tell fail openvswitch "ovs-vsctl reaches no ovsdb-server" "systemctl start openvswitch-switch"
    exit 1
fi

# --- devices: frames of guests and of networks come in by them, and the kernel sees these too
count=0
for one in $(ovs-vsctl list-br); do
    if [ "$(ovs-vsctl get Bridge "$one" datapath_type)" != netdev ]; then continue; fi
    for device in $(ovs-vsctl list-ifaces "$one"); do
        case $(ovs-vsctl get Interface "$device" type) in
        '""' | system | tap) ;;
        *) continue ;;
        esac
        if [ ! -e "/sys/class/net/$device" ]; then continue; fi
        count=$((count + 1))
        wrong=0
        settings "$device" fail
        addresses=$(ip -o addr show dev "$device" | awk '{ printf "%s%s", space, $4; space = " " }')
        if [ -n "$addresses" ]; then
            wrong=1
            cure fail addresses "$device: the host has $addresses on it, which guests talk to" \
                "ip addr flush dev $device"
        fi
        if [ "$wrong" = 0 ]; then tell ok kernel "$device"; fi
    done
done
if [ "$type" = netdev ]; then
    wrong=0
    settings default warn
    if [ "$wrong" = 0 ]; then tell ok kernel "devices to come"; fi
fi

# --- services: broadcasts from 0.0.0.0 reach them whatever the settings are
if [ "$count" -gt 0 ] && command -v ss >/dev/null; then
    ports=$(ss -Hlnu 2>/dev/null | awk '$4 ~ /^(0[.]0[.]0[.]0|[*]):/ { sub(/.*:/, "", $4); print $4 }' |
        sort -nu | tr '\n' ' ')
    if [ -z "$ports" ]; then
        tell ok services "no UDP service listens on all addresses"
    elif nft list chain inet sdnctl guests 2>/dev/null | grep -q 'iifname != .* drop'; then
        tell ok services "IP from devices without an address of the host's is dropped (nft, table inet sdnctl)"
    else
        own=$(ip -o addr show | awk '!known[$2]++ { printf "%s\"%s\"", comma, $2; comma = ", " }')
        rule="table inet sdnctl { chain guests {"
        rule="$rule type filter hook prerouting priority raw; iifname != { $own } drop; }; }"
        cure warn services "guests' broadcasts from 0.0.0.0 reach UDP ports of this host: $ports" "nft '$rule'"
    fi
fi

# --- bridges of the kernel
if ! ls -d /sys/class/net/*/bridge >/dev/null 2>&1; then set -- none; fi
for file in /proc/sys/net/bridge/bridge-nf-call-iptables /proc/sys/net/bridge/bridge-nf-call-ip6tables; do
    if [ "$#" = 0 ] && [ -e "$file" ] && [ "$(cat "$file")" != 0 ]; then
        cure warn bridges "the kernel filters what its bridges carry (${file##*/}): frames may be cut or lost there" \
            "sysctl -w net/bridge/${file##*/}=0"
    fi
done

# --- the tunnel
if [ -n "$tunnel_ip" ]; then
    device=$(ip -o addr show | awk -v ip="$tunnel_ip" '{ split($4, part, "/"); if (part[1] == ip) { print $2; exit } }')
    if [ -z "$device" ]; then
        tell fail tunnel "$tunnel_ip is on no device of this host" "ip addr add $tunnel_ip/PREFIX dev BRIDGE"
    elif [ $(($(cat "/sys/class/net/$device/flags") & 1)) = 0 ]; then
        cure fail tunnel "$device, which has $tunnel_ip, is down" "ip link set $device up"
    elif [ "$type" = netdev ] && [ "$(ovs-vsctl --if-exists get Bridge "$device" datapath_type)" != netdev ]; then
        tell fail tunnel "$tunnel_ip is on $device, which is no bridge with the datapath netdev" \
            "ovs-vsctl add-br BRIDGE -- set bridge BRIDGE datapath_type=netdev -- add-port BRIDGE CARD; move it there"
    elif [ "$type" = netdev ] && ! ovs-appctl ovs/route/show | grep -q "^Cached: $tunnel_ip/32 dev $device "; then
        tell fail tunnel "Open vSwitch has no route for $tunnel_ip" "ip link set $device down; ip link set $device up"
    elif [ "$(cat "/sys/class/net/$device/mtu")" -lt "$tunnel_mtu" ]; then
        tell fail tunnel "$device carries $(cat "/sys/class/net/$device/mtu") bytes, and tunnels need $tunnel_mtu" \
            "raise the MTU of the card, of $device and of the network between the hosts to $tunnel_mtu"
    else
        tell ok tunnel "$tunnel_ip on $device"
    fi
fi
exit $failed
"""
