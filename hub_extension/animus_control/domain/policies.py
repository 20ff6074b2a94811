# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Policies are Cedar: nothing is allowed unless a policy permits it, and a forbidding policy always wins.

Cedar skips a policy it cannot evaluate; skipping a ``forbid`` would allow what it forbids, so any such error denies.
A policy is named ``<name>/<its @id>``; its ``@reason`` is shown to people, its ``@missing`` names the fact that would
satisfy it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import cedarpy
import msgspec

from animus_contracts.digests import Digest, digest_bytes, digest_of
from animus_contracts.environments import EnvironmentLock
from animus_contracts.policies import Effect, Policy, PolicyState, PolicyText
from animus_contracts.projects import Role
from animus_contracts.runs import Run
from animus_control.domain.errors import InvalidError
from animus_control.domain.identity import Principal, PrincipalKind
from animus_control.domain.limits import Limits
from animus_control.domain.runs import scheme_of

SUBMIT = "run:submit"
START = "run:start"
PLATFORM_VERSION = 1
NO_ENTITIES = cedarpy.Entities.from_json_str("[]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the policies say: effect, deciding policies, missing facts, and the decision in one sentence."""

    effect: Effect
    deciding: list[str]
    missing: list[str]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A question to the policies.

    Attributes:
        subject: Who asks, ``user:ann`` or ``service:ci``.
        action: :data:`SUBMIT` or :data:`START`.
        project: The project's name.
        context: The facts as JSON, see :func:`build_context`.
    """

    subject: str
    action: str
    project: str
    context: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledPolicies:
    """Policies ready for evaluation, with each one's effect and annotations by name."""

    policy_set: cedarpy.PolicySet
    effects: Mapping[str, str]
    annotations: Mapping[str, Mapping[str, str]]


def policy_digest(cedar: str) -> Digest:
    """Return the digest of a policy's text."""
    return digest_bytes(cedar.encode())


@cache
def platform_policies() -> tuple[PolicyText, ...]:
    """Return the policies that hold in every project, as they are installed."""
    folder = files("animus_control.domain") / "default_policies"
    return tuple(
        PolicyText(
            name=entry.name.removesuffix(".cedar"),
            version=PLATFORM_VERSION,
            origin="platform",
            digest=policy_digest(text := entry.read_text("utf-8")),
            cedar=text,
        )
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".cedar")
    )


@cache
def schema() -> str:
    """Return the Cedar schema of what policies may ask about."""
    return (files("animus_control.domain") / "default_policies" / "context.cedarschema").read_text("utf-8")


def in_force(newest: Iterable[Policy]) -> list[PolicyText]:
    """Return the policies that count now: the platform's, then the project's active ones by name.

    Args:
        newest: The newest version of each policy of the project.
    """
    project = [
        PolicyText(name=policy.name, version=policy.version, origin="project", digest=policy.digest, cedar=policy.cedar)
        for policy in sorted(newest, key=lambda policy: policy.name)
        if policy.state is PolicyState.ACTIVE
    ]
    return [*platform_policies(), *project]


def snapshot_digest(policies: Sequence[PolicyText]) -> Digest:
    """Return the digest of a set of policies: names, versions and digests of their texts."""
    return _snapshot_digest(tuple((text.origin, text.name, text.version, text.digest) for text in policies))


def check_policy(name: str, cedar: str, limits: Limits) -> None:
    """Refuse a policy text that does not parse, asks about what does not exist, or contains templates.

    Raises:
        InvalidError: ``invalid_policy`` with the engine's words.
    """
    if len(cedar.encode(errors="replace")) > limits.policy_bytes:
        raise InvalidError("invalid_policy", f"a policy must be at most {limits.policy_bytes} bytes long")
    try:
        compiled = compile_policies(((f"project/{name}", cedar),))
    except ValueError as error:
        raise InvalidError("invalid_policy", f"the policy does not parse: {error}") from error
    if compiled.policy_set.templates():
        raise InvalidError("invalid_policy", "templates (?principal, ?resource) are not supported")
    if not compiled.effects:
        raise InvalidError("invalid_policy", "the text contains no policy")
    result = cedarpy.validate_policies(cedar, schema())
    if not result.validation_passed:
        words = "; ".join(error.error for error in result.errors)
        raise InvalidError("invalid_policy", f"the policy does not fit what policies may ask about: {words}")


@lru_cache(maxsize=256)
def compile_policies(texts: tuple[tuple[str, str], ...]) -> CompiledPolicies:
    """Parse (name, Cedar text) pairs into one set, in which every policy has a name of its own.

    Raises:
        ValueError: If a text does not parse or two policies have the same name.
    """
    named: dict[str, Any] = {}
    templates: dict[str, Any] = {}
    for name, text in texts:
        parsed = json.loads(cedarpy.policies_to_json_str(text))
        templates |= {f"{name}/{key}": value for key, value in parsed["templates"].items()}
        for position, policy in enumerate(parsed["staticPolicies"].values(), 1):
            key = f"{name}/{policy.get('annotations', {}).get('id') or position}"
            if key in named:
                raise ValueError(f"two policies are named {key!r}")
            named[key] = policy
    body = json.dumps({"staticPolicies": named, "templates": templates, "templateLinks": []})
    return CompiledPolicies(
        policy_set=cedarpy.PolicySet.from_json_str(body),
        effects={key: policy["effect"] for key, policy in named.items()},
        annotations={key: policy.get("annotations", {}) for key, policy in named.items()},
    )


def judge(policies: Sequence[PolicyText], request: Request) -> Judgement:
    """Ask the policies."""
    return _judge(tuple((f"{text.origin}/{text.name}", text.cedar) for text in policies), request)


# Pure, so equal questions have equal answers: a sweep asks the same for each of its runs.
@lru_cache(maxsize=256)
def _judge(texts: tuple[tuple[str, str], ...], request: Request) -> Judgement:
    compiled = compile_policies(texts)
    result = cedarpy.is_authorized(_in_cedar(request), compiled.policy_set, NO_ENTITIES)
    if result.diagnostics.errors:
        words = f"a policy could not be evaluated, so nothing is allowed: {result.diagnostics.errors[0]}"
        return Judgement(effect=Effect.DENY, deciding=[], missing=[], reason=words)
    deciding = sorted(result.diagnostics.reasons)
    if result.allowed:
        reason = _reasons(compiled, deciding) or f"permitted by {', '.join(deciding)}"
        return Judgement(effect=Effect.ALLOW, deciding=deciding, missing=[], reason=reason)
    # By default deny nothing decided; what could have permitted it tells which facts are missing.
    candidates = deciding or [key for key, effect in compiled.effects.items() if effect == "permit"]
    missing = {compiled.annotations[key].get("missing") for key in candidates} - {None, ""}
    fallback = f"refused by {', '.join(deciding)}" if deciding else "no policy permits it"
    reason = _reasons(compiled, deciding) or fallback
    return Judgement(effect=Effect.DENY, deciding=deciding, missing=sorted(filter(None, missing)), reason=reason)


def _in_cedar(request: Request) -> dict[str, Any]:
    kind, _, name = request.subject.partition(":")
    return {
        "principal": {"type": "Service" if kind == PrincipalKind.SERVICE else "User", "id": name},
        "action": {"type": "Action", "id": request.action},
        "resource": {"type": "Project", "id": request.project},
        "context": request.context,
    }


def build_context(run: Run, lock: EnvironmentLock, principal: Principal, role: Role | None) -> dict[str, Any]:
    """Build what policies see of a run: everything it is bound to, and of its parameters only their names.

    Cedar has no fractions, so processor cores and the seconds of a cell are given in thousandths.
    """
    resources = msgspec.structs.asdict(run.resources)
    resources["cpus_milli"] = round(resources.pop("cpus") * 1000)
    return {
        "actor": {
            "name": principal.name,
            "kind": principal.kind.value,
            "groups": sorted(principal.groups),
            "role": role.value if role else "",
        },
        "run_class": run.run_class.value,
        "code": {**msgspec.structs.asdict(run.code), "scheme": scheme_of(run.code.repository) or ""},
        "environment": {
            "name": lock.environment,
            "version": lock.environment_version,
            "env_hash": lock.env_hash,
            "python": lock.python,
            "platform": lock.platform,
        },
        "datasets": [
            {"name": item.name, "dataset": item.dataset, "ordinal": item.ordinal, "content_digest": item.content_digest}
            for item in run.datasets
        ],
        "parameters": {"names": sorted(run.parameters), "schema_digest": run.parameters_schema_digest},
        "outputs": run.outputs,
        "resources": resources,
        "limitations": [limitation.value for limitation in run.limitations],
        **_queueing(run),
    }


def _queueing(run: Run) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "priority": run.priority,
        "retries": run.retries,
        "executor_labels": sorted(f"{key}={value}" for key, value in run.executor_labels.items()),
    }
    if run.queue_seconds is not None:
        facts["queue_seconds"] = run.queue_seconds
    if run.cell_seconds is not None:
        facts["cell_milliseconds"] = round(run.cell_seconds * 1000)
    return facts


@lru_cache(maxsize=256)
def _snapshot_digest(rows: tuple[tuple[str, str, int, Digest], ...]) -> Digest:
    names = ("origin", "name", "version", "digest")
    return digest_of([dict(zip(names, row, strict=True)) for row in rows], version="animus.policies.v1")


def _reasons(compiled: CompiledPolicies, keys: Iterable[str]) -> str:
    reasons = (compiled.annotations[key].get("reason", "") for key in keys)
    return "; ".join(dict.fromkeys(filter(None, reasons)))
