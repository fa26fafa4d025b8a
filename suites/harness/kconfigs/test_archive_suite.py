# SPDX-License-Identifier: GPL-2.0-or-later
"""Suites that are not in apt's sources: the real apt, with an archive of our own that gpg has signed."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import http.server
import logging
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from common.errors import KconformError, UsageError
from kconfigs import limits
from kconfigs.cache import Cache
from kconfigs.debian.apt import Apt, run_command
from kconfigs.debian.archive_suite import Archive, apt_of, archive_of
from suites.harness.kconfigs import fake_kernels as fakes

PACKAGE = "linux-image-6.12.7-fake"
TODAY = datetime.date(2026, 11, 22)

DEBIAN = Archive("http://deb.debian.org/debian/", "Debian", "Debian")
SECURITY = Archive("http://deb.debian.org/debian-security/", "Debian", "Debian-Security")
UBUNTU = Archive("http://archive.ubuntu.com/ubuntu/", "Ubuntu", "Ubuntu")

for _program in ("apt-get", "gpg"):
    if shutil.which(_program) is None:
        pytest.skip(f"needs {_program}", allow_module_level=True)


class Signer:
    """A key, and the keyring file that knows it."""

    def __init__(self, home: Path, name: str) -> None:
        home.mkdir(mode=0o700)
        self._gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback"]
        self.run("--passphrase", "", "--quick-generate-key", f"{name} <{name}@example.org>", "ed25519", "sign")
        self.keyring = home / f"{name}-archive-keyring.gpg"
        self.keyring.write_bytes(self.run("--export"))

    def run(self, *arguments: str) -> bytes:
        return subprocess.run([*self._gpg, *arguments], capture_output=True, check=True).stdout

    def stop(self) -> None:
        subprocess.run(["gpgconf", "--homedir", self._gpg[2], "--kill", "all"], check=True)


@pytest.fixture(scope="module")
def signers() -> Iterator[tuple[Signer, Signer]]:
    # gpg's agent listens on a socket in its home, whose path must be short.
    with tempfile.TemporaryDirectory(prefix="kconform-") as folder:
        made = (Signer(Path(folder) / "ours", "ours"), Signer(Path(folder) / "other", "other"))
        yield made
        for signer in made:
            signer.stop()


class Repository:
    """An archive with one suite, `testing`, that offers one kernel."""

    def __init__(self, root: Path, signer: Signer | None, more: Mapping[str, str] | None = None) -> None:
        self.uri = f"file:{root}"
        self.index = root / "dists/testing/main/binary-amd64/Packages"
        self.index.parent.mkdir(parents=True)
        (root / "pool").mkdir()
        package = fakes.kernel_deb(root / "pool" / "kernel.deb").read_bytes()
        fields = {
            "Package": PACKAGE,
            "Version": "6.12.7-1",
            "Architecture": "amd64",
            "Maintainer": "Debian <k@lists.debian.org>",
            "Filename": "pool/kernel.deb",
            "Size": len(package),
            "SHA256": hashlib.sha256(package).hexdigest(),
            **(more or {}),
        }
        self.index.write_text("".join(f"{name}: {value}\n" for name, value in fields.items()))
        content = self.index.read_bytes()
        release = root / "dists/testing/Release"
        release.write_text(
            "Origin: Debian\nLabel: Debian\nSuite: testing\nCodename: testing\n"
            "Date: Sat, 21 Nov 2026 00:00:00 UTC\nArchitectures: amd64\nComponents: main\nSHA256:\n"
            f" {hashlib.sha256(content).hexdigest()} {len(content)} main/binary-amd64/Packages\n"
        )
        if signer is not None:
            signer.run("--clearsign", "--output", str(release.with_name("InRelease")), str(release))

    def machine(self) -> Apt:
        """The apt of a machine that uses this archive, and knows none of its suites."""
        return Apt(lambda command, cwd: self.run(command, cwd))

    def run(self, command: Sequence[str], cwd: Path | None) -> str:
        if command[1] == "indextargets":
            return f"Repo-URI: {self.uri}\nOrigin: Debian\nLabel: Debian\n"
        return run_command(command, cwd)


@pytest.fixture(autouse=True)
def _keyring(monkeypatch: pytest.MonkeyPatch, signers: tuple[Signer, Signer]) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    keyrings = {"Debian": signers[0].keyring, "Ubuntu": Path("/nonexistent")}
    monkeypatch.setattr("kconfigs.debian.archive_suite.KEYRINGS", keyrings)


@pytest.fixture
def _impatient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """apt asks three times more where nobody answers."""
    (tmp_path / "apt.conf").write_text('Acquire::Retries "0";\n')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))


@pytest.fixture
def repository(tmp_path: Path, signers: tuple[Signer, Signer]) -> Repository:
    return Repository(tmp_path / "archive", signers[0])


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def test_a_kernel_from_a_suite(repository: Repository, cache: Cache) -> None:
    source = fakes.resolved(f"deb:{PACKAGE}@testing", apt=repository.machine(), cache=cache)
    assert (source.source.name, source.source.origin) == ("debian-6.12.7-fake", f"{PACKAGE} 6.12.7-1")
    assert source.kernel().release == fakes.RELEASE


def test_a_package_that_the_suite_lacks_is_wrong_use(repository: Repository, cache: Cache) -> None:
    with pytest.raises(UsageError, match=r"knows no package linux-image-6\.12\.8-fake") as caught:
        fakes.resolved("deb:linux-image-6.12.8-fake@testing", apt=repository.machine(), cache=cache)
    assert PACKAGE in caught.value.hint


def test_the_kernel_source_of_a_suite(repository: Repository, cache: Cache) -> None:
    with pytest.raises(UsageError, match="no package with kernel source"):
        fakes.resolved("source@testing", apt=repository.machine(), cache=cache)


def test_an_unknown_suite_is_wrong_use(repository: Repository, cache: Cache) -> None:
    with pytest.raises(UsageError, match=f"{repository.uri} has no suite tasting"):
        apt_of("tasting", repository.machine(), cache)
    assert cache.entries() == []


@pytest.mark.parametrize("name", ["", "a b", "../x", "Trixie", "sid main\ndeb"])
def test_what_is_not_a_suites_name_is_refused(repository: Repository, cache: Cache, name: str) -> None:
    with pytest.raises(UsageError, match="is not the name of a suite"):
        fakes.resolved(f"deb:{PACKAGE}@{name}", apt=repository.machine(), cache=cache)


def test_without_a_signature_it_is_refused(tmp_path: Path, cache: Cache) -> None:
    with pytest.raises(UsageError, match="no valid signature for testing") as caught:
        apt_of("testing", Repository(tmp_path / "archive", None).machine(), cache)
    assert "ours-archive-keyring" in caught.value.hint


def test_a_signature_by_an_unknown_key_is_refused(
    tmp_path: Path, cache: Cache, signers: tuple[Signer, Signer]
) -> None:
    with pytest.raises(
        UsageError, match=r"the signature of testing cannot be checked, because the key \w+ is unknown"
    ):
        apt_of("testing", Repository(tmp_path / "archive", signers[1]).machine(), cache)


def test_an_index_that_was_changed_is_refused(repository: Repository, cache: Cache) -> None:
    repository.index.write_text(repository.index.read_text().replace("6.12.7-1", "6.12.8-1"))
    with pytest.raises(KconformError, match=r"could not be fetched: .*Hash Sum mismatch"):
        apt_of("testing", repository.machine(), cache)
    assert cache.entries() == []


def test_a_package_that_was_changed_is_refused(repository: Repository, cache: Cache, tmp_path: Path) -> None:
    source = fakes.resolved(f"deb:{PACKAGE}@testing", apt=repository.machine(), cache=cache)
    fakes.kernel_deb(tmp_path / "archive/pool/kernel.deb", Version="6.12.7-2")
    with pytest.raises(KconformError, match="could not be downloaded") as caught:
        source.kernel()
    assert "cache clear suites" in caught.value.hint


def test_lists_are_fetched_once_a_day(repository: Repository, cache: Cache) -> None:
    commands: list[Sequence[str]] = []

    def run(command: Sequence[str], cwd: Path | None) -> str:
        commands.append(command)
        return repository.run(command, cwd)

    def fetched(day: datetime.date) -> int:
        commands.clear()
        apt_of("testing", Apt(run), cache, day)
        return sum("update" in command for command in commands)

    tomorrow = TODAY + datetime.timedelta(days=1)
    assert [fetched(TODAY), fetched(TODAY), fetched(tomorrow), fetched(tomorrow)] == [1, 0, 1, 0]
    assert [entry.key for entry in cache.entries()] == ["testing_2026-11-23"]


@pytest.mark.usefixtures("_impatient")
def test_without_a_network_older_lists_are_used(
    repository: Repository, cache: Cache, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("kconform"), "propagate", True)
    apt_of("testing", repository.machine(), cache, TODAY)
    repository.uri = "http://127.0.0.1:1/debian"
    found = apt_of("testing", repository.machine(), cache, TODAY + datetime.timedelta(days=1))
    assert found.kernel(PACKAGE).kernel.version == "6.12.7-1"
    assert "using those of 2026-11-22" in caplog.text


@pytest.mark.usefixtures("_impatient")
def test_without_network_and_lists_it_is_a_harness_error(repository: Repository, cache: Cache) -> None:
    repository.uri = "http://127.0.0.1:1/debian"
    with pytest.raises(KconformError, match="the lists of testing could not be fetched") as caught:
        apt_of("testing", repository.machine(), cache)
    assert caught.value.exit_status == 3
    assert "network" in caught.value.hint


@pytest.mark.parametrize(
    ("suite", "known", "wanted"),
    [
        pytest.param("sid", [SECURITY, DEBIAN], DEBIAN, id="debian"),
        pytest.param("bullseye-security", [DEBIAN, SECURITY], SECURITY, id="security"),
        pytest.param(
            "bullseye-security",
            [DEBIAN],
            Archive("http://deb.debian.org/debian-security", "Debian", "Debian-Security"),
            id="security-not-used-here",
        ),
        pytest.param("noble-security", [UBUNTU], UBUNTU, id="ubuntu-has-one-archive"),
    ],
)
def test_the_archive_of_a_suite_is_found(suite: str, known: list[Archive], wanted: Archive) -> None:
    assert archive_of(suite, known) == wanted


def test_a_machine_without_the_distributions_archive_is_refused(cache: Cache) -> None:
    machine = Apt(lambda *_: "Repo-URI: http://example.org/\nOrigin: Node Source\nLabel: Node Source\n")
    with pytest.raises(UsageError, match="uses no archive of Debian or Ubuntu that could have sid"):
        apt_of("sid", machine, cache)


def test_only_packages_are_fetched_and_only_with_a_key(signers: tuple[Signer, Signer]) -> None:
    keyring = signers[0].keyring
    assert DEBIAN.line("sid") == f"deb [signed-by={keyring} target=Packages] {DEBIAN.uri} sid main\n"
    assert UBUNTU.line("noble") == f"deb [target=Packages] {UBUNTU.uri} noble main\n"


class TestHostileArchive:
    """Lists that somebody made to harm us.  Their signature is valid: that is all that apt checks."""

    @pytest.fixture
    def strange(self, tmp_path: Path, signers: tuple[Signer, Signer]) -> Callable[..., Repository]:
        """An archive that says of its kernel what is given."""
        return lambda **fields: Repository(tmp_path / "archive", signers[0], fields)

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"Version": "6.12/../../x"}, "makes no sense: Version is '6.12/../../x'"),
            ({"Version": "6." + "9" * 5000}, "makes no sense: Version is '6.999"),
            ({"Version": "6.12\x1b[31m"}, "makes no sense: Version is '6.12\\x1b[31m'"),
            ({"Depends": "a [ ]"}, "could not be fetched: E: Problem parsing dependency"),
            ({"Depends": "a, " * 50_000 + "b"}, "makes no sense: Depends has characters"),
        ],
        ids=["path", "long-version", "escape", "grammar", "long-depends"],
    )
    def test_a_field_that_makes_no_sense_is_refused(
        self, strange: Callable[..., Repository], cache: Cache, fields: dict[str, str], message: str
    ) -> None:
        with pytest.raises(KconformError) as caught:
            fakes.resolved(f"deb:{PACKAGE}@testing", apt=strange(**fields).machine(), cache=cache)
        assert message in caught.value.message
        assert caught.value.hint
        assert len(caught.value.message) < 300

    @pytest.mark.parametrize(
        "fields", [{"Size": "1"}, {"Size": str(1 << 62)}, {"Filename": "../../../../etc/passwd"}]
    )
    def test_a_package_that_is_not_what_the_list_says_is_refused(
        self, strange: Callable[..., Repository], cache: Cache, fields: dict[str, str]
    ) -> None:
        source = fakes.resolved(f"deb:{PACKAGE}@testing", apt=strange(**fields).machine(), cache=cache)
        with pytest.raises(KconformError, match="could not be downloaded") as caught:
            source.kernel()
        assert caught.value.hint
        assert [entry.kind for entry in cache.entries()] == ["suites"]

    def test_a_list_of_very_many_packages_is_read_by_apt_alone(
        self, strange: Callable[..., Repository], cache: Cache
    ) -> None:
        others = "".join(f"\n\nPackage: other-{number}\nVersion: 1\nArchitecture: amd64" for number in range(20_000))
        apt = apt_of("testing", strange(Description=f"x{others}").machine(), cache)
        assert apt.kernel(PACKAGE).kernel.version == "6.12.7-1"

    @pytest.mark.parametrize("spoil", [lambda text: text[: len(text) // 2], lambda _: "", lambda text: text * 1000])
    def test_a_release_file_that_is_cut_or_repeated_is_refused(
        self, repository: Repository, cache: Cache, spoil: Callable[[str], str]
    ) -> None:
        signed = repository.index.parents[2] / "InRelease"
        signed.write_text(spoil(signed.read_text()))
        signed.with_name("Release").unlink()
        with pytest.raises(KconformError) as caught:
            apt_of("testing", repository.machine(), cache)
        assert caught.value.hint
        assert "\n" not in caught.value.message
        assert cache.entries() == []

    def test_a_release_file_of_a_gigabyte_is_not_fetched(self, repository: Repository, cache: Cache) -> None:
        """apt itself takes no more than 10 MB from a server (Acquire::MaxReleaseFileSize)."""
        with serving_zeros() as (uri, sent):
            repository.uri = uri
            with pytest.raises(KconformError) as caught:
                apt_of("testing", repository.machine(), cache)
        assert caught.value.hint
        assert cache.entries() == []
        assert sum(sent) < 100 << 20


@contextlib.contextmanager
def serving_zeros() -> Iterator[tuple[str, list[int]]]:
    """The address of a server whose every file has a gigabyte, and how much of it was sent."""
    sent: list[int] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(1 << 30))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                for _ in range(1 << 10):
                    self.wfile.write(bytes(1 << 20))
                    sent.append(1 << 20)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", sent
        finally:
            server.shutdown()
            thread.join()


def test_an_answer_of_apt_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "APT_ANSWER", 1 << 20)
    assert len(run_command(["head", "--bytes=1048576", "/dev/zero"], None)) == 1 << 20
    with pytest.raises(UsageError, match="cat prints more than 1 MiB") as caught:
        run_command(["cat", "/dev/zero"], None)
    assert caught.value.hint


def test_an_answer_that_is_no_text_is_read(tmp_path: Path) -> None:
    (tmp_path / "answer").write_bytes(b"Origin: \xff\n")
    assert run_command(["cat", str(tmp_path / "answer")], None) == "Origin: \ufffd\n"
