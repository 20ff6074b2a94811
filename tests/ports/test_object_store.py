# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An object is there completely and correctly under its digest, or not at all."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from animus_contracts.datasets import StoredObject
from animus_contracts.digests import Digest, digest_bytes
from animus_control.domain.errors import AnimusError, InvalidError, MissingError
from animus_control.storage.objects import PART_BYTES, HashedObjectStore, open_object_store
from tests.patience import until

LARGE = b"0123456789abcdef" * (PART_BYTES // 8)  # more than one part


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def broken(part: bytes) -> AsyncIterator[bytes]:
    yield part
    raise ConnectionResetError


def put(store: HashedObjectStore, content: bytes, *, digest: Digest | None = None) -> StoredObject:
    return asyncio.run(store.put(digest or digest_bytes(content), chunks(content)))


def read(store: HashedObjectStore, digest: Digest) -> bytes:
    async def collect() -> bytes:
        return b"".join([chunk async for chunk in store.read(digest)])

    return asyncio.run(collect())


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def files_in_the_end(root: Path) -> list[str]:
    """Return the files when parts that were given up, which are removed in the background, have had their time."""
    for _ in range(100):
        if not files(root):
            break
        time.sleep(0.02)
    return files(root)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The directory of the store."""
    return tmp_path / "objects with a space"


@pytest.fixture
def store(root: Path) -> HashedObjectStore:
    """A store in a directory."""
    return open_object_store(root.as_uri())


@pytest.mark.parametrize("content", [b"", b"x", LARGE], ids=["empty", "small", "several parts"])
def test_object_is_read_as_it_was_stored_from_the_path_its_digest_names(
    store: HashedObjectStore, root: Path, content: bytes
) -> None:
    digest = digest_bytes(content)
    assert put(store, content) == StoredObject(digest=digest, size_bytes=len(content))
    assert read(store, digest) == content
    assert asyncio.run(store.size(digest)) == len(content)
    assert files(root) == [f"sha256/{digest[7:9]}/{digest[9:]}"]


def test_any_bucket_keeps_the_same_promise() -> None:
    store = open_object_store("memory:///")
    assert put(store, b"x").size_bytes == 1
    with pytest.raises(InvalidError):
        put(store, b"y", digest=digest_bytes(b"z"))
    assert read(store, digest_bytes(b"x")) == b"x"
    assert asyncio.run(store.size(digest_bytes(b"z"))) is None
    asyncio.run(store.check())


@pytest.mark.parametrize("content", [b"x", LARGE], ids=["small", "several parts"])
def test_bytes_of_another_digest_are_refused_and_not_kept(store: HashedObjectStore, root: Path, content: bytes) -> None:
    with pytest.raises(InvalidError) as caught:
        put(store, content, digest=digest_bytes(b"other"))
    assert caught.value.code == "artifact_hash_mismatch"
    assert files_in_the_end(root) == []


def test_refused_bytes_leave_the_object_of_that_digest_as_it_is(store: HashedObjectStore) -> None:
    put(store, b"good")
    with pytest.raises(InvalidError):
        put(store, b"evil", digest=digest_bytes(b"good"))
    assert read(store, digest_bytes(b"good")) == b"good"


@pytest.mark.parametrize("content", [b"x", LARGE], ids=["small", "several parts"])
def test_upload_that_breaks_off_leaves_nothing(store: HashedObjectStore, root: Path, content: bytes) -> None:
    with pytest.raises(ConnectionResetError):
        asyncio.run(store.put(digest_bytes(content), broken(content)))
    assert files_in_the_end(root) == []


def test_two_uploads_of_one_object_do_not_disturb_each_other(store: HashedObjectStore, root: Path) -> None:
    async def both() -> list[StoredObject]:
        return await asyncio.gather(*[store.put(digest_bytes(LARGE), chunks(LARGE)) for _ in range(4)])

    assert {stored.size_bytes for stored in asyncio.run(both())} == {len(LARGE)}
    assert len(files(root)) == 1


def test_damaged_object_is_mended_by_storing_it_again(store: HashedObjectStore, root: Path) -> None:
    put(store, b"good")
    (path,) = [root / name for name in files(root)]
    path.write_bytes(b"bad!")
    put(store, b"good")
    assert read(store, digest_bytes(b"good")) == b"good"


def test_missing_object_has_no_size_and_cannot_be_read(store: HashedObjectStore) -> None:
    digest = digest_bytes(b"missing")
    assert asyncio.run(store.size(digest)) is None
    with pytest.raises(MissingError):
        read(store, digest)


@pytest.mark.parametrize("digest", ["sha256:../../etc/passwd", "md5:00", "", "sha256:" + "A" * 64])
def test_what_is_no_digest_names_no_path(store: HashedObjectStore, digest: str) -> None:
    with pytest.raises(ValueError, match="not a digest"):
        asyncio.run(store.size(Digest(digest)))


def test_object_and_its_folders_are_synced_before_anyone_is_told(
    store: HashedObjectStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink().relative_to(root.resolve())))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    stored = put(store, b"x").digest
    assert synced == [f"sha256/{stored[7:9]}/{stored[9:]}", f"sha256/{stored[7:9]}", "sha256", "."]


UPLOADER = """
import asyncio, sys
from animus_control.storage.objects import PART_BYTES, open_object_store

async def endless():
    yield b"x" * (2 * PART_BYTES)
    print("begun", flush=True)
    await asyncio.sleep(600)

asyncio.run(open_object_store(sys.argv[1]).put(sys.argv[2], endless()))
"""


@pytest.fixture
def part(store: HashedObjectStore, root: Path) -> Path:
    """What a killed upload leaves."""
    assert store
    command = [sys.executable, "-c", UPLOADER, root.as_uri(), digest_bytes(b"x")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as uploading:
        assert uploading.stdout is not None
        assert uploading.stdout.readline() == b"begun\n"
        until(lambda: files(root) != [])
        uploading.kill()
    (left,) = files(root)
    return root / left


def age(path: Path, hours: float) -> None:
    moment = time.time() - hours * 3600
    os.utime(path, (moment, moment))


@pytest.mark.parametrize(("hours", "swept"), [(0, 0), (23.9, 0), (24.1, 1), (1000, 1)])
def test_what_a_killed_upload_leaves_is_swept_after_a_day(
    store: HashedObjectStore, part: Path, hours: float, swept: int
) -> None:
    age(part, hours)
    assert asyncio.run(store.sweep()) == swept
    assert part.exists() is not bool(swept)
    assert asyncio.run(store.size(digest_bytes(b"x"))) is None
    assert put(store, b"x").size_bytes == 1  # what is left of one upload is in no other's way


def test_objects_and_whatever_is_no_part_are_never_swept(store: HashedObjectStore, root: Path) -> None:
    stored = root / f"sha256/{digest_bytes(b'x')[7:9]}/{digest_bytes(b'x')[9:]}"
    put(store, b"x")
    others = [stored.with_name("notes#1"), stored.with_name(f"{stored.name}#old"), root / f"{stored.name}#1"]
    for each in others:
        each.write_bytes(b"somebody's")
    for each in (stored, *others):
        age(each, 1000)
    assert asyncio.run(store.sweep()) == 0
    assert all(each.exists() for each in (stored, *others))


def written_part(root: Path) -> Path | None:
    """Return the one part once nothing more is written to it: the store writes in the background."""
    for part in [root / name for name in files(root)]:
        before = part.stat()
        time.sleep(0.1)
        after = part.stat()
        if before.st_size and (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
            return part
    return None


async def upload(store: HashedObjectStore, root: Path, *, hours: float) -> StoredObject:
    """Upload, and sweep in the middle of it, when for so many hours nothing has come."""

    async def pausing() -> AsyncIterator[bytes]:
        yield LARGE
        part = await asyncio.to_thread(until, lambda: written_part(root))
        assert part is not None
        age(part, hours)
        await store.sweep()
        yield b""

    return await store.put(digest_bytes(LARGE), pausing())


def test_an_upload_that_goes_on_is_not_swept(store: HashedObjectStore, root: Path) -> None:
    asyncio.run(upload(store, root, hours=23))
    assert read(store, digest_bytes(LARGE)) == LARGE


def test_an_upload_that_comes_back_after_it_was_swept_is_refused_and_leaves_nothing(
    store: HashedObjectStore, root: Path
) -> None:
    with pytest.raises(AnimusError) as refused:
        asyncio.run(upload(store, root, hours=25))
    assert refused.value.code == "service_unavailable"
    assert files_in_the_end(root) == []


def test_a_bucket_sweeps_nothing_of_its_own() -> None:
    assert asyncio.run(open_object_store("memory:///").sweep()) == 0


@pytest.fixture
def full_store(tmp_path: Path) -> Iterator[tuple[HashedObjectStore, Path]]:
    """A store on a file system of one mebibyte."""
    mount = tmp_path / "small"
    mount.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a small file system")
    try:
        yield open_object_store(mount.as_uri()), mount
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)


def test_full_disk_is_told_as_such_and_passes(full_store: tuple[HashedObjectStore, Path]) -> None:
    store, mount = full_store
    put(store, b"small")
    with pytest.raises(AnimusError) as large:
        put(store, LARGE)
    until(lambda: shutil.disk_usage(mount).free > 1 << 19)  # the store's own thread removes what it gave up
    (mount / "filler").write_bytes(b"x" * (1 << 19))
    with pytest.raises(AnimusError) as caught:
        put(store, b"x" * (1 << 20))
    assert (large.value.code, caught.value.code) == ("storage_full", "storage_full")
    (mount / "filler").unlink()
    put(store, b"again")
    assert read(store, digest_bytes(b"small")) == b"small"


def test_store_that_cannot_be_written_fails_its_check(store: HashedObjectStore, root: Path) -> None:
    asyncio.run(store.check())
    root.rmdir()
    root.write_bytes(b"no directory")
    with pytest.raises(AnimusError) as caught:
        asyncio.run(store.check())
    assert caught.value.code == "service_unavailable"
