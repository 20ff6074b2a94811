# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Tasks: one at a time, each in a process of its own that is given bytes and no credential.

The process reads its request and writes its answer; it is killed when the lease is about to end, and with the
executor. Whatever it could not do is told with its last words, and somebody else may try.
"""

from __future__ import annotations

import hashlib
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from animus_contracts.artifacts import ArtifactEntry, ArtifactKind
from animus_contracts.comparisons import ComparedFile, ComparedRun, ComparisonRequest, OutputComparison
from animus_contracts.decoding import decode_json
from animus_contracts.inspections import InspectionRequest, InspectNotebook, NotebookFindings
from animus_contracts.tasks import EndTask, LeaseTask, TaskEnded, TaskFailed, TaskLease, TaskResult
from animus_executor.agent import FIRST_PAUSE, LONGEST_PAUSE, WAIT_SECONDS
from animus_executor.backends.process import KEPT_VARIABLES
from animus_executor.control_plane import ProtocolError, RefusedError, StaleError, UnreachableError
from animus_executor.folders import remove
from animus_executor.settings import Settings

MARGIN_SECONDS = 10.0
"""How long before the end of its lease a task is given up, so that somebody is told."""

FETCHED_BYTES = 64 << 20
"""Larger files are compared by their digests only, so nobody fetches them."""

LAST_WORDS = 500

log = logging.getLogger(__name__)
T = TypeVar("T")


class GivesTasks(Protocol):
    """The control plane, as far as tasks need it."""

    def lease_task(self, request: LeaseTask) -> TaskLease | None:
        """Wait for a task."""

    def task_object(self, task_id: str, digest: str) -> AbstractContextManager[Iterator[bytes]]:
        """Fetch bytes."""

    def end_task(self, task_id: str, message: EndTask) -> TaskEnded:
        """Tell what came of a task."""


class NotDoneError(Exception):
    """The task could not be done here and now; the message says why."""


class TaskWorker:
    """Does tasks until it is stopped.

    Args:
        control_plane: Who gives tasks.
        settings: The executor's configuration.
        cache: Where repositories are cached, shared with runs.
        folder: Where tasks have their files; emptied when the worker is made.
    """

    def __init__(self, control_plane: GivesTasks, settings: Settings, *, cache: Path, folder: Path) -> None:
        self._control_plane = control_plane
        self._settings = settings
        self._cache = cache
        self._folder = folder
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="tasks", daemon=True)
        remove(folder)

    def start(self) -> None:
        """Begin to ask for tasks."""
        self._thread.start()

    def stop(self) -> None:
        """Take no further task and give up the one at work; the control plane hands it out again."""
        self._stopping.set()
        _kill(self._process)

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            asked_at = time.monotonic()
            try:
                lease = self._control_plane.lease_task(LeaseTask(wait_seconds=WAIT_SECONDS))
            except ProtocolError as error:
                log.warning("no task: %s", error)
                self._stopping.wait(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load, guards nothing
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            if lease is not None and not self._stopping.is_set():
                self.do(lease, asked_at)

    def do(self, lease: TaskLease, asked_at: float) -> None:
        """Do one task and tell what came of it.

        Args:
            lease: The lease.
            asked_at: Monotonic time before it was asked for.
        """
        deadline = asked_at + lease.lease_seconds - MARGIN_SECONDS
        folder = self._folder / lease.task_id
        try:
            folder.mkdir(parents=True, mode=0o700)
            result = self._result(lease, folder, deadline)
        except (NotDoneError, OSError, ProtocolError) as error:
            log.warning("task %s was not done: %s", lease.task_id, error)
            result = TaskFailed(reason=str(error)[:LAST_WORDS])
        except Exception as error:  # the edge of the thread: one task's fault must not end the others
            log.exception("task %s broke", lease.task_id)
            result = TaskFailed(reason=type(error).__name__)
        finally:
            remove(folder)
        if not self._stopping.is_set():
            self._end(lease, result, deadline + MARGIN_SECONDS)

    def _result(self, lease: TaskLease, folder: Path, deadline: float) -> TaskResult:
        if lease.comparison is not None:
            request = self._with_bytes(lease, lease.comparison, folder)
            return self._asked("animus_runner.comparison", request, OutputComparison, deadline)
        if not isinstance(lease.request, InspectNotebook):
            raise NotDoneError(f"this executor does not know how to do {type(lease.request).__name__}")
        asked = self._inspection(lease.request, folder, deadline)
        return self._asked("animus_runner.inspection", asked, NotebookFindings, deadline)

    def _inspection(self, asked: InspectNotebook, folder: Path, deadline: float) -> InspectionRequest:
        return InspectionRequest(
            repository=asked.repository,
            ref=asked.ref,
            path=asked.path,
            repositories=list(self._settings.repositories),
            cache_folder=str(self._cache),
            folder=str(folder),
            fetch_seconds=max(1.0, min(self._settings.fetch_seconds, deadline - time.monotonic())),
            fetch_mib=self._settings.fetch_mib,
        )

    def _asked(self, module: str, request: Any, answer: type[T], deadline: float) -> T:
        command = [sys.executable, "-P", "-m", module]  # the executor's own folder is no place for modules
        environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        with subprocess.Popen(  # noqa: S603 - our own module
            command, env=environment, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            self._process = process
            try:
                told, words = process.communicate(
                    msgspec.json.encode(request), timeout=max(0.0, deadline - time.monotonic())
                )
            except subprocess.TimeoutExpired as error:
                raise NotDoneError("it took longer than a task may take") from error
            finally:
                _kill(process)
                self._process = None
        if process.returncode:
            last = words.decode(errors="replace").strip()[-LAST_WORDS:]
            raise NotDoneError(last or f"its process ended with status {process.returncode}")
        try:
            return decode_json(told, answer)
        except msgspec.DecodeError as error:
            raise NotDoneError(f"its process gave no answer that can be read: {error}") from error

    def _with_bytes(self, lease: TaskLease, request: ComparisonRequest, folder: Path) -> ComparisonRequest:
        """Fetch what has to be looked at: notebooks always, of the rest what has not the same bytes on both sides."""
        known = [{file.entry.digest for file in side.artifacts} for side in (request.left, request.right)]
        same = known[0] & known[1]

        def filled(side: ComparedRun) -> ComparedRun:
            files = [self._fetched(lease, file.entry, folder, same) for file in side.artifacts]
            return msgspec.structs.replace(side, artifacts=files)

        return msgspec.structs.replace(request, left=filled(request.left), right=filled(request.right))

    def _fetched(self, lease: TaskLease, entry: ArtifactEntry, folder: Path, same: set[Any]) -> ComparedFile:
        is_needed = entry.kind is ArtifactKind.NOTEBOOK or entry.digest not in same
        if not is_needed or entry.size_bytes > FETCHED_BYTES:
            return ComparedFile(entry=entry, path=None)
        path = folder / entry.digest.partition(":")[2]
        is_there = path.exists() or patiently(lambda: self._fetch(lease.task_id, entry, path))
        return ComparedFile(entry=entry, path=str(path) if is_there else None)

    def _fetch(self, task_id: str, entry: ArtifactEntry, path: Path) -> bool:
        seen = hashlib.sha256()
        try:
            with self._control_plane.task_object(task_id, entry.digest) as chunks, path.open("wb") as file:
                for chunk in chunks:
                    seen.update(chunk)
                    file.write(chunk)
        except (StaleError, RefusedError) as error:
            log.warning("the bytes of %r are gone: %s", entry.name, error)
            path.unlink(missing_ok=True)
            return False
        if f"sha256:{seen.hexdigest()}" != entry.digest:
            path.unlink()
            return False
        return True

    def _end(self, lease: TaskLease, result: TaskResult, deadline: float) -> None:
        pause = FIRST_PAUSE
        while time.monotonic() < deadline and not self._stopping.is_set():
            try:
                self._control_plane.end_task(lease.task_id, EndTask(attempt=lease.attempt, result=result))
            except UnreachableError as error:
                log.warning("the end of task %s was not answered: %s", lease.task_id, error)
                self._stopping.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            except StaleError as error:
                log.warning("task %s is not ours any more: %s", lease.task_id, error)
                return
            except ProtocolError as error:  # whoever waits shall not wait for an answer that cannot be taken
                if isinstance(result, TaskFailed):
                    return
                result = TaskFailed(reason=str(error)[:LAST_WORDS], is_final=True)
            else:
                return


def patiently(step: Callable[[], T], *, tries: int = 5) -> T:
    """Repeat a step a few times while the control plane cannot be reached."""
    for attempt in range(tries - 1):
        try:
            return step()
        except UnreachableError:
            time.sleep(FIRST_PAUSE * 2**attempt)
    return step()


def _kill(process: subprocess.Popen[bytes] | None) -> None:
    """Kill a process with everything it started; git is one of them."""
    if process is not None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
