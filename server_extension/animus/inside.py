# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What user code may say to the platform from inside a run: values and files, never a verdict.

The kernel holds no token. Requests go as JSON lines over a unix socket to the run's supervisor, which checks, keeps
and forwards them; a call returns only after the supervisor has it, or raises. Standard library only, because this
module is imported in the run's own environment.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from animus.errors import AnimusError, OutsideRunError

REPLY_SECONDS = 60.0
MAX_NUMPY_SEED = 2**32


def is_inside() -> bool:
    """Say whether this process runs inside a governed run."""
    return "ANIMUS_RUN_ID" in os.environ


def _setting(name: str, what: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise OutsideRunError(
            "outside_run",
            f"{what} exists only inside a run",
            remedy="submit the notebook with %animus run, or guard the line with `if animus.is_inside():`",
        )
    return value


class Channel:
    """One connection per process to the run's supervisor; calls of several threads take turns."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._replies: Any = None
        self._owner = 0

    def ask(self, request: dict[str, Any]) -> None:
        """Send one request and wait until it is accepted.

        Raises:
            AnimusError: If the supervisor refuses it or does not answer.
        """
        address = _setting("ANIMUS_RUN_SOCKET", f"animus.log_{request['type']}")
        line = json.dumps(request, allow_nan=False).encode() + b"\n"
        with self._lock:
            try:
                self._connect(address).sendall(line)
                reply = json.loads(self._replies.readline() or "null")
            except (OSError, ValueError) as error:
                self.close()
                raise AnimusError("supervisor_silent", f"the run's supervisor does not answer: {error}") from error
            if not isinstance(reply, dict):
                self.close()
                raise AnimusError("supervisor_silent", "the run's supervisor closed the channel")
        if not reply.get("ok"):
            fault = reply.get("error") or {}
            raise AnimusError(str(fault.get("code", "refused")), str(fault.get("message", "refused")))

    def close(self) -> None:
        """Hang up; the next request connects anew."""
        if self._socket is not None:
            self._replies.close()
            self._socket.close()
            self._socket = None

    def _connect(self, address: str) -> socket.socket:
        # A forked child (multiprocessing) must not share its parent's connection: replies would cross.
        if self._owner != os.getpid():
            self.close()
        if self._socket is None:
            made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            made.settimeout(REPLY_SECONDS)
            try:
                made.connect(address)
            except OSError:
                made.close()
                raise
            self._socket, self._replies, self._owner = made, made.makefile("r", encoding="utf-8"), os.getpid()
        return self._socket


class Inputs(Mapping[str, Path]):
    """The dataset versions bound to the run, by the name under which they were bound."""

    def __getitem__(self, name: str) -> Path:
        """Return the input's file, or its folder when it holds several.

        Raises:
            KeyError: If no input of that name is bound; the message lists the ones that are.
        """
        folder = self._folder() / name
        if name not in set(self):
            raise KeyError(f"no input {name!r} is bound to this run; bound: {', '.join(self) or 'none'}")
        files = [Path(where) / file for where, _, names in os.walk(folder) for file in names]
        return files[0] if len(files) == 1 else folder

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(entry.name for entry in self._folder().iterdir()))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"Inputs({', '.join(self)})" if is_inside() else "Inputs(outside a run)"

    def _folder(self) -> Path:
        return Path(_setting("ANIMUS_INPUTS_DIR", "animus.inputs"))


_channel = Channel()
_steps: dict[str, int] = {}
inputs = Inputs()


def log_metric(name: str, value: float, step: int | None = None) -> None:
    """Record one measured value of the run.

    Args:
        name: Letters, digits, ``.``, ``_`` and ``-``; at most 64 characters.
        value: A finite number; NumPy and torch scalars are accepted.
        step: Position in the series; when absent, one more than the last one of this name, beginning with 0.

    Raises:
        ValueError: If the value is not a finite number.
        OutsideRunError: Outside a run.
        AnimusError: If the supervisor refuses it.
    """
    _setting("ANIMUS_RUN_SOCKET", "animus.log_metric")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"metric {name!r} must be a finite number, not {number}")
    place = _steps.get(name, -1) + 1 if step is None else int(step)
    _channel.ask({"type": "metric", "name": name, "step": place, "value": number})
    _steps[name] = place


def log_artifact(path: str | os.PathLike[str], name: str | None = None) -> None:
    """Keep a copy of a file as an artifact of the run.

    Args:
        path: A regular file in the run's writable folders.
        name: Name of the artifact; the file's own name when absent.

    Raises:
        FileNotFoundError: If there is no such file.
        OutsideRunError: Outside a run.
        AnimusError: If the supervisor refuses it.
    """
    _setting("ANIMUS_RUN_SOCKET", "animus.log_artifact")
    file = Path(path).absolute()
    if not file.is_file():
        raise FileNotFoundError(f"no file to log at {os.fspath(path)!r}")
    _channel.ask({"type": "artifact", "name": name or file.name, "path": str(file)})


def seed(number: int | None = None) -> int:
    """Seed ``random`` and, where they are installed, NumPy and torch; a run notes it in its provenance.

    Args:
        number: The seed, of at most 2**53 - 1; the run's own when absent.

    Returns:
        The number, so that it can be passed on (``RandomForestClassifier(random_state=animus.seed())``).

    Raises:
        OutsideRunError: If no number is given, here or to the run.
        AnimusError: If the run's supervisor refuses it.
    """
    import random  # noqa: PLC0415  # only who seeds pays for it: importing animus must stay cheap

    if number is None:
        number = int(_setting("ANIMUS_SEED", "a seed that was given with `%animus run --seed NUMBER`"))
    random.seed(number)
    if importlib.util.find_spec("numpy"):
        importlib.import_module("numpy").random.seed(number % MAX_NUMPY_SEED)
    if importlib.util.find_spec("torch"):
        importlib.import_module("torch").manual_seed(number)
    if os.environ.get("ANIMUS_RUN_SOCKET"):
        _channel.ask({"type": "seed", "number": number})
    return number


def __getattr__(name: str) -> Any:
    """Resolve ``outputs`` when it is used: the run's writable folder, whose files become artifacts."""
    if name == "outputs":
        return Path(_setting("ANIMUS_OUTPUTS_DIR", "animus.outputs"))
    raise AttributeError(f"module 'animus.inside' has no attribute {name!r}")
