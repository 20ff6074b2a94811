# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A cookie opens pages; the API opens to it only from our own page, which alone knows the XSRF token."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from jupyterhub.services.auth import HubOAuth  # type: ignore[import-untyped]  # it ships no types
from tornado.web import create_signed_value

from animus_contracts.endpoint import Caller, Endpoint
from animus_contracts.endpoints import ENDPOINTS
from animus_control.api.browser import Browser
from animus_control.services.ports import Database
from tests.api.conftest import NO_TLS, PREFIX, Server, key, serve
from tests.api.world import populate, send

COOKIE = "service-animus"


@pytest.fixture(scope="module")
def server(database: Database) -> Iterator[Server]:
    hub_auth = HubOAuth(
        api_url="http://127.0.0.1:9/hub/api", api_token="t", base_url=PREFIX, oauth_client_id=COOKIE, cache_max_age=1
    )
    with serve(database, browser=Browser(hub_auth)) as running:
        yield running


class Page:
    """A browser that is signed in and has opened the start page."""

    def __init__(self, server: Server, token: str = "ann") -> None:  # noqa: S107 - the fake Hub knows tokens by user name
        cookie = create_signed_value(server.application.settings["cookie_secret"], COOKIE, token).decode()
        self.client = httpx.Client(base_url=server.url, cookies={COOKIE: cookie}, trust_env=False, verify=NO_TLS)
        self.shell = self.client.get("")
        found = re.search(r'name="xsrf" content="([^"]+)"', self.shell.text)
        self.xsrf = found[1] if found else ""

    def request(self, method: str, path: str, *, xsrf: bool = True, **headers: str) -> httpx.Response:
        sent = key() | ({"X-XSRFToken": self.xsrf} if xsrf else {}) | headers
        body = {"json": {"name": f"n{key()['Idempotency-Key'][:10]}"}} if method == "POST" else {}
        return self.client.request(method, f"api/v1{path}", headers=sent, **body)  # type: ignore[arg-type]


@pytest.fixture
def page(server: Server) -> Iterator[Page]:
    opened = Page(server)
    yield opened
    opened.client.close()


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_stranger_is_sent_to_the_hub_with_state_and_a_pkce_challenge(server: Server) -> None:
    answer = httpx.get(server.url + "projects/demo", verify=NO_TLS)
    target = urlsplit(answer.headers["Location"])
    query = parse_qs(target.query)
    assert (answer.status_code, target.netloc, target.path) == (302, "", "/hub/api/oauth2/authorize")
    assert query["code_challenge_method"] == ["S256"]
    assert query["state"]
    assert "HttpOnly" in answer.headers["Set-Cookie"]


def test_a_page_holds_no_data_no_inline_script_and_a_strict_policy(page: Page) -> None:
    policy = page.shell.headers["Content-Security-Policy"]
    assert page.shell.status_code == 200
    assert "default-src 'none'; script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "ann" not in page.shell.text
    assert re.findall(r"<script(?![^>]*\bsrc=)|\son\w+=|style=|javascript:", page.shell.text) == []


def test_the_script_writes_no_markup() -> None:
    with open("hub_extension/animus_control/api/static/page.js", encoding="utf-8") as file:  # noqa: PTH123 - plain
        source = file.read()
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", source) == []


def test_the_api_needs_the_pages_own_token_even_to_read(page: Page) -> None:
    assert page.request("GET", "/identity").json()["name"] == "ann"
    assert code(page.request("GET", "/identity", xsrf=False)) == (403, "xsrf_failed")
    assert code(page.request("GET", "/identity", **{"X-XSRFToken": "x" * len(page.xsrf)})) == (403, "xsrf_failed")


def test_the_token_of_another_session_is_no_token(server: Server, page: Page) -> None:
    other = Page(server, "ed")
    assert code(page.request("GET", "/identity", **{"X-XSRFToken": other.xsrf})) == (403, "xsrf_failed")
    other.client.close()


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_origin_is_refused_even_with_the_token(page: Page, method: str, headers: dict[str, str]) -> None:
    assert code(page.request(method, "/projects", **headers)) == (403, "xsrf_failed")


def test_our_own_page_may_write(server: Server) -> None:
    root = Page(server, "root")
    own = {"Origin": server.url.removesuffix(PREFIX), "Sec-Fetch-Site": "same-origin"}
    assert root.request("POST", "/projects", **own).status_code == 201
    root.client.close()


@pytest.mark.parametrize(
    "endpoint",
    [endpoint for endpoint in ENDPOINTS if endpoint.caller is not Caller.USER],
    ids=lambda endpoint: endpoint.operation,
)
def test_a_cookie_is_nothing_to_the_data_planes_endpoints(
    server: Server, project: str, page: Page, endpoint: Endpoint
) -> None:
    page.client.base_url = httpx.URL(server.url + "api/v1")
    answer = send(page.client, populate(server, project), endpoint, **{"X-XSRFToken": page.xsrf})
    assert code(answer) == (401, "unauthenticated")


def test_a_navigation_fetches_attachments_and_nothing_a_page_could_read(
    server: Server, project: str, page: Page
) -> None:
    world = populate(server, project)
    base, navigation = f"/projects/{project}", {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin"}
    download = f"{base}/dataset-versions/{world.path['version']}/files/{world.path['digest']}"
    answer = page.request("GET", download, xsrf=False, **navigation)
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert code(page.request("GET", base, xsrf=False, **navigation)) == (403, "xsrf_failed")


def test_a_forged_cookie_is_no_sign_in(server: Server) -> None:
    forged = create_signed_value(b"another secret", COOKIE, "ann").decode()
    with httpx.Client(base_url=server.url, cookies={COOKIE: forged}, trust_env=False, verify=NO_TLS) as client:
        assert client.get("").status_code == 302
        assert client.get("api/v1/identity").status_code == 401


def test_a_withdrawn_sign_in_goes_back_to_the_hub(server: Server) -> None:
    gone = Page(server, "withdrawn")
    assert gone.shell.status_code == 302
    gone.client.close()


@pytest.mark.parametrize(
    ("query", "status"),
    [("", 400), ("?code=c", 400), ("?code=c&state=forged", 403), ("?error=access_denied", 400)],
)
def test_a_sign_in_that_we_did_not_begin_is_not_completed(server: Server, query: str, status: int) -> None:
    answer = httpx.get(server.url + "oauth_callback" + query, verify=NO_TLS)
    assert answer.status_code == status
    assert COOKIE not in answer.cookies


@pytest.mark.parametrize(
    "path", ["//evil.example/", "\\evil.example", "/../x", "/static/../page.py", "/static/none.js"]
)
def test_a_page_that_is_none_leads_nowhere(server: Server, path: str) -> None:
    url = httpx.URL(server.url)
    with httpx.Client(trust_env=False, verify=NO_TLS) as client:
        request = client.build_request("GET", url.copy_with(raw_path=(PREFIX.rstrip("/") + path).encode()))
        assert client.send(request).status_code == 404


def test_without_a_hub_to_sign_in_there_are_no_pages(database: Database) -> None:
    with serve(database) as server:
        assert httpx.get(server.url, verify=NO_TLS).status_code == 404
