# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A closed-loop HTTP load: each client sends its next request when the last one was answered.

Plain ``http.client`` with one kept-alive connection per client, in processes of its own, so that the same generator
with the same cost drives both sides. Traffic goes to the loopback interface only.
"""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Any

PROCESSES = 2


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
    connection = http.client.HTTPConnection("127.0.0.1", spec["port"], timeout=30)
    body_template, header_template = json.dumps(spec["body"]), json.dumps(spec["headers"])
    while time.perf_counter() < deadline:
        key = uuid.uuid4().hex
        begin = time.perf_counter()
        connection.request(
            "POST", spec["path"], body_template.replace("$KEY", key), json.loads(header_template.replace("$KEY", key))
        )
        answer = connection.getresponse()
        answer.read()
        if answer.status == spec["expect"]:
            latencies.append(time.perf_counter() - begin)
        else:
            errors.append(answer.status)
    connection.close()


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
