# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An executor is configured by ``ANIMUS_EXECUTOR_*`` variables; an unknown one is an error, and so is a missing one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from animus_contracts.executions import Capacity
from animus_contracts.failpoints import Rule, parse_rules
from animus_executor import machine
from animus_executor.failpoints import POINTS

PREFIX = "ANIMUS_EXECUTOR_"
NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
OPEN_TO_OTHERS = 0o077


class SettingsError(Exception):
    """The configuration is not usable; the message names the variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Configuration of an executor.

    Attributes:
        control_plane: ``ANIMUS_EXECUTOR_CONTROL_PLANE``: base URL of the control plane, without the API prefix.
        name: ``ANIMUS_EXECUTOR_NAME``: the executor's name there.
        token: Content of the file ``ANIMUS_EXECUTOR_TOKEN_FILE``, which only its owner may read.
        data: ``ANIMUS_EXECUTOR_DATA``: folder for environments, caches and runs; nobody else uses it.
        slots: ``ANIMUS_EXECUTOR_SLOTS``: how many runs it executes at once.
        repositories: ``ANIMUS_EXECUTOR_REPOSITORIES``: prefixes of the repository URLs that may be fetched, separated
            by white space; ``https://host/…`` or, for repositories on this machine, ``file:///folder/…``.
        environments: ``ANIMUS_EXECUTOR_ENVIRONMENTS``: how many realised environments are kept.
        cache_mib: ``ANIMUS_EXECUTOR_CACHE_MIB``: how much the cache of inputs may hold, in MiB.
        fetch_seconds: ``ANIMUS_EXECUTOR_FETCH_SECONDS``: how long fetching code may take.
        fetch_mib: ``ANIMUS_EXECUTOR_FETCH_MIB``: the largest pack that may be fetched, in MiB.
        offline_seconds: ``ANIMUS_EXECUTOR_OFFLINE_SECONDS``: how long a started run goes on while the control plane
            does not answer, and while no executor is there.
        leaves_runs: ``ANIMUS_EXECUTOR_LEAVES_RUNS``: 1 to leave started runs to the next executor with the same data
            folder when this one is told to stop; 0 to end them.
        labels: ``ANIMUS_EXECUTOR_LABELS``: what runs may ask of an executor, such as ``zone=eu,gpu=a100``.
        cpus: ``ANIMUS_EXECUTOR_CPUS``: how many processor cores runs may take together; what the machine has.
        memory_mib: ``ANIMUS_EXECUTOR_MEMORY_MIB``: how much memory, in MiB; what the machine has.
        gpus: ``ANIMUS_EXECUTOR_GPUS``: how many accelerators; none.
        failpoints: ``ANIMUS_EXECUTOR_FAILPOINTS``: faults to inject, ``<point>=crash|error|delay:<seconds>[@<n>]``,
            separated by commas; for tests, and refused unless ``ANIMUS_EXECUTOR_ALLOW_FAILPOINTS`` is ``1``.
    """

    control_plane: str
    name: str
    token: str = field(repr=False)
    data: Path
    slots: int = 2
    repositories: tuple[str, ...] = ()
    environments: int = 8
    cache_mib: int = 10 * 1024
    fetch_seconds: float = 120.0
    fetch_mib: int = 2048
    offline_seconds: float = 7200.0
    leaves_runs: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    cpus: float = field(default_factory=machine.cpus)
    memory_mib: int = field(default_factory=machine.memory_mib)
    gpus: int = 0
    failpoints: tuple[Rule, ...] = ()

    @property
    def capacity(self) -> Capacity:
        """What runs may take together."""
        return Capacity(cpus=self.cpus, memory_mib=self.memory_mib, gpus=self.gpus)


TEXTS = {"CONTROL_PLANE", "NAME", "TOKEN_FILE", "DATA"}
NUMBERS = {
    "SLOTS", "ENVIRONMENTS", "CACHE_MIB", "FETCH_SECONDS", "FETCH_MIB", "OFFLINE_SECONDS", "CPUS", "MEMORY_MIB", "GPUS",
}  # fmt: skip
OTHERS = {"REPOSITORIES", "LABELS", "LEAVES_RUNS", "FAILPOINTS", "ALLOW_FAILPOINTS"}
LABEL = re.compile(
    r"(?P<key>[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?)=(?P<value>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)"
)
"""As the control plane has it; one that it would refuse would be refused with every question for a run."""


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the configuration.

    Raises:
        SettingsError: If a variable is unknown, missing or wrong.
    """
    given = {name.removeprefix(PREFIX): value for name, value in environment.items() if name.startswith(PREFIX)}
    if unknown := sorted(set(given) - TEXTS - NUMBERS - OTHERS):
        raise SettingsError(f"{PREFIX}{unknown[0]} is not a setting")
    if missing := sorted(TEXTS - set(given)):
        raise SettingsError(f"{PREFIX}{missing[0]} is required")
    if not NAME.fullmatch(given["NAME"]):
        raise SettingsError(f"{PREFIX}NAME must be a slug of at most 64 characters, not {given['NAME'][:80]!r}")
    if not given["CONTROL_PLANE"].startswith(("http://", "https://")):
        raise SettingsError(f"{PREFIX}CONTROL_PLANE must be an http or https URL")
    return Settings(
        control_plane=given["CONTROL_PLANE"].rstrip("/"),
        name=given["NAME"],
        token=_read_token(Path(given["TOKEN_FILE"])),
        data=Path(given["DATA"]).resolve(),
        repositories=tuple(given.get("REPOSITORIES", "").split()),
        leaves_runs=_is_on("LEAVES_RUNS", given.get("LEAVES_RUNS", "0")),
        labels=_labels(given.get("LABELS", "")),
        failpoints=_failpoints(given),
        **{name.lower(): _number(name, given[name]) for name in NUMBERS & set(given)},
    )


def _failpoints(given: Mapping[str, str]) -> tuple[Rule, ...]:
    try:
        rules = parse_rules(given.get("FAILPOINTS", ""), points=POINTS)
    except ValueError as error:
        raise SettingsError(f"{PREFIX}FAILPOINTS is not understood: {error}") from error
    if rules and given.get("ALLOW_FAILPOINTS") != "1":
        raise SettingsError(f"{PREFIX}FAILPOINTS injects faults; {PREFIX}ALLOW_FAILPOINTS=1 must be set as well")
    return tuple(rules)


def _number(name: str, text: str) -> int:
    least = 0 if name == "GPUS" else 1
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise SettingsError(f"{PREFIX}{name} must be a whole number from {least}, not {text[:80]!r}")
    return int(text)


def _is_on(name: str, text: str) -> bool:
    if text not in {"0", "1"}:
        raise SettingsError(f"{PREFIX}{name} must be 0 or 1, not {text[:80]!r}")
    return text == "1"


def _labels(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        match = LABEL.fullmatch(part)
        if match is None or match["key"] in found:
            raise SettingsError(f"{PREFIX}LABELS must be key=value, separated by commas, each key once: {part[:80]!r}")
        found[match["key"]] = match["value"]
    return found


def _read_token(file: Path) -> str:
    try:
        mode = file.stat().st_mode
        token = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{PREFIX}TOKEN_FILE cannot be read: {error}") from error
    if mode & OPEN_TO_OTHERS:
        raise SettingsError(f"{PREFIX}TOKEN_FILE may be readable by its owner only (chmod 600 {file})")
    if not token:
        raise SettingsError(f"{PREFIX}TOKEN_FILE is empty")
    return token
