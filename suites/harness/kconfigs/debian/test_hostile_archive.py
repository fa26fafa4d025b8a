# SPDX-License-Identifier: GPL-2.0-or-later
"""Archives that somebody made to harm us, and servers that never end."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.errors import KconformError, UsageError
from kconfigs import input_limits
from kconfigs.cache import Cache
from kconfigs.debian.apt import run_command
from kconfigs.debian.archive_suite import apt_of
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.kconfigs.debian.signed_archive import Repository, Signer
from suites.harness.kconfigs.fake_kernels import PACKAGE

pytestmark = pytest.mark.usefixtures("_keyring")


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
    monkeypatch.setattr(input_limits, "APT_ANSWER", 1 << 20)
    assert len(run_command(["head", "--bytes=1048576", "/dev/zero"], None)) == 1 << 20
    with pytest.raises(UsageError, match="cat prints more than 1 MiB") as caught:
        run_command(["cat", "/dev/zero"], None)
    assert caught.value.hint


def test_an_answer_that_is_no_text_is_read(tmp_path: Path) -> None:
    (tmp_path / "answer").write_bytes(b"Origin: \xff\n")
    assert run_command(["cat", str(tmp_path / "answer")], None) == "Origin: \ufffd\n"
