# SPDX-License-Identifier: Apache-2.0
"""Options: who wins, what is refused and how the refusal reads, and what a bridge is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdnctl.config import (
    OPTIONS,
    AuthMode,
    Config,
    ConfigError,
    Endpoint,
    IdRange,
    PhysicalMtu,
    VlanRange,
    advertised,
    default_admin_token_file,
    load,
    settings,
    show,
)

SAMPLES = {
    "database": "postgresql://u:p@db.example.org/sdnctl",
    "auth": "token",
    "admin_token_file": "/etc/sdnctl/token",
    "api.listen": "0.0.0.0:9697",
    "api.max_body_bytes": "1048576",
    "api.client_timeout_s": "5",
    "api.wait_timeout_s": "7",
    "openflow.listen": "tcp:127.0.0.1:6654,unix:/run/of.sock",
    "openflow.advertise": "tcp:192.0.2.1:6653,tcp:192.0.2.2:6653",
    "tls.private_key": "/k",
    "tls.certificate": "/c",
    "tls.ca_certificate": "/a",
    "keystone.url": "https://id.example.org/v3",
    "keystone.username": "sdnctl",
    "keystone.password": "secret",
    "keystone.project_name": "services",
    "keystone.user_domain_name": "d1",
    "keystone.project_domain_name": "d2",
    "network.tenant_types": "vxlan",
    "network.vni_ranges": "1:10,20:30",
    "network.vlan_ranges": "physnet1:100:199,physnet2",
    "network.flat_networks": "physnet1,physnet2",
    "network.underlay_mtu": "9000",
    "network.physical_mtus": "physnet1:1600",
    "network.mac_prefix": "02:00:5e",
    "dhcp.lease_time_s": "3600",
    "dhcp.dns_domain": "cloud.example.org",
    "quota.network": "10",
    "quota.subnet": "-1",
    "quota.port": "500",
    "quota.ip_group": "7",
    "log.level": "debug",
    "log.format": "json",
}
TOGETHER = {key: SAMPLES[key] for key in ("tls.private_key", "tls.certificate", "tls.ca_certificate")}


def made(config: Config, key: str) -> str:
    value: object = config
    for name in key.split("."):
        value = getattr(value, name)
    return show(value)


def toml(values: dict[str, str]) -> str:
    lines = [f'{key} = "{text}"' for key, text in values.items() if "." not in key]
    for key, text in values.items():
        if "." in key:
            section, _, name = key.partition(".")
            lines += [f"[{section}]" if f"[{section}]" not in lines else "", f'{name} = "{text}"']
    return "\n".join(lines)


def refused(flags: dict[str, str], environ: dict[str, str] | None = None, file: Path | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(flags, environ or {}, str(file) if file else None)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_option_has_a_sample() -> None:
    assert set(SAMPLES) == set(OPTIONS)


@pytest.mark.parametrize("key", sorted(SAMPLES))
def test_flag_variable_and_file_mean_the_same(key: str, tmp_path: Path) -> None:
    """Whatever the source, the same text gives the same value."""
    values = {**(TOGETHER if key.startswith("tls.") else {}), key: SAMPLES[key]}
    file = tmp_path / "sdnctl.toml"
    file.write_text(toml(values))
    by_flag = load(values, {})
    assert made(by_flag, key) == SAMPLES[key]
    assert load({}, {OPTIONS[option].variable: text for option, text in values.items()}) == by_flag
    assert load({}, {}, str(file)) == by_flag
    assert load({}, {"SDNCTL_CONFIG": str(file)}) == by_flag


def test_names_of_the_contract() -> None:
    """Flags and variables that users rely on."""
    names = {(option.flag, option.variable) for option in OPTIONS.values()}
    assert {
        ("--database", "SDNCTL_DATABASE"),
        ("--api-listen", "SDNCTL_API_LISTEN"),
        ("--auth", "SDNCTL_AUTH"),
        ("--openflow-listen", "SDNCTL_OPENFLOW_LISTEN"),
        ("--openflow-advertise", "SDNCTL_OPENFLOW_ADVERTISE"),
        ("--admin-token-file", "SDNCTL_ADMIN_TOKEN_FILE"),
        ("--keystone-url", "SDNCTL_KEYSTONE_URL"),
        ("--quota-network", "SDNCTL_QUOTA_NETWORK"),
    } <= names


def test_defaults_of_the_contract() -> None:
    config = load({}, {}, is_root=True)
    assert config.database == "sqlite:////var/lib/sdnctl/sdnctl.db"
    assert config.admin_token_file == "/var/lib/sdnctl/admin-token"
    assert config.api.listen == Endpoint("127.0.0.1", 9696)
    assert config.openflow.listen == ("tcp:0.0.0.0:6653",)
    assert config.auth is AuthMode.TOKEN


def test_state_of_an_ordinary_user() -> None:
    config = load({}, {"XDG_STATE_HOME": "/home/u/state"}, is_root=False)
    assert config.database == "sqlite:////home/u/state/sdnctl/sdnctl.db"
    assert load({}, {"HOME": "/home/u"}, is_root=False).database == "sqlite:////home/u/.local/state/sdnctl/sdnctl.db"


def test_the_admin_token_is_next_to_the_database() -> None:
    assert default_admin_token_file("sqlite:////srv/x.db?timeout=5") == "/srv/admin-token"
    assert default_admin_token_file("sqlite:///x.db") == "admin-token"
    assert load({"database": "sqlite:////srv/x.db"}, {}).admin_token_file == "/srv/admin-token"


def test_precedence(tmp_path: Path) -> None:
    """Command line over environment over file over default, option by option."""
    file = tmp_path / "sdnctl.toml"
    file.write_text('[log]\nlevel = "error"\nformat = "json"\n[quota]\nnetwork = 1\nport = 1\n')
    config = load(
        {"quota.port": "3"}, {"SDNCTL_QUOTA_PORT": "2", "SDNCTL_QUOTA_NETWORK": "2", "SDNCTL_LOG_LEVEL": ""}, str(file)
    )
    assert (config.quota.port, config.quota.network, config.quota.subnet) == (3, 2, -1)
    assert (config.log.level, config.log.format) == ("error", "json"), "an empty variable is not set"
    sources = settings({"quota.port": "3"}, {"SDNCTL_QUOTA_NETWORK": "2"}, str(file))
    assert {key: setting.source for key, setting in sources.items()} == {
        "quota.port": "--quota-port",
        "quota.network": "$SDNCTL_QUOTA_NETWORK",
        "log.level": f"{file} line 2",
        "log.format": f"{file} line 3",
    }


def test_a_list_of_a_higher_source_replaces_that_of_a_lower(tmp_path: Path) -> None:
    file = tmp_path / "sdnctl.toml"
    file.write_text('[openflow]\nlisten = ["tcp:0.0.0.0:6653", "tcp:[::]:6654"]\n')
    assert load({}, {}, str(file)).openflow.listen == ("tcp:0.0.0.0:6653", "tcp:[::]:6654")
    flags = {"openflow.listen": ["unix:/run/of.sock"]}
    assert load(flags, {}, str(file)).openflow.listen == ("unix:/run/of.sock",)


def test_typed_values() -> None:
    network = load({key: text for key, text in SAMPLES.items() if key.startswith("network.")}, {}).network
    assert network.vni_ranges == (IdRange(1, 10), IdRange(20, 30))
    assert network.vlan_ranges == (VlanRange("physnet1", IdRange(100, 199)), VlanRange("physnet2"))
    assert network.physical_mtus == (PhysicalMtu("physnet1", 1600),)
    assert network.flat_networks == ("physnet1", "physnet2")


@pytest.mark.parametrize(
    ("key", "text", "reason"),
    (
        ("database", "mysql://db/x", "'mysql://db/x' is no database we know; write sqlite:////absolute/path.db"),
        ("database", "mysql://root:hunter2@db/x", "'mysql://root:***@db/x' is no database"),
        ("database", "sqlite://x.db", "is no database we know"),
        ("auth", "nonw", "'nonw' is none of none, token, keystone"),
        ("auth", "keystone", "keystone is not built yet; use token"),
        ("api.listen", "9696", "'9696' is not HOST:PORT"),
        ("api.listen", "::1:9696", "an IPv6 address goes in brackets"),
        ("api.listen", "127.0.0.1:99999", "'99999' is not a port number from 0 to 65535"),
        ("api.listen", "127.0.0.256:9696", "'127.0.0.256' in '127.0.0.256:9696' is not an IP address"),
        ("api.listen", "bad name:1", "is not HOST:PORT"),
        ("api.max_body_bytes", "8M", "'8M' is not a whole number from 1024 to 1073741824"),
        ("openflow.listen", "0.0.0.0:6653", "is none of tcp:HOST:PORT, ssl:HOST:PORT, unix:PATH"),
        ("openflow.listen", "unix:relative", "needs an absolute path of at most 107 bytes"),
        ("openflow.listen", "unix:/" + "x" * 107, "needs an absolute path of at most 107 bytes"),
        ("openflow.listen", "ssl:0.0.0.0:6653", "ssl: needs tls.private_key, tls.certificate and tls.ca_certificate"),
        ("openflow.listen", ",", "the list is empty, so no switch could connect"),
        ("openflow.advertise", "tcp:0.0.0.0:6653", "cannot be connected to; name an address"),
        ("openflow.advertise", "tcp:192.0.2.1:0", "cannot be connected to; name an address"),
        ("tls.private_key", "/k", "is of no use without tls.certificate and tls.ca_certificate"),
        ("keystone.url", "keystone", "'keystone' is no URL"),
        ("network.tenant_types", "gre", "'gre' is none of vxlan, vlan"),
        ("network.tenant_types", "vlan", "vlan needs tags to allot; give network.vlan_ranges too"),
        ("network.vni_ranges", "5", "'5' is not FIRST:LAST, for example 1:16777215"),
        ("network.vni_ranges", "1:16777216", "'16777216' is not a VNI from 1 to 16777215"),
        ("network.vni_ranges", "9:3", "'9:3' ends before it begins; write 3:9"),
        ("network.vni_ranges", "1:10,10:20", "1:10 and 10:20 overlap; make them apart or one"),
        ("network.vlan_ranges", "physnet1:0:10", "'0' is not a VLAN id from 1 to 4094"),
        ("network.vlan_ranges", "physnet1:10", "is neither PHYSNET:FIRST:LAST nor PHYSNET"),
        ("network.vlan_ranges", "p:1:10,p:5:7", "1:10 and 5:7 of p overlap"),
        ("network.vlan_ranges", "-x", "is no name for a physical network"),
        ("network.physical_mtus", "physnet1", "is not PHYSNET:MTU, for example physnet1:9000"),
        ("network.physical_mtus", "p:1500,p:9000", "p is listed 2 times; keep one"),
        ("network.underlay_mtu", "100", "'100' is not a whole number from 576 to 65535"),
        ("network.mac_prefix", "01:00:00", "would make multicast addresses"),
        ("network.mac_prefix", "fa163e", "is not the first three bytes of a MAC address"),
        ("dhcp.dns_domain", "a b", "is no domain name"),
        ("quota.port", "-2", "'-2' is not a whole number from -1 to 2147483647"),
        ("quota.port", "", "'' is not a whole number"),
        ("log.level", "loud", "'loud' is none of debug, info, warning, error"),
    ),
)
def test_refusal_names_option_source_and_remedy(key: str, text: str, reason: str) -> None:
    message = refused({key: text})
    assert message.startswith(f"{key} ({OPTIONS[key].flag}): ")
    assert reason in message
    if text:
        assert refused({}, {OPTIONS[key].variable: text}).startswith(f"{key} (${OPTIONS[key].variable}): ")


def test_auth_none_is_for_loopback_only() -> None:
    for listen in ("127.0.0.1:1", "127.8.9.1:1", "[::1]:1", "localhost:1"):
        assert load({"auth": "none", "api.listen": listen}, {}).auth is AuthMode.NONE
    for listen in ("0.0.0.0:9696", "[::]:9696", "192.0.2.1:9696", "api.example.org:9696"):
        assert f"must be on loopback, not {listen}" in refused({"auth": "none", "api.listen": listen})


@pytest.mark.parametrize(
    ("text", "message"),
    (
        (
            "\n[quota]\nnetworks = 5\n",
            "quota.networks ({file} line 3): there is no such option; did you mean quota.network?",
        ),
        ("databse = 'x'", "databse ({file} line 1): there is no such option; did you mean database?"),
        ("listen = 'x'", "listen ({file} line 1): there is no such option; did you mean api.listen?"),
        ("[apu]\nlisten = 'x'", "apu ({file} line 1): there is no such option; did you mean api"),
        ("zzzzzz = 1", "zzzzzz ({file} line 1): there is no such option; sdnctl serve --help lists all"),
        ("api = 5", "api ({file} line 1): is a table; write [api] and its options below"),
        ("[api]\n# listen = 1\nlisten = 9696", "api.listen ({file} line 3): '9696' is not HOST:PORT"),
        ("[api]\nlisten = ['a:1']", "api.listen ({file} line 2): one value is wanted, not a list"),
        ("[openflow]\nlisten = [['a']]", "openflow.listen ({file} line 2): a TARGET is wanted, not a table or list"),
        ("openflow.listen = ['tcp:x']", "openflow.listen ({file} line 1): 'x' is not HOST:PORT"),
        ("[quota]\nport = true", "quota.port ({file} line 2): 'true' is not a whole number"),
        ("[quota]\nport = 1.5", "quota.port ({file} line 2): '1.5' is not a whole number"),
        ("[quota]\n'port' = 2020-01-01", "quota.port ({file} line 2): '2020-01-01' is not a whole number"),
        ("auth = 'none'\n[api]\nlisten = '0.0.0.0:1'", "auth ({file} line 1): none makes everyone an admin"),
        ("[tls]\ncertificate = '/c'", "tls.certificate ({file} line 2): is of no use without tls.private_key"),
        ("x = [", "{file}: not TOML: "),
    ),
)
def test_file_refusals_name_the_line(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "sdnctl.toml"
    file.write_text(text)
    assert refused({}, file=file).startswith(message.replace("{file}", str(file)))


def test_unreadable_files(tmp_path: Path) -> None:
    assert "No such file or directory" in refused({}, file=tmp_path / "absent.toml")
    assert "Is a directory" in refused({}, file=tmp_path)
    file = tmp_path / "latin.toml"
    file.write_bytes(b"# \xe4")
    assert "is not UTF-8" in refused({}, file=file)


def test_misspelt_variables_are_refused_and_strangers_are_not() -> None:
    assert refused({}, {"SDNCTL_DATABSE": "x"}) == (
        "$SDNCTL_DATABSE: there is no such option; did you mean $SDNCTL_DATABASE?"
    )
    strangers = {"SDNCTL_PORT": "tcp://10.0.0.1:9696", "SDNCTL_SERVICE_HOST": "10.0.0.1", "SDNCTL_URL": "http://x"}
    assert load({}, strangers) == load({}, {})


def test_an_unusable_config_cannot_be_made() -> None:
    with pytest.raises(ConfigError, match="not built yet"):
        Config(database="sqlite:////x.db", auth=AuthMode.KEYSTONE)


# ------------------------------------------------------------------------------------------- what a bridge is told

ROUTES = {"192.0.2.9": "192.0.2.1", "2001:db8::9": "2001:db8::1", "127.0.0.5": "127.0.0.1"}


def route(towards: str) -> str:
    if towards == "198.51.100.1":
        raise OSError("no route")
    return ROUTES.get(towards, "")


@pytest.mark.parametrize(
    ("listen", "ovsdb", "told"),
    (
        # A wildcard is told with our address on the route to the host.
        (["tcp:0.0.0.0:6653"], "tcp:192.0.2.9:6640", "tcp:192.0.2.1:6653"),
        (["tcp:[::]:6653"], "tcp:192.0.2.9:6640", "tcp:192.0.2.1:6653"),
        (["tcp:[::]:6653"], "tcp:[2001:db8::9]:6640", "tcp:[2001:db8::1]:6653"),
        (["tcp:0.0.0.0:6653"], "tcp:[2001:db8::9]:6640", None),
        (["tcp:0.0.0.0:6653"], "tcp:198.51.100.1:6640", None),
        (["tcp:0.0.0.0:6653"], "tcp:203.0.113.1:6640", None),
        # A plain address is told as it is; loopback only to hosts that are reached by loopback.
        (["tcp:192.0.2.1:6654"], "tcp:203.0.113.1:6640", "tcp:192.0.2.1:6654"),
        (["tcp:127.0.0.1:6653"], "tcp:192.0.2.9:6640", None),
        (["tcp:127.0.0.1:6653"], "tcp:127.0.0.5:6640", "tcp:127.0.0.1:6653"),
        (["tcp:127.0.0.1:6653", "tcp:0.0.0.0:6654"], "tcp:192.0.2.9:6640", "tcp:192.0.2.1:6654"),
        # unix: means this machine.
        (["tcp:0.0.0.0:6653"], "unix:/run/db.sock", "tcp:127.0.0.1:6653"),
        (["tcp:[::]:6653"], "unix:/run/db.sock", "tcp:[::1]:6653"),
        (["tcp:0.0.0.0:6653", "unix:/run/of.sock"], "unix:/run/db.sock", "unix:/run/of.sock"),
        (["unix:/run/of.sock"], "tcp:192.0.2.9:6640", None),
        (["unix:/run/h1/of.sock", "unix:/run/h2/of.sock"], "unix:/run/h2/db.sock", "unix:/run/h2/of.sock"),
        # A host with keys gets the listener with keys.
        (["tcp:0.0.0.0:6653", "ssl:0.0.0.0:6654"], "ssl:192.0.2.9:6640", "ssl:192.0.2.1:6654"),
        (["ssl:0.0.0.0:6654", "tcp:0.0.0.0:6653"], "tcp:192.0.2.9:6640", "tcp:192.0.2.1:6653"),
        (["ssl:0.0.0.0:6654"], "tcp:192.0.2.9:6640", "ssl:192.0.2.1:6654"),
    ),
)
def test_what_a_bridge_is_told(listen: list[str], ovsdb: str, told: str | None) -> None:
    assert advertised(listen, ovsdb, route) == (() if told is None else (told,))


def test_the_real_route_to_loopback() -> None:
    assert advertised(["tcp:0.0.0.0:6653"], "tcp:127.0.0.1:6640") == ("tcp:127.0.0.1:6653",)
