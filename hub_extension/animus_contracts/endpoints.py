# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The API as one table. Router, OpenAPI document, authorisation matrix and clients' paths derive from it.

Verbs that are not create, read, update or delete are written ``/resource/{id}:verb``. A ``{project}`` in a path is
the project's name or id, and it is the only place a project is ever named.
"""

from __future__ import annotations

from typing import Any

from animus_contracts.approvals import Approval, DecideApproval, ProjectApproval
from animus_contracts.artifacts import Artifact, MadeArtifact, Metric
from animus_contracts.audit import AuditEvent
from animus_contracts.comparisons import Comparison, CreateComparison, ReplayRun
from animus_contracts.datasets import (
    CreateDataset,
    CreateDatasetVersion,
    Dataset,
    DatasetFile,
    DatasetVersion,
    StoredObject,
)
from animus_contracts.endpoint import Body, Caller, Endpoint
from animus_contracts.environments import DefineEnvironment, Environment, EnvironmentLock, LockEnvironment
from animus_contracts.executions import (
    Cancellations,
    CancellationsRequest,
    EndExecution,
    ExecutionEnded,
    Heartbeat,
    HeartbeatReply,
    LeaseReply,
    LeaseRequest,
    RenewCredentials,
    RunCredentials,
    StartExecution,
)
from animus_contracts.executors import Executor
from animus_contracts.explanations import Explanation
from animus_contracts.inspections import CreateInspection, Inspection
from animus_contracts.lineage import LineageGraph
from animus_contracts.pages import (
    ApprovalListQuery,
    AuditListQuery,
    ComparisonListQuery,
    DigestQuery,
    EventsQuery,
    InboxQuery,
    LineageQuery,
    ListQuery,
    NamedListQuery,
    Page,
    RunListQuery,
)
from animus_contracts.permissions import Permission
from animus_contracts.pipeline_runs import (
    CancelPipeline,
    GraphQuery,
    NodeListQuery,
    NodeRun,
    PipelineGraph,
    PipelineListQuery,
    PipelineRun,
    SubmitPipeline,
)
from animus_contracts.policies import Policy, PolicyDecision, PolicySnapshot, PutPolicy
from animus_contracts.preflights import Preflight
from animus_contracts.projects import (
    CreateProject,
    Identity,
    Membership,
    Project,
    PutRoleBinding,
    RoleBinding,
    UpdateProject,
)
from animus_contracts.queues import Waiting
from animus_contracts.quotas import ProjectQuota, PutQuota, Quota
from animus_contracts.run_events import EventsAccepted, ReportEvents
from animus_contracts.runs import CancelRun, Run, SubmitRun
from animus_contracts.schedules import CreateSchedule, Firing, Schedule
from animus_contracts.simulations import SimulatePolicy, Simulation
from animus_contracts.tasks import EndTask, LeaseTask, TaskEnded, TaskLeaseReply


def _create(operation: str, path: str, summary: str, request: Any, response: Any, **more: Any) -> Endpoint:
    return Endpoint(
        operation=operation, method="POST", path=path, summary=summary, request=request, response=response,
        consumes=Body.JSON, keyed=True, **({"status": 201} | more),
    )  # fmt: skip


def _read(operation: str, path: str, summary: str, response: Any, **more: Any) -> Endpoint:
    return Endpoint(operation=operation, method="GET", path=path, summary=summary, response=response, **more)


def _executor(operation: str, path: str, summary: str, request: Any, response: Any, **more: Any) -> Endpoint:
    return Endpoint(
        operation=operation, method="POST", path=path, summary=summary, request=request, response=response,
        consumes=Body.JSON, **({"caller": Caller.EXECUTOR} | more),
    )  # fmt: skip


P = "/projects/{project}"
R = P + "/runs/{run}"
N = P + "/pipeline-runs/{pipeline}"
X = "/executions/{execution}"
may = Permission

ENDPOINTS: tuple[Endpoint, ...] = (
    # who
    _read("identity.read", "/identity", "Who the caller is, and what they may do", Identity),
    _read("memberships.list", "/subjects/{user}/memberships", "Effective roles of a user, for the Hub",
          Page[Membership], platform_admin=True),
    # projects
    _create("projects.create", "/projects", "Create a project", CreateProject, Project, platform_admin=True),
    _read("projects.list", "/projects", "List the projects the caller may see", Page[Project], query=NamedListQuery),
    _read("projects.read", P, "Read a project", Project, permission=may.PROJECT_READ),
    Endpoint(operation="projects.update", method="PATCH", path=P, summary="Change a project's description or labels",
             request=UpdateProject, response=Project, consumes=Body.JSON, matches=True,
             permission=may.PROJECT_ADMINISTER),
    _create("projects.archive", P + ":archive", "Make a project read-only", None, Project, status=200,
            permission=may.PROJECT_ADMINISTER),
    _create("projects.unarchive", P + ":unarchive", "Make a project writable again", None, Project, status=200,
            permission=may.PROJECT_ADMINISTER, writes_archived=True),
    _create("role_bindings.put", P + "/role-bindings", "Give a subject a role", PutRoleBinding, RoleBinding,
            permission=may.MEMBER_WRITE),
    _read("role_bindings.list", P + "/role-bindings", "List who has which role", Page[RoleBinding], query=ListQuery,
          permission=may.MEMBER_READ),
    Endpoint(operation="role_bindings.delete", method="DELETE", path=P + "/role-bindings/{binding}", status=204,
             summary="Take a subject's role away, at once", permission=may.MEMBER_WRITE, produces=Body.NONE),
    # objects and datasets
    Endpoint(operation="objects.put", method="PUT", path=P + "/objects/{digest}", status=201,
             summary="Upload bytes under their digest; they are hashed while they arrive", consumes=Body.BYTES,
             response=StoredObject, permission=may.DATASET_WRITE),
    _create("datasets.create", P + "/datasets", "Create a dataset", CreateDataset, Dataset,
            permission=may.DATASET_WRITE),
    _read("datasets.list", P + "/datasets", "List datasets", Page[Dataset], query=NamedListQuery,
          permission=may.DATASET_READ),
    _read("datasets.read", P + "/datasets/{dataset}", "Read a dataset, by id or name", Dataset,
          permission=may.DATASET_READ),
    _create("dataset_versions.create", P + "/datasets/{dataset}/versions", "Make a version of uploaded files",
            CreateDatasetVersion, DatasetVersion, permission=may.DATASET_WRITE),
    _read("dataset_versions.list", P + "/datasets/{dataset}/versions", "List a dataset's versions, newest first",
          Page[DatasetVersion], query=ListQuery, permission=may.DATASET_READ),
    _read("dataset_versions.find", P + "/dataset-versions", "Find dataset versions by the digest of a file's bytes",
          Page[DatasetFile], query=DigestQuery, permission=may.DATASET_READ),
    _read("dataset_versions.read", P + "/dataset-versions/{version}", "Read a dataset version", DatasetVersion,
          permission=may.DATASET_READ),
    _read("dataset_versions.download", P + "/dataset-versions/{version}/files/{digest}",
          "Download one file of a dataset version", None, produces=Body.BYTES, permission=may.DATASET_READ),
    # environments
    _create("environments.define", P + "/environments", "Define the next version of an environment",
            DefineEnvironment, Environment, permission=may.ENVIRONMENT_WRITE),
    _read("environments.list", P + "/environments", "List environments, newest version first", Page[Environment],
          query=NamedListQuery, permission=may.ENVIRONMENT_READ),
    _read("environments.read", P + "/environments/{environment}", "Read an environment", Environment,
          permission=may.ENVIRONMENT_READ),
    _create("environments.archive", P + "/environments/{environment}:archive", "Archive an environment", None,
            Environment, status=200, permission=may.ENVIRONMENT_WRITE),
    _create("environment_locks.create", P + "/environment-locks", "Pin an environment", LockEnvironment,
            EnvironmentLock, permission=may.ENVIRONMENT_WRITE),
    _read("environment_locks.list", P + "/environment-locks", "List locks, newest first; name is the environment's",
          Page[EnvironmentLock], query=NamedListQuery, permission=may.ENVIRONMENT_READ),
    _read("environment_locks.read", P + "/environment-locks/{lock}", "Read a lock", EnvironmentLock,
          permission=may.ENVIRONMENT_READ),
    # policies
    _create("policies.put", P + "/policies", "Store the next version of a policy", PutPolicy, Policy,
            permission=may.POLICY_WRITE),
    _read("policies.list", P + "/policies", "List policies, newest version first", Page[Policy],
          query=NamedListQuery, permission=may.POLICY_READ),
    _read("policy_snapshots.read", P + "/policy-snapshots/{snapshot}", "Read the policies of a snapshot",
          PolicySnapshot, permission=may.POLICY_READ),
    _read("policy_decisions.read", P + "/policy-decisions/{decision}", "Read a policy decision", PolicyDecision,
          permission=may.POLICY_READ),
    # quotas and executors
    _create("quotas.put", P + "/quota", "Set the project's quota", PutQuota, Quota, platform_admin=True,
            permission=may.PROJECT_ADMINISTER),
    _read("quotas.read", P + "/quota", "Read the project's quota and what it uses", ProjectQuota,
          permission=may.PROJECT_READ),
    _read("executors.list", "/executors", "List the executors, by name", Page[Executor], query=ListQuery,
          platform_admin=True),
    _create("policies.simulate", P + "/policies:simulate", "Judge past submissions by a policy that is not stored",
            SimulatePolicy, Simulation, status=200, permission=may.POLICY_WRITE, writes_archived=True),
    # approvals
    _read("approvals.inbox", "/approvals", "List approvals in all projects in which the caller may decide them",
          Page[ProjectApproval], query=InboxQuery),
    _read("approvals.list", P + "/approvals", "List approvals, newest first", Page[Approval],
          query=ApprovalListQuery, permission=may.RUN_READ),
    _read("approvals.read", P + "/approvals/{approval}", "Read an approval", Approval, permission=may.RUN_READ),
    _create("approvals.decide", P + "/approvals/{approval}:decide", "Approve or refuse another person's run",
            DecideApproval, Approval, status=200, permission=may.RUN_APPROVE),
    # schedules
    _create("schedules.create", P + "/schedules", "Submit a run again and again", CreateSchedule, Schedule,
            permission=may.RUN_SUBMIT),
    _read("schedules.list", P + "/schedules", "List schedules, newest first", Page[Schedule], query=NamedListQuery,
          permission=may.RUN_READ),
    _read("schedules.read", P + "/schedules/{schedule}", "Read a schedule and when it is due, by id or name",
          Schedule, permission=may.RUN_READ),
    _create("schedules.pause", P + "/schedules/{schedule}:pause", "Let a schedule rest", None, Schedule, status=200,
            permission=may.RUN_SUBMIT),
    _create("schedules.resume", P + "/schedules/{schedule}:resume", "Let a paused schedule go on", None, Schedule,
            status=200, permission=may.RUN_SUBMIT),
    _create("schedules.retire", P + "/schedules/{schedule}:retire", "End a schedule for ever", None, Schedule,
            status=200, permission=may.RUN_SUBMIT),
    _read("firings.list", P + "/schedules/{schedule}/firings", "List when a schedule was due, newest first",
          Page[Firing], query=ListQuery, permission=may.RUN_READ),
    # runs
    _create("runs.submit", P + "/runs", "Submit a run", SubmitRun, Run, permission=may.RUN_SUBMIT),
    _read("runs.list", P + "/runs", "List runs, newest first", Page[Run], query=RunListQuery,
          permission=may.RUN_READ),
    _read("runs.read", R, "Read a run", Run, permission=may.RUN_READ),
    _create("runs.cancel", R + ":cancel", "Ask for a run to be stopped", CancelRun, Run, status=200,
            permission=may.RUN_CANCEL),
    _create("runs.rerun", R + ":rerun", "Submit the same inputs again, under today's policies", None, Run,
            permission=may.RUN_SUBMIT),
    _create("runs.replay", R + ":replay", "Execute the stored plan again, and compare what comes out", ReplayRun, Run,
            permission=may.RUN_SUBMIT),
    _read("runs.waiting", R + "/waiting", "Why a run waits", Waiting, permission=may.RUN_READ),
    _read("runs.explain", R + "/explanation", "The complete story of a run", Explanation, permission=may.RUN_READ),
    _read("runs.events", R + "/events", "Follow a run live", None, query=EventsQuery, produces=Body.EVENTS,
          permission=may.RUN_READ),
    _read("projects.events", P + "/events", "Follow the state changes of a project's runs live", None,
          query=EventsQuery, produces=Body.EVENTS, permission=may.RUN_READ),
    _read("metrics.list", R + "/metrics", "List a run's metrics", Page[Metric], query=ListQuery,
          permission=may.RUN_READ),
    _read("artifacts.list", R + "/artifacts", "List a run's artifacts", Page[Artifact], query=ListQuery,
          permission=may.ARTIFACT_READ),
    _read("artifacts.find", P + "/artifacts", "Find artifacts by the digest of their bytes, with their runs",
          Page[MadeArtifact], query=DigestQuery, permission=may.ARTIFACT_READ),
    _read("artifacts.download", R + "/artifacts/{artifact}/content", "Download an artifact", None,
          produces=Body.BYTES, permission=may.ARTIFACT_READ),
    # checks and comparisons
    _create("inspections.create", P + "/inspections", "Look at a notebook in a repository", CreateInspection,
            Inspection, permission=may.RUN_SUBMIT),
    _read("inspections.read", P + "/inspections/{inspection}", "Read what was found in a notebook", Inspection,
          permission=may.RUN_READ),
    _create("preflights.create", P + "/preflights", "Check a submission without submitting it", SubmitRun, Preflight,
            permission=may.RUN_SUBMIT),
    _read("preflights.read", P + "/preflights/{preflight}", "Read the checks of a submission", Preflight,
          permission=may.RUN_READ),
    _create("comparisons.create", P + "/comparisons", "Compare two runs", CreateComparison, Comparison,
            permission=may.RUN_SUBMIT),
    _read("comparisons.read", P + "/comparisons/{comparison}", "Read a comparison", Comparison,
          permission=may.RUN_READ),
    _read("comparisons.list", P + "/comparisons", "List comparisons, newest first", Page[Comparison],
          query=ComparisonListQuery, permission=may.RUN_READ),
    # pipelines
    _create("pipelines.submit", P + "/pipeline-runs", "Submit a pipeline", SubmitPipeline, PipelineRun,
            permission=may.RUN_SUBMIT),
    _read("pipelines.list", P + "/pipeline-runs", "List pipeline runs, newest first", Page[PipelineRun],
          query=PipelineListQuery, permission=may.RUN_READ),
    _read("pipelines.read", N, "Read a pipeline run", PipelineRun, permission=may.RUN_READ),
    _read("pipelines.nodes", N + "/nodes", "List a pipeline run's nodes with their parameters, states and metrics",
          Page[NodeRun], query=NodeListQuery, permission=may.RUN_READ),
    _read("pipelines.graph", N + "/graph", "A pipeline run as a graph", PipelineGraph, query=GraphQuery,
          permission=may.RUN_READ),
    _read("pipelines.events", N + "/events", "Follow a pipeline run live", None, query=EventsQuery,
          produces=Body.EVENTS, permission=may.RUN_READ),
    _create("pipelines.cancel", N + ":cancel", "Stop a pipeline run with everything in it", CancelPipeline,
            PipelineRun, status=200, permission=may.RUN_CANCEL),
    _create("pipelines.repair", N + ":repair", "Run what failed or was skipped again and reuse the rest", None,
            PipelineRun, permission=may.RUN_SUBMIT),
    # lineage and audit
    _read("lineage.read", P + "/lineage", "The graph around an entity", LineageGraph, query=LineageQuery,
          permission=may.RUN_READ),
    _read("audit_events.list", P + "/audit-events", "List a project's audit events", Page[AuditEvent],
          query=AuditListQuery, permission=may.AUDIT_READ),
    _read("audit_chain.read", "/audit-events", "Read the whole log, oldest first, to verify its chain",
          Page[AuditEvent], query=ListQuery, platform_admin=True),
    # the data plane
    _executor("executions.lease", "/leases", "Take the next run, waiting for one", LeaseRequest, LeaseReply),
    _executor("executions.cancellations", "/leases:cancellations", "Wait for attempts to be stopped",
              CancellationsRequest, Cancellations),
    _executor("executions.start", X + ":start", "Start an attempt and get its run token", StartExecution,
              RunCredentials),
    _executor("executions.renew", X + ":renew", "Replace the run token of a started attempt",
              RenewCredentials, RunCredentials),
    _executor("executions.heartbeat", X + ":heartbeat", "Renew a lease", Heartbeat, HeartbeatReply),
    _executor("executions.end", X + ":end", "End an attempt with a verdict", EndExecution, ExecutionEnded),
    _executor("executions.report", X + "/events", "Report what happens inside a run", ReportEvents, EventsAccepted,
              caller=Caller.RUN),
    _executor("tasks.lease", "/tasks:lease", "Take the next task, waiting for one", LeaseTask, TaskLeaseReply),
    _read("tasks.object", "/tasks/{task}/objects/{digest}", "Fetch bytes of a run that the task compares", None,
          produces=Body.BYTES, caller=Caller.EXECUTOR),
    _executor("tasks.end", "/tasks/{task}:end", "Tell what came of a task", EndTask, TaskEnded),
    _read("executions.input", X + "/inputs/{digest}", "Fetch one file of a bound dataset version", None,
          produces=Body.BYTES, caller=Caller.RUN),
    Endpoint(operation="executions.put_object", method="PUT", path=X + "/objects/{digest}", status=201,
             summary="Upload bytes the run produced", consumes=Body.BYTES, response=StoredObject, caller=Caller.RUN),
)  # fmt: skip

BY_OPERATION: dict[str, Endpoint] = {endpoint.operation: endpoint for endpoint in ENDPOINTS}
