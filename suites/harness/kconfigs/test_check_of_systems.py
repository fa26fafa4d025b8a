# SPDX-License-Identifier: GPL-2.0-or-later
"""`check` with what a system sets beside the config: the command line of its boot loader, and its sysctl.d."""

from __future__ import annotations

from pathlib import Path

import pytest

from kconform import main
from suites.harness.kconfigs.example_profile import SANE

HEADING = "# Linux/x86 6.12.7 Kernel Configuration\n"

PROFILE = """\
text = "t"
since = "5.10"
[[default]]
what = "lsm"
value = "yama loadpin"
source = "we"
[[default]]
what = "yama-scope"
value = "1"
sysctl = "2"
source = "we"
[[default]]
what = "actions-logged"
value = "trap log"
source = "we"
[[default]]
what = "loadpin-enforcing"
value = "yes"
source = "we"
"""


class System:
    """A config, a profile, and the files beside them."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path, self._capsys = path, capsys
        self.write("config", HEADING + SANE)
        self.write("mine.toml", PROFILE)

    def write(self, name: str, text: str) -> str:
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return str(path)

    def check(self, *options: str, config: str = "config") -> tuple[int, str]:
        """The exit status, and all that is said, with relative paths."""
        status = main(["check", str(self.path / config), "--profile", str(self.path / "mine.toml"), "-v", *options])
        said = self._capsys.readouterr()
        return status, (said.out + said.err).replace(f"{self.path}/", "")

    def check_sysctl(self, text: str) -> tuple[int, str]:
        self.write("etc/10.conf", text)
        return self.check("--sysctl", str(self.path / "etc"))

    def check_cmdline(self, text: str) -> tuple[int, str]:
        return self.check("--cmdline", self.write("cmdline", text))


@pytest.fixture
def system(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> System:
    return System(tmp_path, capsys)


def test_a_config_alone_leaves_it_to_a_run(system: System) -> None:
    status, said = system.check()
    assert status == 0
    assert "2 ok, 2 for a run to prove\n" in said
    assert "open     kernel.yama.ptrace_scope is to be '1': a config cannot tell, a run can\n" in said


class TestSysctl:
    def test_what_is_asked_for_after_them(self, system: System) -> None:
        status, said = system.check_sysctl("kernel.yama.ptrace_scope = 2\nkernel.seccomp.actions_logged = log trap\n")
        assert (status, said.count("  ok ")) == (0, 4)
        assert "ok       kernel.yama.ptrace_scope is '2' by etc/10.conf:1, '2' is asked for\n" in said
        assert (
            "ok       kernel.seccomp.actions_logged is 'trap log' by etc/10.conf:2, 'trap log' is asked for\n" in said
        )

    def test_the_kernels_own_value_is_not_asked_for_any_more(self, system: System) -> None:
        status, said = system.check_sysctl("kernel.yama.ptrace_scope = 1\n")
        assert status == 1
        assert "MISSING  kernel.yama.ptrace_scope is '1' by etc/10.conf:1, '2' is asked for\n" in said

    def test_what_nothing_sets_is_left_to_a_run(self, system: System) -> None:
        status, said = system.check_sysctl("kernel.panic = 1\n")
        assert status == 0
        text = "kernel.yama.ptrace_scope is to be '2', and no sysctl setting sets it: a config cannot tell, a run can"
        assert f"open     {text}\n" in said

    def test_what_the_kernel_refuses(self, system: System) -> None:
        status, said = system.check_sysctl("kernel.yama.ptrace_scope = 9\n")
        assert status == 0
        assert "open     kernel.yama.ptrace_scope is to be '2'" in said
        refused = (
            "kernel.yama.ptrace_scope = 9 (etc/10.conf:1): the kernel refuses it, because a scope is 0, 1, 2 or 3"
        )
        assert f"  warning  {refused}\n" in said

    def test_what_systemd_ignores(self, system: System) -> None:
        said = system.check_sysctl("kernel.yama.ptrace_scope 2\n")[1]
        assert said.startswith(
            "warning: etc/10.conf:1: systemd-sysctl ignores this line, which is no assignment: kernel.yama"
        )

    @pytest.mark.parametrize(
        ("option", "sysctl", "wanted", "status", "state"),
        [
            ("y", "0", "yes", 1, "MISSING"),
            ("y", "1", "yes", 0, "ok"),
            ("y", "0", "no", 0, "open"),
            ("n", "1", "no", 1, "MISSING"),
            ("n", "0", "yes", 1, "MISSING"),
        ],
    )
    def test_loadpin_may_accept_a_change(
        self, system: System, option: str, sysctl: str, wanted: str, status: int, state: str
    ) -> None:
        system.write("config", HEADING + SANE.replace("LOADPIN_ENFORCE=y", f"LOADPIN_ENFORCE={option}"))
        system.write("mine.toml", PROFILE.replace('value = "yes"', f'value = "{wanted}"'))
        found, said = system.check_sysctl(f"kernel.loadpin.enforce = {sysctl}\n")
        assert found == status
        (line,) = [one for one in said.splitlines() if "LoadPin enforces by configuration: " in one]
        assert line.split()[0] == state
        assert ("etc/10.conf:1 sets that to " in line) is (sysctl != ("1" if option == "y" else "0"))


class TestCmdline:
    def test_it_decides(self, system: System) -> None:
        status, said = system.check_cmdline(
            "quiet\nlsm=loadpin loadpin.enforce=0 sysctl.kernel.yama.ptrace_scope=1\n"
        )
        assert status == 1
        assert "MISSING  lsm= in cmdline:2 is 'loadpin', 'yama loadpin' in this order is asked for" in said
        assert "MISSING  LoadPin enforces by loadpin.enforce= in cmdline:2: no, yes is asked for\n" in said
        assert "CONFIG_CMDLINE" not in said

    def test_what_nothing_sets_stays_as_it_is(self, system: System) -> None:
        status, said = system.check_cmdline("root=/dev/vda1 ro\n")
        assert (status, said) == system.check()

    def test_a_parameter_sets_the_scope(self, system: System) -> None:
        status, said = system.check_cmdline("sysctl.kernel.yama.ptrace_scope=1")
        assert status == 0
        assert "ok       kernel.yama.ptrace_scope is '1' by cmdline:1, '1' is asked for\n" in said

    def test_it_comes_after_the_built_in_line(self, system: System) -> None:
        system.write("config", f'{HEADING}{SANE}CONFIG_CMDLINE_BOOL=y\nCONFIG_CMDLINE="lsm=bpf"\n')
        assert system.check()[0] == 1
        assert system.check_cmdline("lsm=yama,loadpin")[0] == 0

    def test_a_kernel_that_ignores_it(self, system: System) -> None:
        use = 'CONFIG_CMDLINE_BOOL=y\nCONFIG_CMDLINE_OVERRIDE=y\nCONFIG_CMDLINE="ro"\n'
        system.write("config", f"{HEADING}{SANE}{use}")
        status, said = system.check_cmdline("lsm=bpf")
        assert status == 0
        assert "warning  CONFIG_CMDLINE_OVERRIDE is y: the kernel ignores the parameters in cmdline\n" in said

    def test_what_has_no_effect(self, system: System) -> None:
        said = system.check_cmdline("audit=0 loadpin.enforce=off loadpin.exclude=firmware,x lsm=yama,loadpin")[1]
        assert "loadpin.enforce=off in cmdline:1 has no effect: it has to be 0 or 1\n" in said
        assert "loadpin.exclude= in cmdline:1 names 'x', which is no kind of file" in said
        assert "loadpin.exclude= in cmdline:1 lets the kernel read from anywhere: firmware\n" in said


class TestWrongUse:
    @pytest.mark.parametrize("option", ["--cmdline", "--sysctl"])
    def test_a_file_that_does_not_exist(self, system: System, option: str) -> None:
        status, said = system.check(option, str(system.path / "none"))
        assert status == 4
        assert said.startswith("kconform: error: none cannot be read: No such file or directory\n  hint: ")

    def test_a_kernel_that_the_profile_is_not_for(self, system: System) -> None:
        system.write("config", f"# Linux/x86 5.4.250 Kernel Configuration\n{SANE}")
        status, said = system.check()
        assert (status, said) == (
            4,
            "config (5.4.250): not checked, because profile mine is not for this kernel: since Linux 5.10, this is"
            " 5.4.250\n",
        )

    def test_a_config_that_lacks_something_counts_more(self, system: System) -> None:
        system.write("configs/config-5.4", f"# Linux/x86 5.4.250 Kernel Configuration\n{SANE}")
        system.write("configs/config-6.12", HEADING + SANE.replace("yama,loadpin", "loadpin"))
        status, said = system.check(config="configs")
        assert (status, said.count("not checked, because")) == (1, 1)
