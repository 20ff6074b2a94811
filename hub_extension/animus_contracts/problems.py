# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Errors that cross a process boundary are RFC 9457 problem details with a stable ``code``.

A ``code`` never changes its meaning. ``detail`` says what was wrong and where, ``remedy`` how to mend it.
"""

from __future__ import annotations

from typing import Any

import msgspec

PROBLEM_TYPE_BASE = "urn:animus:problem:"
PROBLEM_MEDIA_TYPE = "application/problem+json"


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One fault in a request.

    Attributes:
        path: Where, as a JSONPath from the request's root (``$.parameters.depth``).
        code: Stable name of the rule that failed.
        message: What was expected and what was found.
        remedy: How to mend it, where that is more than the message says.
    """

    path: str
    code: str
    message: str
    remedy: str = ""


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Problem details (RFC 9457) with the project's members ``code``, ``errors``, ``remedy``, ``request_id``.

    A reader must tolerate members it does not know (RFC 9457, section 3.2), so this struct does not forbid them.
    """

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    remedy: str = ""
    instance: str = ""
    request_id: str = ""
    retryable: bool = False
    errors: list[Fault] = []
    extra: dict[str, Any] = {}


class Code(msgspec.Struct, frozen=True):
    """A stable error code: its HTTP status, its title and whether repeating the same request may help."""

    status: int
    title: str
    retryable: bool = False


CODES: dict[str, Code] = {
    "approval_not_pending": Code(409, "The approval was decided, withdrawn or has expired"),
    "approval_requires_second_person": Code(403, "Who submitted a run cannot approve it"),
    "artifact_hash_mismatch": Code(422, "The bytes do not have the declared digest"),
    "artifact_not_found": Code(404, "The artifact does not exist in the project"),
    "body_too_deep": Code(400, "The request body is nested too deeply"),
    "body_too_large": Code(413, "The request body is too large"),
    "dataset_name_exists": Code(409, "A dataset of this name exists in the project"),
    "dataset_version_not_found": Code(404, "The dataset version does not exist in the project"),
    "duplicate_content": Code(409, "The dataset already has a version with this content"),
    "environment_archived": Code(409, "The environment is archived"),
    "environment_lock_not_found": Code(404, "The environment lock does not exist in the project"),
    "environment_not_found": Code(404, "The environment does not exist in the project"),
    "event_conflict": Code(409, "The event id was used for another event"),
    "forbidden": Code(403, "Your role does not allow this"),
    "idempotency_conflict": Code(422, "The idempotency key was used for another request"),
    "idempotency_in_progress": Code(409, "A request with this idempotency key is in progress", retryable=True),
    "idempotency_key_required": Code(400, "The Idempotency-Key header is required"),
    "internal_error": Code(500, "Something went wrong on our side", retryable=True),
    "invalid_code_ref": Code(400, "The code reference is not valid"),
    "invalid_environment_lock": Code(400, "The environment lock is not valid"),
    "invalid_json": Code(400, "The request body is not valid JSON"),
    "invalid_pipeline": Code(400, "The pipeline is not valid"),
    "invalid_policy": Code(400, "The policy is not valid"),
    "invalid_query": Code(400, "The query is not valid"),
    "invalid_request": Code(400, "The request is not valid"),
    "invalid_transition": Code(409, "The run's state does not allow this"),
    "last_admin": Code(409, "A project keeps at least one administrator"),
    "method_not_allowed": Code(405, "The resource does not support this method"),
    "no_personal_role": Code(409, "You have no role in the project, and this goes on when you are away"),
    "not_found": Code(404, "There is no such resource"),
    "nothing_to_repair": Code(409, "Everything in the pipeline run is good"),
    "object_not_found": Code(422, "The object was not uploaded to this project"),
    "parameter_invalid": Code(400, "A parameter is not valid"),
    "policy_denied": Code(403, "A policy refuses this run"),
    "precondition_failed": Code(412, "The resource changed since you read it"),
    "precondition_required": Code(428, "The If-Match header is required"),
    "priority_limit_exceeded": Code(400, "The project's quota does not allow this priority"),
    "project_archived": Code(409, "The project is archived and read-only"),
    "project_name_exists": Code(409, "A project of this name exists"),
    "replay_input_unavailable": Code(409, "What the run was made from is not there any more"),
    "resource_limit_exceeded": Code(400, "The requested resources exceed the environment's limits"),
    "run_terminal": Code(409, "The run has ended"),
    "schedule_name_exists": Code(409, "A schedule of this name exists in the project"),
    "secret_in_parameters": Code(400, "A parameter looks like a credential"),
    "service_unavailable": Code(503, "The service cannot answer now", retryable=True),
    "stale_epoch": Code(409, "The lease was lost to a newer attempt"),
    "storage_full": Code(507, "The server's storage is full", retryable=True),
    "too_many_schedules": Code(409, "The project has as many schedules as it may"),
    "unauthenticated": Code(401, "Authentication is required"),
    "unsupported_media_type": Code(415, "The request's media type is not supported"),
    "xsrf_failed": Code(403, "The XSRF token is missing or wrong"),
}
