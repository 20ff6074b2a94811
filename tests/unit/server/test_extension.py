# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The server extension in a real Jupyter server, before a real control plane: what gets through, and what does not."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from animus.client import Client
from animus.following import messages
from animus.session import Session
from animus_contracts.endpoint import Caller
from animus_contracts.endpoints import ENDPOINTS
from animus_contracts.runs import CodeRef, Run, SubmitRun
from animus_control.storage.engine import open_database
from animus_server.control_plane import endpoint_of
from tests.api.conftest import Server, key, serve

WORKSPACE_TOKEN = "workspace-canary-0123456789"
LOGIN = "login-0123456789"
PATHS = ["/animus/context?path=x.ipynb", "/animus/api/v1/identity", "/animus/api/v1/projects"]
ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Lab:
    """A running Jupyter server."""

    url: str
    root: Path
    plane: Server


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    database = open_database(f"sqlite:///{folder / 'animus.db'}")
    with serve(database) as plane:
        plane.users.known[WORKSPACE_TOKEN] = plane.users.known["root"]
        with jupyter(folder, plane) as running:
            yield running
    database.close()


class jupyter:  # noqa: N801 - reads as a verb where it is used
    """Run a Jupyter server in a process of its own while the block lasts."""

    def __init__(self, folder: Path, plane: Server) -> None:
        self.root, self.plane = folder / "root", plane
        self.root.mkdir()
        self.log = folder / "log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        config = folder / "config"
        config.mkdir()
        enabled = ROOT / "server_extension" / "jupyter-config" / "server-config" / "animus_server.json"
        (config / "jupyter_server_config.d").mkdir()
        (config / "jupyter_server_config.d" / "animus_server.json").write_bytes(enabled.read_bytes())
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "JUPYTER_CONFIG_DIR": str(config),
            "ANIMUS_URL": plane.url.rstrip("/"),
            "JUPYTERHUB_API_TOKEN": WORKSPACE_TOKEN,
        }

    def __enter__(self) -> Lab:
        command = [
            sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", f"--port={self.port}",
            f"--ServerApp.root_dir={self.root}", f"--IdentityProvider.token={LOGIN}",
            "--ServerApp.authorizer_class=tests.fakes.authorizer.AuthorizerByHeader",
        ]  # fmt: skip
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, cwd=self.root)
        url = f"http://127.0.0.1:{self.port}"
        for _ in range(300):
            try:
                httpx.get(f"{url}/login", timeout=1, trust_env=False)
                return Lab(url=url, root=self.root, plane=self.plane)
            except httpx.TransportError:
                assert self.process.poll() is None, self.log.read_text()
                time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(20)
        assert WORKSPACE_TOKEN not in self.log.read_text()


@pytest.fixture
def browser(lab: Lab) -> Iterator[httpx.Client]:
    """A browser that has logged in; the XSRF token is in its cookies."""
    with httpx.Client(base_url=lab.url, timeout=20, trust_env=False, follow_redirects=True) as logged_in:
        logged_in.get("/login")
        form = {"password": LOGIN, "_xsrf": logged_in.cookies["_xsrf"]}
        logged_in.post("/login", data=form).raise_for_status()
        yield logged_in


def xsrf(browser: httpx.Client) -> dict[str, str]:
    return {"X-XSRFToken": browser.cookies["_xsrf"]}


@pytest.fixture
def project(lab: Lab) -> str:
    name = f"p{uuid4().hex[:12]}"
    with lab.plane.client("root") as root:
        root.post("/projects", json={"name": name}, headers=key()).raise_for_status()
    return name


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", PATHS)
def test_nobody_gets_anything_without_login(lab: Lab, method: str, path: str) -> None:
    answer = httpx.request(method, lab.url + path, trust_env=False)
    assert answer.status_code in {403, 405}, answer.text
    assert "items" not in answer.text


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", PATHS)
def test_the_servers_authorizer_is_asked_for_every_method(browser: httpx.Client, method: str, path: str) -> None:
    answer = browser.request(method, path, headers=xsrf(browser) | {"X-Deny": "animus"})
    is_missing = path.startswith("/animus/context") and method != "GET"
    assert answer.status_code == (405 if is_missing else 403), answer.text


def test_the_user_sees_what_the_workspaces_token_may_see(browser: httpx.Client, project: str) -> None:
    answer = browser.get("/animus/api/v1/projects")
    assert answer.status_code == 200
    assert project in {one["name"] for one in answer.json()["items"]}
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_browser_creates_with_the_xsrf_token_and_learns_where_the_new_thing_is(browser: httpx.Client) -> None:
    name = f"p{uuid4().hex[:12]}"
    headers = xsrf(browser) | key() | {"Content-Type": "application/json"}
    answer = browser.post("/animus/api/v1/projects", content=json.dumps({"name": name}), headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"].startswith("/animus/api/v1/projects/")
    assert browser.get(answer.headers["Location"]).json()["name"] == name


def test_without_the_xsrf_token_nothing_is_written(browser: httpx.Client, lab: Lab) -> None:
    name = f"p{uuid4().hex[:12]}"
    answer = browser.post("/animus/api/v1/projects", content=json.dumps({"name": name}), headers=key())
    assert answer.status_code == 403
    with lab.plane.client("root") as root:
        assert name not in root.get("/projects").text


@pytest.mark.parametrize("origin", ["https://evil.test", "http://127.0.0.1.evil.test", "null"])
def test_another_origin_neither_reads_nor_writes(browser: httpx.Client, origin: str) -> None:
    read = browser.get("/animus/api/v1/projects", headers={"Origin": origin})
    assert read.status_code in {403, 404}
    assert "items" not in read.text
    body = json.dumps({"name": f"p{uuid4().hex[:12]}"})
    write = browser.post("/animus/api/v1/projects", content=body, headers=xsrf(browser) | key() | {"Origin": origin})
    assert write.status_code in {403, 404}


def test_the_workspaces_token_never_reaches_the_browser(browser: httpx.Client, project: str) -> None:
    paths = ["identity", "projects", f"projects/{project}", f"projects/{project}/runs", "projects/none", "leases"]
    for path in paths:
        answer = browser.get(f"/animus/api/v1/{path}")
        assert WORKSPACE_TOKEN not in answer.text + str(answer.headers)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "leases"),
        ("POST", "executions/x:start"),
        ("GET", "executions/x/inputs/y"),
        ("GET", "../../hub/api/users"),
        ("GET", "projects/%2e%2e/%2e%2e/metrics"),
        ("GET", "projects/../../../metrics"),
        ("GET", "projects//runs"),
        ("GET", "openapi.json"),
        ("DELETE", "projects/p"),
        ("PUT", "projects/p/objects/sha256:abc"),
    ],
)
def test_what_is_not_for_users_does_not_exist(browser: httpx.Client, method: str, path: str) -> None:
    answer = browser.request(method, f"/animus/api/v1/{path}", headers=xsrf(browser))
    assert answer.status_code in {403, 404}, answer.text


def test_every_user_endpoint_and_no_other_is_passed_on() -> None:
    for endpoint in ENDPOINTS:
        names = dict.fromkeys(re.findall(r"{(\w+)}", endpoint.url), "0198-a_b.c")
        path = endpoint.url.lstrip("/").format_map(names | {"digest": "sha256:" + "0" * 64})
        found = endpoint_of(endpoint.method, path)
        assert found == (endpoint if endpoint.caller is Caller.USER else None), endpoint.operation


def test_problems_of_the_control_plane_arrive_as_they_are(browser: httpx.Client) -> None:
    answer = browser.get("/animus/api/v1/projects/nowhere")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["code"] == "not_found"


def test_events_are_streamed_while_they_happen(browser: httpx.Client, lab: Lab, project: str) -> None:
    url = f"/animus/api/v1/projects/{project}/events"
    with Client(Session(url=lab.plane.url.rstrip("/"), token="root", project=project)) as client:
        with browser.stream("GET", url, timeout=10) as reply:
            assert reply.headers["content-type"].startswith("text/event-stream")
            run = submit(client)
            first = next(messages(reply.iter_lines()))  # the stream is open still: nothing was held back
        assert json.loads(first)["run_id"] == run.run_id
        client.runs.cancel(run.run_id)
    assert browser.get("/animus/api/v1/identity").status_code == 200  # the server survived the reader's leaving


def submit(client: Client) -> Run:
    environment = client.environments.define("science", python="3.11", requirements=[])
    lock = client.environments.lock(environment, "ipykernel==7.1.0 --hash=sha256:" + "a" * 64)
    code = CodeRef(repository="https://git.example.org/r.git", commit="0" * 40, path="train.ipynb")
    return client.runs.submit(SubmitRun(code=code, environment_lock_id=lock.lock_id))


def test_the_context_tells_where_a_notebook_stands(browser: httpx.Client, lab: Lab) -> None:
    work = lab.root / "work"
    work.mkdir()
    source = "depth: int = 3  # how deep"
    cell = {"cell_type": "code", "id": "p", "metadata": {"tags": ["parameters"]}, "source": source, "outputs": [],
            "execution_count": None}  # fmt: skip
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (work / "train.ipynb").write_text(json.dumps(notebook))
    who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], [*who, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", str(work), *words], check=True)
    answer = browser.get("/animus/context", params={"path": "work/train.ipynb"})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["path"], told["branch"], told["changed"]) == ("train.ipynb", "main", [])
    assert told["parameters"][0] | {"help": "how deep"} == told["parameters"][0]


@pytest.mark.parametrize("path", ["missing.ipynb", "../secret.ipynb", "/etc/passwd", "link.ipynb", "--help"])
def test_the_context_stays_below_the_servers_root(browser: httpx.Client, lab: Lab, path: str) -> None:
    outside = lab.root.parent / "secret.ipynb"
    outside.write_text("{}")
    link = lab.root / "link.ipynb"
    if not link.is_symlink():
        link.symlink_to(outside)
    answer = browser.get("/animus/context", params={"path": path})
    assert (answer.status_code, answer.json()["code"]) == (404, "notebook_not_found")


def test_an_unversioned_notebook_is_told_in_the_commands_own_words(browser: httpx.Client, lab: Lab) -> None:
    (lab.root / "loose.ipynb").write_text(json.dumps({"cells": []}))
    answer = browser.get("/animus/context", params={"path": "loose.ipynb"})
    assert (answer.status_code, answer.json()["code"]) == (422, "no_repository")
