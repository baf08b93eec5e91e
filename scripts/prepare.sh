#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs what is missing, and nothing else: system packages, then a virtual environment with the pinned versions.
#
#   scripts/prepare.sh demo    what the demo needs
#   scripts/prepare.sh test    that, and what the tests need besides
#
# A second run finds everything there and takes a fraction of a second. No service is started: packages that bring one
# (Open vSwitch, PostgreSQL) are installed while a policy-rc.d says no, because lab and tests start their own privately.

set -euo pipefail
cd "$(dirname "$0")/.."

purpose=${1:-test}
venv=${VENV:-.venv}

say() { printf '== %s\n' "$*"; }
die() { printf 'prepare: %s\n' "$*" >&2; exit 1; }

# --------------------------------------------------------------------------------------------------- system packages

# Each line: a program (or a pattern of a path) that tells whether it is there, then the packages that may bring it.
demo_needs() {
  cat <<'NEEDS'
ovs-vswitchd        openvswitch-switch
ovsdb-server        openvswitch-switch
mnexec              mininet
ip                  iproute2
ping                iputils-ping
dhclient            isc-dhcp-client
ethtool             ethtool
sysctl              procps
NEEDS
}
test_needs() {
  demo_needs
  cat <<'NEEDS'
udhcpc              udhcpc
dhcpcd              dhcpcd-base dhcpcd dhcpcd5
iperf3              iperf3
keepalived          keepalived
tcpdump             tcpdump
nft                 nftables
openssl             openssl
/usr/lib/postgresql/*/bin/initdb   postgresql
NEEDS
}

is_there() {
  case $1 in
    /*) compgen -G "$1" >/dev/null ;;
    *) command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ] ;;
  esac
}

made=()
unmake() { local path; for path in "${made[@]}"; do if [ -d "$path" ]; then rmdir "$path"; else rm -f "$path"; fi; done; }
trap unmake EXIT

updated=
apt_update() {
  [ -n "$updated" ] && return
  say "apt-get update"
  apt-get -qq update || say "apt-get update failed; going on with the lists that are there"
  updated=yes
}

may_install() { apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [^(]'; }

apt_install() {
  command -v apt-get >/dev/null || die "please install: $* (no apt-get here)"
  [ "$(id -u)" = 0 ] || die "please install as root: $*"
  apt_update
  say "apt-get install $*"
  local policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    made+=("$policy")
  fi
  # PostgreSQL's package would make a database cluster, which the next boot would start; the tests make their own.
  local clusters=/etc/postgresql-common/createcluster.d
  if [ ! -e "$clusters" ] && [[ " $* " == *" postgresql "* ]]; then
    mkdir -p "$clusters"
    echo 'create_main_cluster = false' >"$clusters/none.conf"
    made+=("$clusters/none.conf" "$clusters")
  fi
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" </dev/null >/dev/null ||
    die "apt-get could not install: $*"
}

install_packages() {
  local program candidates candidate missing=()
  while read -r program candidates; do
    is_there "$program" && continue
    command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] && apt_update
    for candidate in $candidates; do
      if may_install "$candidate"; then break; fi
    done
    case " ${missing[*]-} " in *" $candidate "*) ;; *) missing+=("$candidate") ;; esac
  done < <("${purpose}_needs")
  [ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"
}

# ------------------------------------------------------------------------------------------------ virtual environment

# A Python of at least 3.11 that can make virtual environments.
find_python() {
  local python
  for python in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
    [ -n "$python" ] && command -v "$python" >/dev/null || continue
    if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$python"
      return
    fi
  done
  return 1
}

install_python() {
  apt_update
  if python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    apt_install python3-venv
    return
  fi
  local version
  for version in 3.13 3.12 3.11; do
    if may_install "python$version-venv"; then
      apt_install "python$version" "python$version-venv"
      return
    fi
  done
  if may_install python3-venv; then apt_install python3 python3-venv; fi
}

make_venv() {
  local extra stamp python wanted
  case $purpose in demo) extra=lab ;; *) extra=test ;; esac
  stamp=$venv/.sdnctl-prepared
  wanted="$extra $(cat setup.py pyproject.toml constraints.txt | sha256sum)"
  if [ -f "$stamp" ] && [ -x "$venv/bin/python" ]; then
    case $(cat "$stamp") in
      "$wanted" | "test ${wanted#* }") return ;;
    esac
  fi
  if [ ! -x "$venv/bin/python" ]; then
    python=$(find_python) || { install_python; python=$(find_python); } || die "Python 3.11 or newer is needed"
    say "virtual environment in $venv with $("$python" -V)"
    rm -rf "$venv"
    "$python" -m venv "$venv"
  fi
  say "Python packages for '$extra' into $venv"
  "$venv/bin/python" -m pip install -qq --disable-pip-version-check -c constraints.txt -e ".[$extra]" </dev/null
  printf '%s\n' "$wanted" >"$stamp"
}

case $purpose in demo | test) ;; *) die "say demo or test" ;; esac
install_packages
make_venv
