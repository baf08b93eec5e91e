# SPDX-License-Identifier: Apache-2.0
"""`sdnctl host check NAME`: what a host has and lacks; with `--script` a script that asks the host's kernel as well."""

from __future__ import annotations

import argparse
import sys

from sdnctl.api.resources import BY_NAME
from sdnctl.cli.client import CommandError, Object, UsageError
from sdnctl.cli.session import Session, add_connection, add_output
from sdnctl.model.host_script import Asked, script

HELP = "What a host has and lacks, each with what cures it; status 1 if something fails."
COLUMNS = ("verdict", "check", "finding", "remedy")


def configure(parser: argparse.ArgumentParser) -> None:
    add_connection(parser)
    parser.add_argument("reference", metavar="HOST", help="its name or id")
    parser.add_argument(
        "--script",
        action="store_true",
        help="print a shell script that asks the host's kernel: sdnctl host check NAME --script | ssh NAME sh",
    )
    parser.add_argument("--fix", action="store_true", help="with --script: one that also sets what can be set")
    add_output(parser)
    parser.set_defaults(run=check)


def check(session: Session) -> int:
    arguments, client, resource = session.arguments, session.client, BY_NAME["host"]
    if arguments.fix and not arguments.script:
        raise UsageError("--fix is for --script: sdnctl itself changes nothing on a host's kernel")
    host = client.show(resource, arguments.reference)
    found = client.get(client.path(resource, str(host["id"]), "check")).get("check")
    if not isinstance(found, dict) or not isinstance(found.get("findings"), list):
        raise CommandError("the answer holds no check; is this the API of sdnctl?")
    if arguments.script:
        sys.stdout.write(script(_asked(host, found), fix=arguments.fix))
        return 0
    findings: list[Object] = found["findings"]
    session.print_many(findings, COLUMNS, session.columns(COLUMNS), "findings")
    return int(any(one["verdict"] == "fail" for one in findings))


def _asked(host: Object, found: Object) -> Asked:
    needs = found.get("needs")
    mtu = needs.get("tunnel_mtu") if isinstance(needs, dict) else 0
    return Asked(
        name=str(host["name"]),
        bridge=str(host["bridge"]),
        datapath_type=str(host["datapath_type"]),
        tunnel_ip=str(host["tunnel_ip"] or ""),
        tunnel_mtu=mtu if isinstance(mtu, int) else 0,
    )
