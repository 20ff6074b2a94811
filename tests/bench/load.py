# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A closed-loop HTTP load: each client sends its next request when the last one was answered.

One kept-alive connection per client, in processes of its own, so that the same generator with the same cost drives
both sides. It shares the machine with what it measures, so it does as little as it can: a request is bytes with a
fresh key in them, and of an answer it reads the status and how long it is. Loopback only.
"""

from __future__ import annotations

import json
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from animus.keys import new_key

PROCESSES = 2
MARK = "$KEY"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What to send: ``POST path`` with a JSON ``body``; ``$KEY`` in body or headers becomes a fresh unique text."""

    port: int
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    clients: int
    seconds: float
    expect: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """Answered requests per second, the median latency in milliseconds, and how many answers were not as expected."""

    per_second: float
    p50_ms: float
    errors: int


def drive(load: Load) -> Throughput:
    """Run the load from :data:`PROCESSES` child processes and sum up."""
    share = json.dumps(
        {
            "port": load.port,
            "path": load.path,
            "headers": load.headers,
            "body": load.body,
            "clients": load.clients // PROCESSES,
            "seconds": load.seconds,
            "expect": load.expect,
        }
    )
    children = [
        subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    answers = []
    for child in children:
        assert child.stdin is not None
        child.stdin.write(share)
        child.stdin.close()
    for child in children:
        assert child.stdout is not None
        answers.append(json.loads(child.stdout.read()))
        child.wait(timeout=30)
    latencies = sorted(value for answer in answers for value in answer["latencies"])
    return Throughput(
        per_second=len(latencies) / load.seconds,
        p50_ms=statistics.median(latencies) * 1000 if latencies else 0.0,
        errors=sum(answer["errors"] for answer in answers),
    )


def _client(spec: dict[str, Any], latencies: list[float], errors: list[int], deadline: float) -> None:
    body = json.dumps(spec["body"])
    length = len(body.replace(MARK, new_key()))
    headers = {"Host": "127.0.0.1", "Content-Length": str(length)} | spec["headers"]
    lines = [f"POST {spec['path']} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", body]
    request = "\r\n".join(lines)
    with socket.create_connection(("127.0.0.1", spec["port"]), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while time.perf_counter() < deadline:
            sent = request.replace(MARK, new_key()).encode()
            begin = time.perf_counter()
            connection.sendall(sent)
            status = _answer(connection)
            if status == spec["expect"]:
                latencies.append(time.perf_counter() - begin)
            else:
                errors.append(status)


def _answer(connection: socket.socket) -> int:
    """Read one answer to its end and return its status.

    Raises:
        ConnectionError: If the server hung up, or does not say how long its answer is.
    """
    received = b""
    while (end := received.find(b"\r\n\r\n")) < 0:
        received += _more(connection)
    length = _LENGTH.search(received, 0, end + 2)
    if length is None:
        message = f"an answer without Content-Length: {received[:end]!r}"
        raise ConnectionError(message)
    missing = end + 4 + int(length[1]) - len(received)
    while missing > 0:
        missing -= len(_more(connection))
    return int(received[9:12])


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        message = "the server hung up"
        raise ConnectionError(message)
    return data


def _main() -> None:
    spec = json.loads(sys.stdin.read())
    latencies: list[float] = []
    errors: list[int] = []
    deadline = time.perf_counter() + spec["seconds"]
    threads = [
        threading.Thread(target=_client, args=(spec, latencies, errors, deadline)) for _ in range(spec["clients"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stdout.write(json.dumps({"latencies": latencies, "errors": len(errors)}))


if __name__ == "__main__":
    _main()
