# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A lock names exact versions by hash and nothing else."""

from __future__ import annotations

import pytest

from animus_contracts.digests import Digest
from animus_contracts.environments import DefineEnvironment, Image, LockEnvironment, Resources
from animus_contracts.identifiers import EnvironmentId
from animus_control.domain.environments import definition_faults, limit_faults, lock_faults
from animus_control.domain.limits import Limits

HASH = "--hash=sha256:" + "0a" * 32
DIGEST = Digest("sha256:" + "0a" * 32)
IMAGE = Image(name="base", reference="registry.example.org/base:1")


def faults_of(requirements: str, **more: object) -> list[str]:
    lock = LockEnvironment(environment_id=EnvironmentId("e"), requirements=requirements, **more)  # type: ignore[arg-type]
    return [fault.message for fault in lock_faults(lock, [], Limits())]


@pytest.mark.parametrize(
    "text",
    [
        f"numpy==1.26.4 {HASH}",
        f"numpy==1.26.4 {HASH} {HASH}\n",
        f"numpy==1.26.4 \\\n    {HASH} \\\n    {HASH}\n    # via -r requirements.in\nscipy==1.13.0 {HASH}",
        f"# made by uv\n\nnumpy==1.26.4 ; python_version >= '3.11' and sys_platform == 'linux' {HASH}",
        f"uvicorn[standard]==0.30.1 {HASH}",
        f"torch==2.3.0+cpu {HASH}",
        f"backports-zoneinfo==0.2.1 ; python_full_version < '3.9' \\\n    {HASH}",
        f"pytz==2024.1.post1 {HASH}",
        f"epoch==1!2.0rc1 {HASH}",
    ],
)
def test_pinned_and_hashed_requirements_are_a_lock(text: str) -> None:
    assert faults_of(text) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("numpy==1.26.4", "line 1: has no --hash"),
        (f"numpy {HASH}", "line 1: must be name==version"),
        (f"numpy>=1.26 {HASH}", "line 1: must be name==version"),
        (f"numpy==1.* {HASH}", "line 1: must be name==version"),
        (f"numpy===1.26.4 {HASH}", "line 1: must be name==version"),
        (f"numpy==1.26.4,<2 {HASH}", "line 1: must be name==version"),
        ("numpy==1.26.4 --hash=md5:" + "0" * 32, "line 1: must be name==version"),
        ("numpy==1.26.4 --hash=sha256:" + "0" * 63, "line 1: must be name==version"),
        ("numpy==1.26.4 --hash=sha256:" + "0A" * 32, "line 1: must be name==version"),
        (f"\n\nnumpy @ https://example.org/numpy.whl {HASH}", "line 3: addresses are not allowed"),
        (f"https://example.org/numpy.whl {HASH}", "line 1: addresses are not allowed"),
        ("git+https://example.org/numpy.git@main", "line 1: addresses are not allowed"),
        ("-e .", "line 1: options are not allowed"),
        ("-r other.txt", "line 1: options are not allowed"),
        ("--index-url https://example.org/simple", "line 1: options are not allowed"),
        (f"numpy==1.26.4 {HASH}\n--extra-index-url x", "line 2: options are not allowed"),
        (f"numpy==1.26.4 {HASH} --global-option=x", "line 1: must be name==version"),
        (f"numpy==1.26.4 --config-settings=x {HASH}", "line 1: must be name==version"),
        (f"./local==1.0 {HASH}", "line 1: must be name==version"),
        (f"numpy==1.26.4 ; x @ y {HASH}", "line 1: addresses are not allowed"),
        (f"numpy==1.26.4 \\\n-e . {HASH}", "line 1: must be name==version"),
        (f"numpy==1.26.4 {HASH}\r\n-e .", "line 2: options are not allowed"),
        ("", "a lock without images pins some requirement"),
        ("# nothing\n", "a lock without images pins some requirement"),
    ],
)
def test_anything_a_server_could_change_is_no_lock(text: str, words: str) -> None:
    (message,) = faults_of(text)

    assert message.startswith(words)


def test_every_wrong_line_is_named() -> None:
    assert [words.split(":")[0] for words in faults_of(f"a\nb==1 {HASH}\nc==1\n")] == ["line 1", "line 3"]


def test_lock_has_a_bounded_length_and_may_end_in_the_middle_of_a_line() -> None:
    assert faults_of(f"a==1 {HASH} \\") == []
    assert faults_of("#" * (1024 * 1024 + 1)) == ["must be at most 1048576 bytes"]


def test_platform_is_a_tag() -> None:
    assert faults_of(f"a==1 {HASH}", platform="linux x86") == ["must be a tag such as linux_x86_64"]


@pytest.mark.parametrize(
    ("images", "accepted"),
    [
        pytest.param([Image(name="base", reference=IMAGE.reference, digest=DIGEST)], True, id="exactly-the-images"),
        pytest.param([], False, id="missing"),
        pytest.param([IMAGE], False, id="without-digest"),
        pytest.param([Image(name="other", reference=IMAGE.reference, digest=DIGEST)], False, id="another-name"),
        pytest.param([Image(name="base", reference="evil", digest=DIGEST)], False, id="another-reference"),
        pytest.param([Image(name="base", reference=IMAGE.reference, digest=Digest("sha256:x"))], False, id="bad"),
        pytest.param([Image(name="base", reference=IMAGE.reference, digest=DIGEST)] * 2, False, id="twice"),
    ],
)
def test_lock_pins_exactly_the_environments_images(images: list[Image], *, accepted: bool) -> None:
    lock = LockEnvironment(environment_id=EnvironmentId("e"), requirements="", images=images)

    assert (lock_faults(lock, [IMAGE], Limits()) == []) is accepted


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"name": "a b"}, "$.name"),
        ({"python": "3"}, "$.python"),
        ({"python": "3.11.4"}, "$.python"),
        ({"requirements": ["a\n-e ."]}, "$.requirements[0]"),
        ({"images": [Image(name="a", reference="x@sha256:0")]}, "$.images[0]"),
        ({"images": [IMAGE, IMAGE]}, "$.images"),
        ({"limits": Resources(processes=0)}, "$.limits.processes"),
        ({"description": "x" * 4097}, "$.description"),
    ],
)
def test_unsound_definition_is_refused_at_its_place(changes: dict[str, object], path: str) -> None:
    message = DefineEnvironment(**{"name": "a", "python": "3.11"} | changes)  # type: ignore[arg-type]

    assert [fault.path for fault in definition_faults(message, Limits())] == [path]


def test_each_resource_beyond_its_limit_is_named() -> None:
    wanted = Resources(cpus=1.5, gpus=1, memory_mib=1)

    assert [fault.path for fault in limit_faults(wanted, Resources())] == ["$.resources.cpus", "$.resources.gpus"]
