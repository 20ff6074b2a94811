# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A lock names exact versions by hash and nothing else: no address, no option, no file, nothing a server could change.

A line of a lock is ``name==version``, an optional environment marker and at least one ``--hash=sha256:…``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from animus_contracts.digests import DIGEST
from animus_contracts.environments import DefineEnvironment, Image, LockEnvironment, Resources
from animus_contracts.paths import UNPRINTABLE
from animus_contracts.problems import Fault
from animus_control.domain.limits import Limits
from animus_control.domain.names import name_faults, text_faults

PYTHON = re.compile(r"3\.[0-9]{1,2}")
SHOWN_CHARACTERS = 60
PLATFORM = re.compile(r"[a-z0-9_]{1,64}")
# The version part of PEP 440 in its public and local forms; wildcards (==1.*) are no pin.
PINNED = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:\[[A-Za-z0-9._,\s-]*\])?"
    r"\s*==\s*[A-Za-z0-9](?:[A-Za-z0-9.!+_-]*[A-Za-z0-9])?"
    r"(?:\s*;[^#@]*?)?(?P<hashes>(?:\s+--hash=sha256:[0-9a-f]{64})+)"
)


def definition_faults(message: DefineEnvironment, limits: Limits) -> list[Fault]:
    """Check a definition: names, interpreter, single-line requirements, images without digests, positive limits."""
    faults = [*name_faults(message.name, rule="resource"), *text_faults(message.description, limits)]
    if not PYTHON.fullmatch(message.python):
        faults.append(Fault(path="$.python", code="invalid_python", message="must be a minor version such as '3.11'"))
    for index, requirement in enumerate(message.requirements):
        if not 0 < len(requirement) <= limits.name_bytes or UNPRINTABLE.search(requirement):
            words = f"must be one line of 1 to {limits.name_bytes} characters"
            faults.append(Fault(path=f"$.requirements[{index}]", code="invalid_requirement", message=words))
    for index, image in enumerate(message.images):
        faults += name_faults(image.name, rule="resource", path=f"$.images[{index}].name")
        if image.digest is not None or "@" in image.reference or not image.reference:
            words = "a definition names an image without a digest; the lock pins it"
            faults.append(Fault(path=f"$.images[{index}]", code="invalid_image", message=words))
    if len({image.name for image in message.images}) != len(message.images):
        faults.append(Fault(path="$.images", code="duplicate_name", message="two images have the same name"))
    return faults + resource_faults(message.limits, path="$.limits")


def resource_faults(resources: Resources, *, path: str = "$.resources") -> list[Fault]:
    """Check that resources are finite and that whatever a run cannot do without is positive."""
    faults = []
    for name, amount in msgspec.structs.asdict(resources).items():
        least = 0 if name == "gpus" else 1 if name != "cpus" else 0.001
        if not least <= amount < 2**31:
            message = f"must be at least {least}, not {amount}"
            faults.append(Fault(path=f"{path}.{name}", code="out_of_range", message=message))
    return faults


def limit_faults(wanted: Resources, most: Resources) -> list[Fault]:
    """Name every resource that a run asks for beyond its environment's limits."""
    allowed = msgspec.structs.asdict(most)
    return [
        Fault(path=f"$.resources.{name}", code="over_limit", message=f"{amount} is more than the limit {allowed[name]}")
        for name, amount in msgspec.structs.asdict(wanted).items()
        if amount > allowed[name]
    ]


def lock_faults(message: LockEnvironment, images: Sequence[Image], limits: Limits) -> list[Fault]:
    """Check a lock: every requirement pinned and hashed, a digest for exactly the environment's images.

    Args:
        message: The lock asked for.
        images: The images of the environment that is locked.
        limits: Bounds.
    """
    if len(message.requirements.encode(errors="replace")) > limits.requirements_bytes:
        words = f"must be at most {limits.requirements_bytes} bytes"
        return [Fault(path="$.requirements", code="too_long", message=words)]
    faults = [
        Fault(path="$.requirements", code="not_pinned", message=f"line {number}: {_unpinned(line)}")
        for number, line in _logical_lines(message.requirements)
        if not PINNED.fullmatch(line)
    ]
    if not PLATFORM.fullmatch(message.platform):
        faults.append(Fault(path="$.platform", code="invalid_platform", message="must be a tag such as linux_x86_64"))
    if not images and not any(True for _ in _logical_lines(message.requirements)):
        faults.append(Fault(path="$.requirements", code="empty", message="a lock without images pins some requirement"))
    return faults + _image_faults(message.images, images)


def _unpinned(line: str) -> str:
    shown = line[:SHOWN_CHARACTERS]
    if line.startswith("-"):
        return f"options are not allowed in a lock: {shown!r}"
    if "@" in line.split("--hash", 1)[0] or "://" in line:
        return f"addresses are not allowed in a lock: {shown!r}"
    if "--hash" not in line:
        return f"has no --hash=sha256:…: {shown!r}"
    return f"must be name==version with --hash=sha256:…: {shown!r}"


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield (number of the first line, text) of each requirement, continuations joined, comments dropped."""
    start, parts = 0, list[str]()
    for number, raw in enumerate(text.split("\n"), 1):
        line = re.sub(r"(?:^|\s+)#.*", "", raw).strip()
        continued = line.endswith("\\")
        if line.rstrip("\\").strip():
            start = start if parts else number
            parts.append(line.rstrip("\\").strip() if continued else line)
        if parts and not continued:
            yield start, " ".join(parts)
            parts = []
    if parts:
        yield start, " ".join(parts)


def _image_faults(given: Sequence[Image], wanted: Sequence[Image]) -> list[Fault]:
    expected = sorted((image.name, image.reference) for image in wanted)
    if sorted((image.name, image.reference) for image in given) != expected:
        names = ", ".join(name for name, _ in expected) or "none"
        words = f"must pin exactly the environment's images ({names})"
        return [Fault(path="$.images", code="wrong_images", message=words)]
    return [
        Fault(path=f"$.images[{index}].digest", code="invalid_digest", message="must be a sha256 digest")
        for index, image in enumerate(given)
        if image.digest is None or not DIGEST.fullmatch(image.digest)
    ]
