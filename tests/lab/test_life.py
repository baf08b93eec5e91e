# SPDX-License-Identifier: Apache-2.0
"""However a lab ends, nothing of it stays; while it lives, nobody else's is touched."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from topologies import Lab, LabError, keeper

pytestmark = pytest.mark.net

ROOT = Path(__file__).parent.parent.parent

# A lab as somebody else's process has it: hosts, a guest with a DHCP client that overwrites its environment and with a
# program that never had one, a link in the machine's own namespace. Its name is printed once it is up.
OTHER = """
import sys, time
from topologies import Lab
lab = Lab(hosts=2, providers=("physnet1",), management=True)
lab.use_plain_switches()
vm = lab.guest("vm1", lab.hosts[0], plug=True)
vm.start("dhcpcd", "-4", "-B", "-t0", "eth0", log="dhcpcd.log")
sleeper = vm.start("env", "-i", "sleep", "1000", log="sleep.log")
while "sleep" not in open(f"/proc/{sleeper.pid}/comm").read():
    pass
print(lab.name, lab.env["SDNCTL_LAB"], flush=True)
time.sleep(1000)
"""


class OtherLab:
    """A lab of a process of its own."""

    def __init__(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", OTHER], stdout=subprocess.PIPE, cwd=ROOT)
        assert self.process.stdout is not None
        self.name, self.mark = self.process.stdout.readline().decode().split()
        self.directory = keeper.RUN / self.name
        found = processes_of(self.mark, self._namespaces())
        self._born = {pid: keeper.start_time(pid) for pid in found}

    def _namespaces(self) -> set[int]:
        found = {Path(f"/proc/{pid}/ns/net").stat().st_ino for pid in processes_of(self.mark, set())}
        return found - {Path("/proc/self/ns/net").stat().st_ino}

    @property
    def processes(self) -> set[int]:
        """Those of its processes at the beginning that still run. (A dead namespace's number soon means another.)"""
        return {pid for pid, started in self._born.items() if keeper.start_time(pid) == started}

    @property
    def shells(self) -> set[int]:
        """Mininet's, one in each namespace; they end when nobody talks to them any more."""
        return {pid for pid in self.processes if b"mininet:" in command_of(pid)}

    def keeper(self) -> int:
        return int((self.directory / "keeper").read_text().split()[0])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def processes_of(mark: str, namespaces: set[int]) -> list[int]:
    return list(keeper.members(mark, namespaces, lambda pid, _handle: pid))


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def wait_for_end(pid: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    select.select([handle], [], [], 10)
    os.close(handle)


@pytest.fixture
def other() -> Iterator[OtherLab]:
    lab = OtherLab()
    yield lab
    lab.kill()


def links() -> set[str]:
    return {path.name for path in Path("/sys/class/net").iterdir()}


def test_nothing_is_in_the_machines_own_namespace() -> None:
    """No link and no named namespace while a lab is up; afterwards no process and no directory."""
    before = links(), subprocess.check_output(["ip", "netns"])
    with Lab(hosts=2, providers=("physnet1",)) as lab:
        lab.guest("vm1", lab.hosts[0])
        mine = {link for link in links() if lab.name in link}
        assert (mine, subprocess.check_output(["ip", "netns"])) == (set(), before[1])
        mark = lab.env[keeper.VARIABLE]
        assert processes_of(mark, set())
    assert processes_of(mark, set()) == []
    assert not lab.directory.exists()
    lab.stop()


def test_a_killed_labs_keeper_ends_it(other: OtherLab) -> None:
    """kill -9 of the owner: daemons, shells, the client without an environment, the link, the directory."""
    assert len(other.processes) > 8
    assert f"lab{other.name}" in links()
    pid = other.keeper()
    other.kill()
    wait_for_end(pid)
    assert other.processes == set()
    assert not other.directory.exists()
    while f"lab{other.name}" in links():  # the kernel takes a namespace's links down a moment after its last process
        pass


def test_the_next_lab_cleans_up_when_the_keeper_died_too(other: OtherLab) -> None:
    """Also when the shells, which hold the namespaces, have ended by themselves before the next lab looks."""
    shells = other.shells
    assert len(shells) >= 4
    os.kill(other.keeper(), signal.SIGKILL)
    wait_for_end(other.keeper())
    other.kill()
    for shell in shells:
        wait_for_end(shell)
    assert other.processes
    assert other.directory.exists()
    with Lab(hosts=1):
        assert other.processes == set()
        assert not other.directory.exists()


def test_a_living_lab_is_left_alone(other: OtherLab) -> None:
    """Also when its keeper is gone."""
    before = other.processes
    with Lab(hosts=1):
        assert other.processes == before
    os.kill(other.keeper(), signal.SIGKILL)
    wait_for_end(other.keeper())
    with Lab(hosts=1):
        assert other.processes == before


def test_a_recycled_process_number_is_no_owner(tmp_path: Path) -> None:
    record = tmp_path / "owner"
    record.write_text(f"{os.getpid()} {keeper.start_time(os.getpid())}\n")
    assert keeper.is_running(record)
    record.write_text(f"{os.getpid()} 1\n")
    assert not keeper.is_running(record)


def test_a_recycled_namespace_number_is_not_enough(tmp_path: Path) -> None:
    """A process of somebody else's, in a namespace whose number a dead lab had: only the right cookie ends it."""
    stranger = subprocess.Popen(["unshare", "--net", "sleep", "1000"], env={"PATH": os.environ["PATH"]})
    own = Path("/proc/self/ns/net").stat().st_ino
    while (inode := Path(f"/proc/{stranger.pid}/ns/net").stat().st_ino) == own:
        pass
    ask = "import os, sys; from topologies import keeper; print(keeper.cookie_of(os.open(sys.argv[1], os.O_RDONLY)))"
    argv = [sys.executable, "-c", ask, f"/proc/{stranger.pid}/ns/net"]
    cookie = int(subprocess.check_output(argv, cwd=ROOT))
    try:
        for wrong in (f"{inode} {cookie + 1}\n", f"{inode + 1} {cookie}\n", ""):
            end_dead_lab(tmp_path / "lab", wrong)
            assert stranger.poll() is None
        end_dead_lab(tmp_path / "lab", f"{inode} {cookie}\n")
        assert stranger.wait(timeout=10) == -signal.SIGKILL
    finally:
        stranger.kill()
        stranger.wait()


def end_dead_lab(directory: Path, namespaces: str) -> None:
    """What the next lab does with a directory that it finds."""
    directory.mkdir()
    (directory / keeper.NAMESPACES).write_text(namespaces)
    keeper.start(directory, "nobody's mark", stdin=subprocess.DEVNULL).wait()
    assert not directory.exists()


def test_labs_side_by_side_do_not_meet() -> None:
    """The same names and addresses in two labs of one process."""
    with Lab(hosts=1) as one, Lab(hosts=1) as two:
        guests = []
        for lab, address in ((one, "10.0.0.1/24"), (one, "10.0.0.2/24"), (two, "10.0.0.1/24")):
            lab.use_plain_switches()
            guests.append(lab.guest(f"vm{len(lab.guests)}", lab.hosts[0], addresses=(address,), plug=True))
        assert guests[0].reaches("10.0.0.2")
        assert not guests[2].reaches("10.0.0.2", timeout_s=0.3)


def test_a_lab_that_does_not_start_leaves_nothing() -> None:
    before = set(keeper.RUN.iterdir())
    with pytest.raises(LabError, match="12 letters"):
        Lab(hosts=1, providers=("a-name-that-is-too-long",))
    assert {path for path in keeper.RUN.iterdir() if path.name.startswith(str(os.getpid()))} <= before


def test_a_lab_started_by_hand_stays_up_until_it_is_put_down() -> None:
    argv = [sys.executable, "-W", "ignore", "-m", "topologies.one_host", "--plain", "--keep"]
    said = subprocess.check_output(argv, cwd=ROOT, text=True)
    name = said.split()[1].rstrip(",")
    door = keeper.RUN / name / "in"
    try:
        assert "sdnctl host add h1 --ovsdb unix:" in said
        done = subprocess.run([door, "vm1", "ping", "-c1", "-W2", "10.0.0.2"], capture_output=True, check=False)
        assert done.returncode == 0, done
        assert b"br-int" in subprocess.check_output([door, "h1", "ovs-vsctl", "show"])
    finally:
        told = subprocess.check_output([sys.executable, "-m", "topologies.down", name], cwd=ROOT, text=True)
    assert told == f"ended {name}\n"
    assert not door.parent.exists()


def test_a_management_network_leads_to_every_database() -> None:
    with Lab(hosts=2, management=True) as lab:
        for host in lab.hosts:
            remote = host.listen("tcp")
            shown = subprocess.check_output(["ovs-vsctl", f"--db={remote}", "get", "Open_vSwitch", ".", "external_ids"])
            assert f"hostname={host.name}".encode() in shown
        assert lab.hosts[0].try_run("ping", "-c1", "-W1", lab.management_ip).returncode == 0
