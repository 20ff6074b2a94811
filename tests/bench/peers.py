# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The peers, each in an environment of its own, installed from a lock with hashes, in its best configuration."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.measure import PeerFailedError

LOCKS = Path(__file__).parent / "peers"
READY_SECONDS = 90


def environment(name: str, folder: Path) -> Path:
    """Install the peer ``name`` from its lock, once; return the folder of its environment."""
    target = folder / name
    stamp = target / "installed-from"
    lock = LOCKS / f"{name}.txt"
    if stamp.exists() and stamp.read_text() == lock.read_text():
        return target
    shutil.rmtree(target, ignore_errors=True)
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        message = "uv is not installed beside this interpreter"
        raise RuntimeError(message)
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(target)], check=True)
    subprocess.run(
        [uv, "pip", "sync", "--quiet", "--require-hashes", str(lock)],
        check=True,
        env=os.environ | {"VIRTUAL_ENV": str(target)},
    )
    stamp.write_text(lock.read_text())
    return target


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def call(method: str, url: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
    """Make one JSON request to a server on this machine and return the decoded answer."""
    request = urllib.request.Request(  # noqa: S310 - only loopback addresses are built in this folder
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"} | (headers or {}),
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return json.loads(answer.read() or b"null")


@contextmanager
def served(command: list[str], ready_url: str, *, log: Path, **options: Any) -> Iterator[None]:
    """Run a server until the block ends; enter the block when ``ready_url`` answers."""
    with log.open("wb") as sink:
        server = subprocess.Popen(command, stdout=sink, stderr=sink, start_new_session=True, **options)
    try:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                urllib.request.urlopen(ready_url, timeout=2)  # noqa: S310
                break
            except (urllib.error.URLError, OSError):
                if time.monotonic() > deadline or server.poll() is not None:
                    message = f"{command[0]} did not become ready; see {log}"
                    raise RuntimeError(message) from None
                time.sleep(0.1)
        yield
    finally:
        os.killpg(server.pid, 15)
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, 9)
            server.wait()


def clean_variables(environment_folder: Path) -> dict[str, str]:
    """Return variables for a peer: its own programs first, and nothing that would slow Python down."""
    dropped = {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONPATH", "VIRTUAL_ENV"}
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    return kept | {"PATH": f"{environment_folder / 'bin'}{os.pathsep}{kept['PATH']}"}


def papermill(environment_folder: Path, notebook: Path, output: Path) -> None:
    """Run the ``papermill`` command."""
    subprocess.run(
        [str(environment_folder / "bin" / "papermill"), "--no-progress-bar", str(notebook), str(output)],
        check=True,
        capture_output=True,
        env=clean_variables(environment_folder),
    )


@contextmanager
def mlflow(environment_folder: Path, folder: Path) -> Iterator[tuple[int, str]]:
    """Run an MLflow server on SQLite; gives its port and an experiment id."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        str(environment_folder / "bin" / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port),
        "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination", str(folder / "artifacts"),
    ]  # fmt: skip
    with served(
        command,
        f"http://127.0.0.1:{port}/health",
        log=folder / "server.log",
        env=clean_variables(environment_folder),
        cwd=folder,
    ):
        made = call("POST", f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/create", {"name": "bench"})
        yield port, made["experiment_id"]


@contextmanager
def jupyter_scheduler(environment_folder: Path, folder: Path) -> Iterator[str]:
    """Run JupyterLab with jupyter-scheduler in ``folder``; gives the base URL."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        str(environment_folder / "bin" / "jupyter"), "lab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
        f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=",
        "--ServerApp.disable_check_xsrf=True",
        f"--ServerApp.root_dir={folder}", f"--SchedulerApp.db_url=sqlite:///{folder / 'scheduler.sqlite'}",
    ]  # fmt: skip
    base = f"http://127.0.0.1:{port}"
    variables = clean_variables(environment_folder) | {"HOME": str(folder), "JUPYTER_DATA_DIR": str(folder / "data")}
    with served(command, f"{base}/api/status", log=folder / "server.log", env=variables, cwd=folder):
        yield base


def scheduler_jobs(base: str, notebook: str, count: int = 1) -> None:
    """Submit a notebook to jupyter-scheduler ``count`` times at once and wait until it says that all completed."""
    request = {
        "name": "bench",
        "input_uri": notebook,
        "runtime_environment_name": "python",
        "output_formats": ["ipynb"],
    }
    waiting = [call("POST", f"{base}/scheduler/jobs", request)["job_id"] for _ in range(count)]
    failed: list[Any] = []
    deadline = time.monotonic() + READY_SECONDS * count
    while waiting and time.monotonic() < deadline:
        time.sleep(0.05)
        jobs = [call("GET", f"{base}/scheduler/jobs/{job_id}") for job_id in waiting]
        failed += [job for job in jobs if job["status"] == "FAILED"]
        # A job that has not begun says STOPPED: it is the initial value there.
        waiting = [job["job_id"] for job in jobs if job["status"] not in {"COMPLETED", "FAILED"}]
    if waiting or failed:
        said = sorted({str(job.get("status_message")) for job in failed})
        message = f"jupyter-scheduler: of {count} jobs {len(failed)} failed, {len(waiting)} did not end: {said}"
        raise PeerFailedError(message)
