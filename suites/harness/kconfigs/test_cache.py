# SPDX-License-Identifier: GPL-2.0-or-later
"""The cache: made once, whole or not at all, and never more than the limit."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import KconformError, UsageError
from kconfigs import cache as module
from kconfigs import cache_stamps
from kconfigs.cache import Cache

ROOT = Path(module.__file__).parent.parent

ELSEWHERE = """
import sys, time
from pathlib import Path
from kconfigs import cache_stamps
from kconfigs.cache import Cache
root, key, action = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
def make(folder):
    (folder / "half").write_bytes(b"x" * 100_000)
    with (root.parent / "made").open("a") as log:
        log.write(key + "\\n")
    if action == "hang":
        time.sleep(600)
    time.sleep(0.2)
    (folder / "rest").write_text("done")
Cache(root).get("things", key, make)
print("ready", flush=True)
if action == "hold":
    time.sleep(600)
"""


def elsewhere(root: Path, key: str, action: str = "make") -> subprocess.Popen[str]:
    """Another process that wants an entry: it makes it, holds on to it, or hangs half-way."""
    return subprocess.Popen(
        [sys.executable, "-c", ELSEWHERE, str(root), key, action],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def made_elsewhere(root: Path, *keys: str) -> None:
    for process in [elsewhere(root, key) for key in keys]:
        assert process.communicate(timeout=60)[0] == "ready\n"


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def make_nothing(_: Path) -> None:
    pytest.fail("it should have been there")


def writer(text: str = "content", size: int = 0) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / "file").write_text(text)
        (folder / "blob").write_bytes(b"x" * size)

    return make


def aged(cache: Cache, key: str, hours: float, kind: str = "things") -> None:
    then = time.time() - hours * 3600
    os.utime(cache.root / kind / f"{key}.used", (then, then))


class TestMaking:
    def test_an_entry_is_made_once(self, cache: Cache) -> None:
        path = cache.get("things", "a", writer())
        assert path == cache.root / "things" / "a"
        assert cache.get("things", "a", make_nothing) == path
        assert (path / "file").read_text() == "content"

    def test_of_several_processes_one_makes_it(self, cache: Cache) -> None:
        made_elsewhere(cache.root, "a", "a", "a")
        assert (cache.root.parent / "made").read_text() == "a\n"

    def test_a_failure_leaves_nothing(self, cache: Cache) -> None:
        def make(folder: Path) -> None:
            (folder / "half").write_text("half")
            raise RuntimeError("no")

        with pytest.raises(RuntimeError):
            cache.get("things", "a", make)
        assert cache.entries() == []
        assert list((cache.root / "things").iterdir()) == []
        cache.get("things", "a", writer())

    def test_a_killed_process_leaves_nothing_that_looks_finished(self, cache: Cache) -> None:
        killed = elsewhere(cache.root, "a", "hang")
        until((cache.root / "things" / ".a.tmp" / "half").exists)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        assert cache.entries() == []
        with pytest.raises(ZeroDivisionError):
            cache.get("things", "b", lambda _: print(1 / 0))
        assert not (cache.root / "things" / ".a.tmp").exists(), "wreckage of the dead is swept"
        assert not (cache.get("things", "a", writer()) / "half").exists()

    def test_what_a_living_process_is_making_is_not_swept(self, cache: Cache) -> None:
        busy = elsewhere(cache.root, "a", "hang")
        try:
            until((cache.root / "things" / ".a.tmp" / "half").exists)
            cache.get("things", "b", writer())
            assert (cache.root / "things" / ".a.tmp" / "half").exists()
        finally:
            busy.kill()
            busy.communicate()

    def test_a_damaged_entry_is_made_again_and_the_log_says_so(
        self, cache: Cache, caplog: pytest.LogCaptureFixture
    ) -> None:
        def check(path: Path) -> None:
            if (path / "file").read_text() != "content":
                raise ValueError("damaged")

        path = cache.get("things", "a", writer(), check)
        (path / "file").write_text("c")
        with caplog.at_level(logging.WARNING, "kconform"):
            cache.get("things", "a", writer(), check)
        assert (path / "file").read_text() == "content"
        assert "things/a is damaged" in caplog.text

    def test_an_empty_entry_is_damaged_without_any_check(self, cache: Cache) -> None:
        (cache.root / "things" / "a").mkdir(parents=True)
        assert (cache.get("things", "a", writer()) / "file").exists()

    def test_a_file_in_the_place_of_an_entry_is_replaced(self, cache: Cache) -> None:
        (cache.root / "things").mkdir(parents=True)
        (cache.root / "things" / "a").write_text("?")
        assert (cache.get("things", "a", writer()) / "file").exists()

    def test_an_entry_that_fails_its_check_is_not_kept(self, cache: Cache) -> None:
        def check(_: Path) -> None:
            raise ValueError("never right")

        with pytest.raises(ValueError, match="never right"):
            cache.get("things", "a", writer(), check)
        assert cache.entries() == []

    @pytest.mark.parametrize("key", ["", ".a", "a/b", "a b", "..", "a.used"])
    def test_a_key_is_a_file_name(self, cache: Cache, key: str) -> None:
        with pytest.raises(ValueError, match="not a name"):
            cache.get("things", key, writer())


class TestTrouble:
    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
    def test_a_full_disk_is_named(self, cache: Cache, number: int) -> None:
        def make(_: Path) -> None:
            raise OSError(number, os.strerror(number))

        with pytest.raises(KconformError, match="disk is full") as caught:
            cache.get("things", "a", make)
        assert str(cache.root) in caught.value.message
        assert "cache clear" in caught.value.hint
        assert caught.value.exit_status == 3
        assert cache.entries() == []

    def test_a_limit_of_the_size_of_files_is_named(self, cache: Cache) -> None:
        def make(_: Path) -> None:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))

        with pytest.raises(KconformError, match="things/a is larger than files may be here") as caught:
            cache.get("things", "a", make)
        assert "ulimit -f" in caught.value.hint
        assert cache.entries() == []

    def test_other_errors_of_the_system_pass_through(self, cache: Cache) -> None:
        def make(_: Path) -> None:
            raise OSError(errno.EIO, "bad disk")

        with pytest.raises(OSError, match="bad disk"):
            cache.get("things", "a", make)

    def test_a_cache_that_cannot_be_made_is_wrong_use(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(UsageError, match="cannot be made") as caught:
            Cache(tmp_path / "file" / "cache").get("things", "a", writer())
        assert "KCONFORM_CACHE" in caught.value.hint

    def test_a_cache_that_cannot_be_written_is_wrong_use(self, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "access", lambda *_: False)
        with pytest.raises(UsageError, match="is not writable"):
            cache.get("things", "a", writer())


class TestGoing:
    def test_the_least_recently_used_goes_first(self, tmp_path: Path) -> None:
        cache = Cache(tmp_path / "cache", limit=250_000)
        made_elsewhere(cache.root, "old", "older")
        aged(cache, "old", 1)
        aged(cache, "older", 2)
        cache.get("things", "new", writer(size=100_000))
        assert [entry.key for entry in cache.entries()] == ["old", "new"]

    @pytest.mark.parametrize(("kernels_age_h", "stays"), [(6 * 24, "kernel"), (8 * 24, "template")])
    def test_what_is_quickly_made_goes_before_a_kernel(
        self, tmp_path: Path, kernels_age_h: float, stays: str
    ) -> None:
        """Unless the kernel has not been used for a week longer."""
        cache = Cache(tmp_path / "cache", limit=350_000)
        for kind, key, hours in [("kernels", "kernel", kernels_age_h), ("templates", "template", 1)]:
            Cache(cache.root).get(kind, key, writer(size=100_000))
            cache_stamps.release(cache.root / kind / key)
            aged(cache, key, hours, kind)
        cache.get("things", "new", writer(size=200_000))
        assert {entry.key for entry in cache.entries()} == {stays, "new"}

    def test_what_was_used_within_ten_minutes_stays(self, tmp_path: Path) -> None:
        cache = Cache(tmp_path / "cache", limit=1)
        made_elsewhere(cache.root, "a")
        aged(cache, "a", 9 / 60)
        cache.get("things", "new", writer())
        assert {entry.key for entry in cache.entries()} == {"a", "new"}

    def test_what_a_process_uses_stays_as_long_as_it_lives(self, tmp_path: Path) -> None:
        cache = Cache(tmp_path / "cache", limit=1)
        user = elsewhere(cache.root, "a", "hold")
        assert user.stdout is not None
        assert user.stdout.readline() == "ready\n"
        cache.get("things", "mine", writer())
        for key in ("a", "mine"):
            aged(cache, key, 5)
        cache.get("things", "new", writer())
        assert {entry.key for entry in cache.entries()} == {"a", "mine", "new"}
        assert {entry.key for entry in cache.clear()} == {"mine", "new"}
        user.kill()
        user.communicate()
        assert {entry.key for entry in cache.clear()} == {"a"}

    def test_one_kind_can_be_cleared(self, cache: Cache) -> None:
        cache.get("things", "a", writer())
        cache.get("others", "b", writer())
        assert [(entry.kind, entry.key) for entry in cache.clear("things")] == [("things", "a")]
        assert [(entry.kind, entry.key) for entry in cache.entries()] == [("others", "b")]
        cache.get("things", "a", writer())

    def test_read_only_entries_can_be_removed(self, cache: Cache) -> None:
        def make(folder: Path) -> None:
            (folder / "sub").mkdir()
            (folder / "sub" / "file").write_text("")
            (folder / "sub").chmod(0o500)
            (folder / "link").symlink_to("/")

        cache.get("things", "a", make)
        assert len(cache.clear()) == 1
        assert not (cache.root / "things" / "a").exists()

    def test_using_an_entry_marks_it(self, cache: Cache) -> None:
        cache.get("things", "a", writer())
        aged(cache, "a", 3)
        cache.get("things", "a", make_nothing)
        assert time.time() - cache.entries()[0].used < 60


class TestSizes:
    def test_a_sparse_file_counts_what_it_takes(self, cache: Cache) -> None:
        def make(folder: Path) -> None:
            with (folder / "ram").open("wb") as file:
                file.truncate(1 << 30)
                file.write(b"x" * 5000)

        cache.get("things", "a", make)
        assert 5000 <= cache.size() < 200_000

    def test_an_entry_that_grew_can_be_measured_again(self, cache: Cache) -> None:
        path = cache.get("things", "a", writer())
        (path / "more").write_bytes(b"x" * 500_000)
        cache.remeasure(path)
        assert cache.size() >= 500_000
