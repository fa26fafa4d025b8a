# SPDX-License-Identifier: GPL-2.0-or-later
"""How --target names a machine, and what the machine says of itself."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from common.errors import UsageError
from kconfigs import target_facts
from kconfigs.fetch import fetch
from kconfigs.kconfig import Config
from kconfigs.kernel_options import refuse_careless_target, requested_kernels
from kconfigs.planned_kernels import plan
from kconfigs.target_facts import TargetFacts, ask, effective
from kconfigs.target_machine import TargetMachine, parse_target
from suites.harness.guests import fakes

ANSWERS = {
    "release": "6.1.0-56-cloud-amd64",
    "arch": "x86_64",
    "build": "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)",
    "arguments": "console=ttyS0 lsm=yama",
    "status": "CapBnd:\t000001ffffffffff\nNoNewPrivs:\t0\nSeccomp:\t0",
    "last-capability": "40",
    "ids": "         0          0 4294967295",
    "pid-namespace": "pid:[4026531836]",
    "selinux": "",
    "confined": "unconfined",
    "audit": "",
    "config": "CONFIG_SECCOMP=y\nCONFIG_SECURITY_YAMA=y",
}
"""What an ordinary machine says."""


@pytest.mark.parametrize(
    ("text", "host", "port", "name"),
    [
        ("local", "", "", "local"),
        ("ssh:board", "board", "", "board"),
        ("ssh:root@board", "root@board", "", "board"),
        ("ssh:root@board.lab:2222", "root@board.lab", "2222", "board.lab-2222"),
        ("ssh:[fe80::1%eth0]:22", "[fe80::1%eth0]", "22", "[fe80::1%eth0]-22"),
    ],
)
def test_targets(text: str, host: str, port: str, name: str) -> None:
    machine = parse_target(text)
    assert machine == TargetMachine(text, host, port)
    assert machine.name == name


@pytest.mark.parametrize(
    "text", ["", "board", "ssh:", "ssh:-oProxyCommand=x", "ssh:a b", "ssh:a;b", "ssh:a\n", "telnet:a"]
)
def test_no_targets(text: str) -> None:
    """None of these could be taken for an option of ssh, or for a part of a shell's command."""
    with pytest.raises(UsageError, match="is not a target"):
        parse_target(text)


def test_commands() -> None:
    """A script reaches the shell there as it is, through the shell that sshd starts."""
    script = "echo 'a  b'; echo \"$HOME\""
    *options, host, remote = parse_target("ssh:root@board:2222").command(script, Path("/run/control"))
    assert (options[0], host) == ("ssh", "root@board")
    assert "BatchMode=yes" in options
    assert "ControlPath=/run/control" in options
    assert options[-2:] == ["-p", "2222"]
    assert shlex.split(remote) == ["exec", "sh", "-c", script]
    assert parse_target("local").command(script) == ["sh", "-c", script]


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the machine at the other end of a fake ssh answers; `user` is what it says to the first question."""
    answers = {**ANSWERS, "user": "0"}

    def run(_machine: TargetMachine, script: str) -> str:
        if script.startswith("id -u"):
            return answers["user"]
        return "".join(f"== {name}\n{text}\n" for name, text in answers.items() if name != "user")

    monkeypatch.setattr(target_facts, "_run", run)
    return answers


def test_facts(board: dict[str, str]) -> None:
    config = Config({"SECCOMP": "y", "SECURITY_YAMA": "y"})
    expected = TargetFacts(
        release=ANSWERS["release"],
        arch="x86_64",
        build=ANSWERS["build"],
        arguments=("console=ttyS0", "lsm=yama"),
        config=config,
        sudo=False,
        audited=False,
    )
    assert ask(parse_target("ssh:board")) == expected
    board |= {"user": "1500\nsudo", "audit": "auditd"}
    found = ask(parse_target("ssh:board"))
    assert (found.sudo, found.audited) == (True, True)


@pytest.mark.parametrize(("machine", "arch"), [("i686", "i386"), ("armv7l", "arm"), ("aarch64", "aarch64")])
def test_the_architecture_has_its_name_here(board: dict[str, str], machine: str, arch: str) -> None:
    """`uname -m` names the processor on those with 32 bits."""
    board["arch"] = machine
    assert ask(parse_target("ssh:board")).arch == arch


@pytest.mark.parametrize(
    ("name", "answer", "message"),
    [
        ("user", "1500", "is not root, and may not become it"),
        ("release", "", "did not say which kernel it runs"),
        ("pid-namespace", "pid:[4026532000]", "in a container"),
        ("ids", "0 100000 65536", "in a container"),
        ("status", "CapBnd:\t00000000a80425fb\nNoNewPrivs:\t0\nSeccomp:\t0", "lacks capabilities"),
        ("status", "CapBnd:\t000001ffffffffff\nNoNewPrivs:\t0\nSeccomp:\t2", "under a seccomp filter"),
        ("status", "CapBnd:\t000001ffffffffff\nNoNewPrivs:\t1\nSeccomp:\t0", "has no_new_privs"),
        ("selinux", "1", "SELinux is enforced"),
        ("confined", "/usr/sbin/sshd (enforce)", "a security module confines a login"),
    ],
)
def test_machines_on_which_a_good_kernel_would_look_broken(
    board: dict[str, str], name: str, answer: str, message: str
) -> None:
    board[name] = answer
    with pytest.raises(UsageError, match=message) as caught:
        ask(parse_target("ssh:board"))
    assert caught.value.hint


def test_a_machine_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.quitter(tmp_path / "ssh", 255, "ssh: connect to host board port 22: No route to host")
    monkeypatch.setenv("PATH", f"{tmp_path}:{Path(sys.executable).parent}")
    with pytest.raises(UsageError, match="ssh:board cannot be reached: ssh: connect to host board port 22: No route"):
        ask(parse_target("ssh:board"))


@pytest.mark.usefixtures("board")
def test_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is called after the machine, and knows what it was booted with, and its stable version."""
    monkeypatch.setattr("kconfigs.architectures.machine", lambda: "x86_64")
    (planned,) = plan(requested_kernels(target="ssh:root@board"))
    kernel = fetch(planned.source)
    assert planned.id == kernel.id == "board-6.1.0-56-cloud-amd64/shipped"
    assert (kernel.version, kernel.target) == ((6, 1, 192), "ssh:root@board")
    assert kernel.arguments == ("console=ttyS0", "lsm=yama")
    assert kernel.config["SECURITY_YAMA"] == "y"


def test_a_kernel_without_a_config(board: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--kernel-config gives what the machine does not have."""
    monkeypatch.setattr("kconfigs.architectures.machine", lambda: "x86_64")
    board["config"] = ""
    with pytest.raises(UsageError, match=r"has neither /proc/config\.gz nor /boot/config-6\.1\.0-56-") as caught:
        plan(requested_kernels(target="ssh:board"))
    assert "--kernel-config" in caught.value.hint
    own = tmp_path / "config"
    own.write_text("CONFIG_SECCOMP=y\n")
    (planned,) = plan(requested_kernels(kernel_config=own, target="ssh:board"))
    assert fetch(planned.source).config == Config({"SECCOMP": "y"})


def test_no_other_kernel_beside_it() -> None:
    with pytest.raises(UsageError, match="no other can be named beside it"):
        requested_kernels(specs=["source"], target="local")


@pytest.mark.parametrize(
    ("config", "arguments", "there"),
    [
        ({"X86_X32_ABI": "y"}, [], True),
        ({"X86_X32_ABI": "y", "X86_X32_DISABLED": "y"}, [], False),
        ({"X86_X32_ABI": "y", "X86_X32_DISABLED": "y"}, ["syscall.x32=y"], True),
        ({"X86_X32_ABI": "y"}, ["syscall.x32=n"], False),
    ],
)
def test_an_entry_that_the_boot_has_turned_off(config: dict[str, str], arguments: list[str], there: bool) -> None:
    """The kernel is not held to what it would offer after another boot."""
    assert effective(Config(config), arguments).enabled("X86_X32_ABI") is there


def options(**given: object) -> SimpleNamespace:
    return SimpleNamespace(**{"target": None, "i_own_this_machine": False, "append": [], **given})


def test_consent() -> None:
    """A machine is not touched without its owner's consent, which is good for a target alone."""
    refuse_careless_target(options())
    refuse_careless_target(options(target="local", i_own_this_machine=True))
    with pytest.raises(UsageError, match="tests change settings of ssh:board") as caught:
        refuse_careless_target(options(target="ssh:board"))
    assert "--i-own-this-machine" in caught.value.hint
    assert caught.value.exit_status == 4
    with pytest.raises(UsageError, match="there is none"):
        refuse_careless_target(options(i_own_this_machine=True))


@pytest.mark.parametrize(
    ("name", "value"), [("append", ["quiet"]), ("memory", 512), ("qemu_opts", ["-s"]), ("sysctl", ["/etc/sysctl.d"])]
)
def test_options_of_guests(name: str, value: object) -> None:
    """What is for guests that are booted here is refused, instead of doing nothing."""
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} is for guests"):
        refuse_careless_target(options(target="local", i_own_this_machine=True, **{name: value}))
