# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Every setting of the control plane, read once from the environment; a setting nobody knows stops the start.

A misspelt setting that were ignored would leave a rule in force that the operator believes changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

from animus_contracts.failpoints import Rule, parse_rules
from animus_control.domain.limits import Limits
from animus_control.failpoints import POINTS

PREFIX = "ANIMUS_"
KNOWN = frozenset(
    {
        "ANIMUS_ALLOW_FAILPOINTS",
        "ANIMUS_APPROVAL_SECONDS",
        "ANIMUS_DATABASE_URL",
        "ANIMUS_EXECUTORS",
        "ANIMUS_FAILPOINTS",
        "ANIMUS_LEASE_SECONDS",
        "ANIMUS_LISTEN",
        "ANIMUS_LOG_REQUESTS",
        "ANIMUS_MAX_OBJECT_BYTES",
        "ANIMUS_OBJECTS_URL",
        "ANIMUS_PLATFORM_ADMINS",
        "ANIMUS_REPOSITORY_SCHEMES",
        "ANIMUS_SCHEDULE_SECONDS",
    }
)
# Settings of the other processes, which may share an environment with this one.
OF_OTHERS = frozenset({"ANIMUS_DATA", "ANIMUS_PROJECT", "ANIMUS_TOKEN_FILE", "ANIMUS_URL"})

SCHEMES = frozenset({"file", "git", "https", "ssh"})
DEFAULT_MAX_OBJECT_BYTES = 64 * 1024**3
DEFAULT_LEASE_SECONDS = 30
DEFAULT_APPROVAL_SECONDS = 7 * 24 * 3600
DEFAULT_SCHEDULE_SECONDS = 60

_EXECUTOR = re.compile(r"(?P<name>[a-z0-9][a-z0-9-]{0,62})=sha256:(?P<hash>[0-9a-f]{64})")
_SUBJECT = re.compile(r"(?:user|service):[^\s,]{1,255}")


class SettingsError(ValueError):
    """A setting is missing, unknown or not understood; the message names it and never shows a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The control plane's settings.

    Attributes:
        database_url: ``ANIMUS_DATABASE_URL``: ``sqlite:///<path>`` or ``postgresql://…``.
        objects_url: ``ANIMUS_OBJECTS_URL``: ``file:///<folder>`` or the URL of a bucket.
        host: Address to listen on, from ``ANIMUS_LISTEN`` (``host:port``) or ``JUPYTERHUB_SERVICE_URL``.
        port: Port to listen on; 0 takes a free one.
        prefix: ``JUPYTERHUB_SERVICE_PREFIX``: path below which everything is served.
        hub_api_url: ``JUPYTERHUB_API_URL``: where tokens are understood.
        hub_api_token: ``JUPYTERHUB_API_TOKEN``: this service's own token, to sign browsers in and to ask for groups.
        hub_client_id: ``JUPYTERHUB_CLIENT_ID``: this service's OAuth client; empty without browsers.
        executors: ``ANIMUS_EXECUTORS``: ``name=sha256:<hex of the token's hash>``, separated by commas.
        platform_admins: ``ANIMUS_PLATFORM_ADMINS``: ``service:<name>`` or ``user:<name>``, separated by commas; they
            administer the platform besides the Hub's administrators.
        repository_schemes: ``ANIMUS_REPOSITORY_SCHEMES``: how repositories may be reached; ``file`` only where users
            and executors share one machine.
        max_object_bytes: ``ANIMUS_MAX_OBJECT_BYTES``: largest upload.
        lease_seconds: ``ANIMUS_LEASE_SECONDS``: how long an executor may stay silent before its run counts as lost.
        approval_seconds: ``ANIMUS_APPROVAL_SECONDS``: how long a run waits for another person's approval.
        schedule_seconds: ``ANIMUS_SCHEDULE_SECONDS``: least time between two runs of a schedule.
        log_requests: ``ANIMUS_LOG_REQUESTS``: ``1`` (default) or ``0``.
        failpoints: ``ANIMUS_FAILPOINTS``: faults to inject, ``<point>=crash|error|delay:<seconds>[@<n>]``, separated by
            commas; for tests, and refused unless ``ANIMUS_ALLOW_FAILPOINTS`` is ``1``.
    """

    database_url: str = field(repr=False)  # may carry a password
    objects_url: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 0
    prefix: str = "/"
    hub_api_url: str = ""
    hub_api_token: str = field(default="", repr=False)
    hub_client_id: str = ""
    executors: Mapping[str, str] = field(default_factory=dict)
    platform_admins: frozenset[str] = frozenset()
    repository_schemes: frozenset[str] = frozenset({"https"})
    max_object_bytes: int = DEFAULT_MAX_OBJECT_BYTES
    lease_seconds: int = DEFAULT_LEASE_SECONDS
    approval_seconds: int = DEFAULT_APPROVAL_SECONDS
    schedule_seconds: int = DEFAULT_SCHEDULE_SECONDS
    log_requests: bool = True
    failpoints: tuple[Rule, ...] = ()


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings from environment variables.

    Raises:
        SettingsError: Naming the first setting that is missing, unknown or not understood.
    """
    unknown = sorted(name for name in environment if name.startswith(PREFIX) and name not in KNOWN | OF_OTHERS)
    if unknown:
        raise SettingsError(f"{unknown[0]} is not a setting of the control plane")
    host, port = _listen(environment)
    prefix = environment.get("JUPYTERHUB_SERVICE_PREFIX") or "/"
    return Settings(
        database_url=_required(environment, "ANIMUS_DATABASE_URL"),
        objects_url=_required(environment, "ANIMUS_OBJECTS_URL"),
        host=host,
        port=port,
        prefix=f"/{prefix.strip('/')}/" if prefix.strip("/") else "/",
        hub_api_url=_required(environment, "JUPYTERHUB_API_URL"),
        hub_api_token=environment.get("JUPYTERHUB_API_TOKEN", ""),
        hub_client_id=environment.get("JUPYTERHUB_CLIENT_ID", ""),
        executors=_executors(environment.get("ANIMUS_EXECUTORS", "")),
        platform_admins=_listed(environment, "ANIMUS_PLATFORM_ADMINS", "", _SUBJECT),
        repository_schemes=_listed(environment, "ANIMUS_REPOSITORY_SCHEMES", "https", re.compile("|".join(SCHEMES))),
        max_object_bytes=_number(environment, "ANIMUS_MAX_OBJECT_BYTES", DEFAULT_MAX_OBJECT_BYTES),
        lease_seconds=max(1, _number(environment, "ANIMUS_LEASE_SECONDS", DEFAULT_LEASE_SECONDS)),
        approval_seconds=max(1, _number(environment, "ANIMUS_APPROVAL_SECONDS", DEFAULT_APPROVAL_SECONDS)),
        schedule_seconds=max(60, _number(environment, "ANIMUS_SCHEDULE_SECONDS", DEFAULT_SCHEDULE_SECONDS)),
        log_requests=_number(environment, "ANIMUS_LOG_REQUESTS", 1) != 0,
        failpoints=_failpoints(environment),
    )


def limits_of(settings: Settings) -> Limits:
    """Return the bounds that an installation sets."""
    return Limits(
        lease=timedelta(seconds=settings.lease_seconds),
        approval=timedelta(seconds=settings.approval_seconds),
        schedule_interval=timedelta(seconds=settings.schedule_seconds),
        repository_schemes=settings.repository_schemes,
    )


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise SettingsError(f"{name} must be set")
    return value


def _listen(environment: Mapping[str, str]) -> tuple[str, int]:
    given = environment.get("ANIMUS_LISTEN")
    address = f"http://{given}" if given else environment.get("JUPYTERHUB_SERVICE_URL") or "http://127.0.0.1:8090"
    name = "ANIMUS_LISTEN" if given else "JUPYTERHUB_SERVICE_URL"
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise SettingsError(f"{name} must be a host and a port") from error
    if not host or port is None:
        raise SettingsError(f"{name} must be a host and a port")
    return host, port


def _executors(text: str) -> Mapping[str, str]:
    executors: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        match = _EXECUTOR.fullmatch(item)
        if match is None or match["name"] in executors:
            raise SettingsError("ANIMUS_EXECUTORS must be name=sha256:<64 hexadecimal digits>, each name once")
        executors[match["name"]] = match["hash"]
    return executors


def _listed(environment: Mapping[str, str], name: str, default: str, allowed: re.Pattern[str]) -> frozenset[str]:
    items = frozenset(filter(None, (part.strip() for part in environment.get(name, default).split(","))))
    for item in items:
        if allowed.fullmatch(item) is None:
            raise SettingsError(f"{name} does not understand {item!r}")
    return items


def _failpoints(environment: Mapping[str, str]) -> tuple[Rule, ...]:
    try:
        rules = parse_rules(environment.get("ANIMUS_FAILPOINTS", ""), points=POINTS)
    except ValueError as error:
        raise SettingsError(f"ANIMUS_FAILPOINTS is not understood: {error}") from error
    if rules and environment.get("ANIMUS_ALLOW_FAILPOINTS") != "1":
        raise SettingsError("ANIMUS_FAILPOINTS injects faults; set ANIMUS_ALLOW_FAILPOINTS=1 if that is what you want")
    return tuple(rules)


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdecimal()):
        raise SettingsError(f"{name} must be a whole number")
    return int(text)
