-- SPDX-FileCopyrightText: Animus Datalab contributors
-- SPDX-License-Identifier: Apache-2.0

CREATE TABLE audit_events (
  sequence INTEGER NOT NULL,
  project_id TEXT,
  actor TEXT NOT NULL,
  action TEXT NOT NULL CONSTRAINT ck_audit_events_action CHECK (action IN ('access.denied', 'approval.approved', 'approval.denied', 'approval.expired', 'approval.refused', 'approval.requested', 'approval.withdrawn', 'artifact.created', 'artifact.downloaded', 'comparison.created', 'comparison.ended', 'dataset.created', 'dataset_version.created', 'dataset_version.downloaded', 'environment.archived', 'environment.defined', 'environment.locked', 'execution.ended', 'execution.leased', 'execution.lost', 'execution.started', 'executor.registered', 'inspection.created', 'inspection.ended', 'object.stored', 'pipeline.canceled', 'pipeline.created', 'pipeline.ended', 'pipeline.node_ended', 'pipeline.node_held', 'pipeline.node_skipped', 'pipeline.node_submitted', 'pipeline.repaired', 'policy.decided', 'policy.snapshot.materialized', 'policy.stored', 'preflight.created', 'preflight.ended', 'project.archived', 'project.created', 'project.unarchived', 'project.updated', 'quota.stored', 'rbac.role_binding_deleted', 'rbac.role_binding_stored', 'run.cancel_requested', 'run.created', 'run.refused', 'run.retry_held', 'run.retry_refused', 'run.retry_scheduled', 'run.retry_withdrawn', 'run.state_changed', 'schedule.created', 'schedule.fired', 'schedule.paused', 'schedule.resumed', 'schedule.retired', 'token.rejected')),
  resource TEXT NOT NULL,
  outcome TEXT NOT NULL CONSTRAINT ck_audit_events_outcome CHECK (outcome IN ('success', 'denied')),
  record BLOB NOT NULL,
  previous_hash TEXT NOT NULL,
  hash TEXT NOT NULL,
  CONSTRAINT pk_audit_events PRIMARY KEY (sequence)
)

CREATE TABLE audit_head (
  id INTEGER NOT NULL CONSTRAINT ck_audit_head_single CHECK (id = 1),
  sequence BIGINT NOT NULL,
  hash TEXT NOT NULL,
  checked_at BIGINT,
  CONSTRAINT pk_audit_head PRIMARY KEY (id)
)

CREATE TABLE executors (
  name TEXT NOT NULL,
  last_seen_at BIGINT NOT NULL,
  document TEXT NOT NULL,
  CONSTRAINT pk_executors PRIMARY KEY (name)
)

CREATE TABLE idempotency_keys (
  scope TEXT NOT NULL,
  "key" TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  status BIGINT NOT NULL,
  body BLOB NOT NULL,
  location TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  CONSTRAINT pk_idempotency_keys PRIMARY KEY (scope, "key")
)

CREATE TABLE outbox (
  message_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  topic TEXT NOT NULL,
  "key" TEXT NOT NULL,
  payload TEXT NOT NULL,
  at BIGINT NOT NULL
)

CREATE TABLE projects (
  project_id TEXT NOT NULL,
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  labels TEXT NOT NULL,
  state TEXT NOT NULL CONSTRAINT ck_projects_state CHECK (state IN ('active', 'archived')),
  version BIGINT NOT NULL,
  document TEXT NOT NULL,
  CONSTRAINT pk_projects PRIMARY KEY (project_id),
  CONSTRAINT uq_projects_name UNIQUE (name)
)

CREATE TABLE user_groups (
  subject TEXT NOT NULL,
  member_of TEXT,
  as_of BIGINT,
  failure TEXT NOT NULL,
  CONSTRAINT pk_user_groups PRIMARY KEY (subject)
)

CREATE TABLE datasets (
  project_id TEXT NOT NULL,
  dataset_id TEXT NOT NULL,
  name TEXT NOT NULL,
  document TEXT NOT NULL,
  CONSTRAINT pk_datasets PRIMARY KEY (project_id, dataset_id),
  CONSTRAINT uq_datasets_project_id_name UNIQUE (project_id, name),
  CONSTRAINT fk_datasets_project_id FOREIGN KEY(project_id) REFERENCES projects (project_id)
)

CREATE TABLE environments (
  project_id TEXT NOT NULL,
  environment_id TEXT NOT NULL,
  name TEXT NOT NULL,
  version BIGINT NOT NULL,
  state TEXT NOT NULL CONSTRAINT ck_environments_state CHECK (state IN ('active', 'archived')),
  document TEXT NOT NULL,
  CONSTRAINT pk_environments PRIMARY KEY (project_id, environment_id),
  CONSTRAINT uq_environments_project_id_name_version UNIQUE (project_id, name, version),
  CONSTRAINT fk_environments_project_id FOREIGN KEY(project_id) REFERENCES projects (project_id)
)

CREATE TABLE inspections (
  project_id TEXT NOT NULL,
  inspection_id TEXT NOT NULL,
  state TEXT NOT NULL CONSTRAINT ck_inspections_state CHECK (state IN ('pending', 'answered', 'failed')),
  findings TEXT,
  failure TEXT NOT NULL,
  ended_at BIGINT,
  document TEXT NOT NULL,
  CONSTRAINT pk_inspections PRIMARY KEY (project_id, inspection_id),
  CONSTRAINT fk_inspections_project_id FOREIGN KEY(project_id) REFERENCES projects (project_id)
)

CREATE TABLE lineage_edges (
  project_id TEXT NOT NULL,
  edge_id TEXT NOT NULL,
  subject TEXT NOT NULL,
  predicate TEXT NOT NULL CONSTRAINT ck_lineage_edges_predicate CHECK (predicate IN ('has_version', 'used', 'built_from', 'ran_in', 'produced')),
  object TEXT NOT NULL,
  document TEXT NOT NULL,
  CONSTRAINT pk_lineage_edges PRIMARY KEY (project_id, subject, edge_id),
  CONSTRAINT fk_lineage_edges_project_id FOREIGN KEY(project_id) REFERENCES projects (project_id)
)

CREATE TABLE pipeline_runs (
  project_id TEXT NOT NULL,
  pipeline_run_id TEXT NOT NULL,
  name TEXT NOT NULL,
  created_by TEXT NOT NULL,
  state TEXT NOT NULL CONSTRAINT ck_pipeline_runs_state CHECK (state IN ('running', 'canceling', 'succeeded', 'failed', 'canceled')),
  version BIGINT NOT NULL,
  counts TEXT NOT NULL,
  finished_at BIGINT,
  reason TEXT NOT NULL,
  document TEXT NOT NULL,
  CONSTRAINT pk_pipeline_runs PRIMARY KEY (project_id, pipeline_run_id),
  CONSTRAINT fk_pipeline_runs_project_id FOREIGN KEY(project_id) REFERENCES projects (project_id)
)

CREATE TABLE policies (
  project_id TEXT NOT NULL,
  policy_id TEXT NOT NULL,
  name TEXT NOT NULL,
  version BIGINT NOT NULL,
  state TEXT NOT NULL CONSTRAINT ck_policies_state CHECK (state IN ('active', 'disabled')),
  document TEXT NOT NULL,
  CONSTRAINT pk_policies PRIMARY KEY (project_id, policy_id),
  CONSTRAINT uq_policies_project_id_name_version UNIQUE (project_id, name, version),
  CONSTRAINT fk_policies_project_id FOREIGN KEY(project_id) REFERENCES projects (project_id)
)

CREATE TABLE policy_snapshots (
  project_id TEXT NOT NULL,
  snapshot_id TEXT NOT NULL,
  digest TEXT NOT NULL,
  document TEXT NOT NULL,
  CONSTRAINT pk_policy_snapshots PRIMARY KEY (project_id, snapshot_id),
  CONSTRAINT uq_policy_snapshots_project_id_digest UNIQUE (project_id, digest),
  CONSTRAINT fk_policy_snapshots_project_id FOREIGN KEY(project_id) REFERENCES projects (project_id)
)

CREATE TABLE preflights (
  project_id TEXT NOT NULL,
  preflight_id TEXT NOT NULL,
  inspection_id TEXT,
  state TEXT NOT NULL CONSTRAINT ck_preflights_state CHECK (state IN ('pending', 'answered', 'failed')),
  checks TEXT NOT NULL,
  ready BOOLEAN,
  ended_at BIGINT,
  document TEXT NOT NULL,
  CONSTRAINT pk_preflights PRIMARY KEY (project_id, preflight_id),
  CONSTRAINT fk_preflights_project_id FOREIGN KEY(project_id) REFERENCES projects (project_id)
)

CREATE TABLE project_objects (
  project_id TEXT NOT NULL,
  digest TEXT NOT NULL,
  size_bytes BIGINT NOT NULL,
  at BIGINT NOT NULL,
  CONSTRAINT pk_project_objects PRIMARY KEY (project_id, digest),
  CONSTRAINT fk_project_objects_project_id FOREIGN KEY(project_id) REFERENCES projects (project_id)
)

CREATE TABLE project_usage (
  project_id TEXT NOT NULL,
  day BIGINT NOT NULL,
  cpu BIGINT NOT NULL,
  memory BIGINT NOT NULL,
  gpu BIGINT NOT NULL,
  CONSTRAINT pk_project_usage PRIMARY KEY (project_id, day),
  CONSTRAINT fk_project_usage_project_id FOREIGN KEY(project_id) REFERENCES projects (project_id)
)

CREATE TABLE quotas (
  project_id TEXT NOT NULL,
  quota_id TEXT NOT NULL,
  version BIGINT NOT NULL,
  period_days BIGINT NOT NULL,
  document TEXT NOT NULL,
  CONSTRAINT pk_quotas PRIMARY KEY (project_id, quota_id),
  CONSTRAINT uq_quotas_project_id_version UNIQUE (project_id, version),
  CONSTRAINT fk_quotas_project_id FOREIGN KEY(project_id) REFERENCES projects (project_id)
)

CREATE TABLE role_bindings (
  project_id TEXT NOT NULL,
  binding_id TEXT NOT NULL,
  subject_type TEXT NOT NULL CONSTRAINT ck_role_bindings_subject_type CHECK (subject_type IN ('user', 'group', 'service')),
  subject TEXT NOT NULL,
  role TEXT NOT NULL CONSTRAINT ck_role_bindings_role CHECK (role IN ('viewer', 'editor', 'admin')),
  document TEXT NOT NULL,
  CONSTRAINT pk_role_bindings PRIMARY KEY (project_id, binding_id),
  CONSTRAINT uq_role_bindings_project_id_subject_type_subject UNIQUE (project_id, subject_type, subject),
  CONSTRAINT fk_role_bindings_project_id FOREIGN KEY(project_id) REFERENCES projects (project_id)
)

CREATE TABLE schedules (
  project_id TEXT NOT NULL,
  schedule_id TEXT NOT NULL,
  name TEXT NOT NULL,
  created_by TEXT NOT NULL,
  state TEXT NOT NULL CONSTRAINT ck_schedules_state CHECK (state IN ('active', 'paused', 'retired')),
  version BIGINT NOT NULL,
  next_at BIGINT,
  document TEXT NOT NULL,
  CONSTRAINT pk_schedules PRIMARY KEY (project_id, schedule_id),
  CONSTRAINT ck_schedules_next_at CHECK ((state = 'active') = (next_at IS NOT NULL)),
  CONSTRAINT fk_schedules_project_id FOREIGN KEY(project_id) REFERENCES projects (project_id)
)

CREATE TABLE tasks (
  task_id TEXT NOT NULL,
  project_id TEXT NOT NULL,
  state TEXT NOT NULL CONSTRAINT ck_tasks_state CHECK (state IN ('waiting', 'leased', 'done', 'failed')),
  attempt BIGINT NOT NULL,
  executor TEXT NOT NULL,
  lease_expires_at BIGINT,
  document TEXT NOT NULL,
  CONSTRAINT pk_tasks PRIMARY KEY (task_id),
  CONSTRAINT fk_tasks_project_id FOREIGN KEY(project_id) REFERENCES projects (project_id)
)

CREATE TABLE dataset_versions (
  project_id TEXT NOT NULL,
  version_id TEXT NOT NULL,
  dataset_id TEXT NOT NULL,
  ordinal BIGINT NOT NULL,
  content_digest TEXT NOT NULL,
  document TEXT NOT NULL,
  CONSTRAINT pk_dataset_versions PRIMARY KEY (project_id, version_id),
  CONSTRAINT fk_dataset_versions_project_id_dataset_id FOREIGN KEY(project_id, dataset_id) REFERENCES datasets (project_id, dataset_id),
  CONSTRAINT uq_dataset_versions_project_id_dataset_id_ordinal UNIQUE (project_id, dataset_id, ordinal),
  CONSTRAINT uq_dataset_versions_project_id_dataset_id_content_digest UNIQUE (project_id, dataset_id, content_digest),
  CONSTRAINT fk_dataset_versions_project_id FOREIGN KEY(project_id) REFERENCES projects (project_id)
)

CREATE TABLE environment_locks (
  project_id TEXT NOT NULL,
  lock_id TEXT NOT NULL,
  environment_id TEXT NOT NULL,
  environment TEXT NOT NULL,
  env_hash TEXT NOT NULL,
  document TEXT NOT NULL,
  CONSTRAINT pk_environment_locks PRIMARY KEY (project_id, lock_id),
  CONSTRAINT fk_environment_locks_project_id_environment_id FOREIGN KEY(project_id, environment_id) REFERENCES environments (project_id, environment_id),
  CONSTRAINT fk_environment_locks_project_id FOREIGN KEY(project_id) REFERENCES projects (project_id)
)

CREATE TABLE pipeline_plans (
  project_id TEXT NOT NULL,
  pipeline_run_id TEXT NOT NULL,
  document TEXT NOT NULL,
  CONSTRAINT pk_pipeline_plans PRIMARY KEY (project_id, pipeline_run_id),
  CONSTRAINT fk_pipeline_plans_project_id_pipeline_run_id FOREIGN KEY(project_id, pipeline_run_id) REFERENCES pipeline_runs (project_id, pipeline_run_id),
  CONSTRAINT fk_pipeline_plans_project_id FOREIGN KEY(project_id) REFERENCES projects (project_id)
)

CREATE TABLE policy_decisions (
  project_id TEXT NOT NULL,
  decision_id TEXT NOT NULL,
  snapshot_id TEXT NOT NULL,
  subject TEXT NOT NULL,
  effect TEXT NOT NULL CONSTRAINT ck_policy_decisions_effect CHECK (effect IN ('allow', 'deny', 'require_approval')),
  document TEXT NOT NULL,
  CONSTRAINT pk_policy_decisions PRIMARY KEY (project_id, decision_id),
  CONSTRAINT fk_policy_decisions_project_id_snapshot_id FOREIGN KEY(project_id, snapshot_id) REFERENCES policy_snapshots (project_id, snapshot_id),
  CONSTRAINT fk_policy_decisions_project_id FOREIGN KEY(project_id) REFERENCES projects (project_id)
)

CREATE TABLE dataset_files (
  project_id TEXT NOT NULL,
  digest TEXT NOT NULL,
  version_id TEXT NOT NULL,
  path TEXT NOT NULL,
  CONSTRAINT pk_dataset_files PRIMARY KEY (project_id, digest, version_id),
  CONSTRAINT fk_dataset_files_project_id_version_id FOREIGN KEY(project_id, version_id) REFERENCES dataset_versions (project_id, version_id)
)

CREATE TABLE runs (
  project_id TEXT NOT NULL,
  run_id TEXT NOT NULL,
  created_by TEXT NOT NULL,
  run_class TEXT NOT NULL CONSTRAINT ck_runs_run_class CHECK (run_class IN ('development', 'production')),
  platform TEXT NOT NULL,
  environment_lock_id TEXT NOT NULL,
  policy_decision_id TEXT NOT NULL,
  priority BIGINT NOT NULL,
  shape TEXT NOT NULL,
  cpus_milli BIGINT NOT NULL,
  memory_mib BIGINT NOT NULL,
  gpus BIGINT NOT NULL,
  retries BIGINT NOT NULL,
  state TEXT NOT NULL CONSTRAINT ck_runs_state CHECK (state IN ('created', 'planned', 'awaiting_approval', 'queued', 'dispatching', 'running', 'unknown', 'reconciling', 'succeeded', 'failed', 'canceled')),
  version BIGINT NOT NULL,
  attempt BIGINT NOT NULL,
  epoch BIGINT NOT NULL,
  limitations TEXT NOT NULL,
  progress TEXT NOT NULL,
  queued_at BIGINT,
  started_at BIGINT,
  finished_at BIGINT,
  held_until BIGINT,
  due_at BIGINT,
  failure TEXT,
  repeats TEXT,
  relation TEXT CONSTRAINT ck_runs_relation CHECK (relation IN ('retry', 'rerun', 'replay')),
  document TEXT NOT NULL,
  CONSTRAINT pk_runs PRIMARY KEY (project_id, run_id),
  CONSTRAINT ck_runs_queued_at CHECK (state <> 'queued' OR queued_at IS NOT NULL),
  CONSTRAINT fk_runs_project_id_environment_lock_id FOREIGN KEY(project_id, environment_lock_id) REFERENCES environment_locks (project_id, lock_id),
  CONSTRAINT fk_runs_project_id_policy_decision_id FOREIGN KEY(project_id, policy_decision_id) REFERENCES policy_decisions (project_id, decision_id),
  CONSTRAINT fk_runs_project_id FOREIGN KEY(project_id) REFERENCES projects (project_id)
)

CREATE TABLE approvals (
  project_id TEXT NOT NULL,
  approval_id TEXT NOT NULL,
  run_id TEXT NOT NULL,
  decision_id TEXT NOT NULL,
  state TEXT NOT NULL CONSTRAINT ck_approvals_state CHECK (state IN ('pending', 'approved', 'refused', 'expired', 'withdrawn')),
  version BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  decided_by TEXT,
  decided_at BIGINT,
  comment TEXT NOT NULL,
  final_decision_id TEXT,
  document TEXT NOT NULL,
  CONSTRAINT pk_approvals PRIMARY KEY (project_id, approval_id),
  CONSTRAINT fk_approvals_project_id_run_id FOREIGN KEY(project_id, run_id) REFERENCES runs (project_id, run_id),
  CONSTRAINT fk_approvals_project_id_decision_id FOREIGN KEY(project_id, decision_id) REFERENCES policy_decisions (project_id, decision_id),
  CONSTRAINT fk_approvals_project_id_final_decision_id FOREIGN KEY(project_id, final_decision_id) REFERENCES policy_decisions (project_id, decision_id),
  CONSTRAINT uq_approvals_project_id_run_id UNIQUE (project_id, run_id),
  CONSTRAINT fk_approvals_project_id FOREIGN KEY(project_id) REFERENCES projects (project_id)
)

CREATE TABLE artifacts (
  project_id TEXT NOT NULL,
  artifact_id TEXT NOT NULL,
  run_id TEXT NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL CONSTRAINT ck_artifacts_kind CHECK (kind IN ('notebook', 'output', 'logged', 'log', 'provenance')),
  digest TEXT NOT NULL,
  document TEXT NOT NULL,
  CONSTRAINT pk_artifacts PRIMARY KEY (project_id, artifact_id),
  CONSTRAINT fk_artifacts_project_id_run_id FOREIGN KEY(project_id, run_id) REFERENCES runs (project_id, run_id),
  CONSTRAINT fk_artifacts_project_id FOREIGN KEY(project_id) REFERENCES projects (project_id)
)

CREATE TABLE comparisons (
  project_id TEXT NOT NULL,
  comparison_id TEXT NOT NULL,
  left_run_id TEXT NOT NULL,
  right_run_id TEXT NOT NULL,
  state TEXT NOT NULL CONSTRAINT ck_comparisons_state CHECK (state IN ('pending', 'answered', 'failed')),
  inputs TEXT NOT NULL,
  metrics TEXT NOT NULL,
  timings TEXT NOT NULL,
  outputs TEXT,
  failure TEXT NOT NULL,
  ended_at BIGINT,
  document TEXT NOT NULL,
  CONSTRAINT pk_comparisons PRIMARY KEY (project_id, comparison_id),
  CONSTRAINT fk_comparisons_project_id_left_run_id FOREIGN KEY(project_id, left_run_id) REFERENCES runs (project_id, run_id),
  CONSTRAINT fk_comparisons_project_id_right_run_id FOREIGN KEY(project_id, right_run_id) REFERENCES runs (project_id, run_id),
  CONSTRAINT fk_comparisons_project_id FOREIGN KEY(project_id) REFERENCES projects (project_id)
)

CREATE TABLE executions (
  execution_id TEXT NOT NULL,
  project_id TEXT NOT NULL,
  run_id TEXT NOT NULL,
  attempt BIGINT NOT NULL,
  epoch BIGINT NOT NULL,
  executor TEXT NOT NULL,
  state TEXT NOT NULL CONSTRAINT ck_executions_state CHECK (state IN ('leased', 'running', 'ended', 'lost')),
  lease_expires_at BIGINT NOT NULL,
  started_at BIGINT,
  ended_at BIGINT,
  verdict TEXT CONSTRAINT ck_executions_verdict CHECK (verdict IN ('succeeded', 'failed', 'canceled')),
  cancel_requested BOOLEAN NOT NULL,
  stop_by BIGINT,
  last_sequence BIGINT NOT NULL,
  document TEXT NOT NULL,
  CONSTRAINT pk_executions PRIMARY KEY (execution_id),
  CONSTRAINT fk_executions_project_id_run_id FOREIGN KEY(project_id, run_id) REFERENCES runs (project_id, run_id),
  CONSTRAINT uq_executions_run_id_attempt UNIQUE (run_id, attempt)
)

CREATE TABLE firings (
  project_id TEXT NOT NULL,
  firing_id TEXT NOT NULL,
  schedule_id TEXT NOT NULL,
  due_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  state TEXT NOT NULL CONSTRAINT ck_firings_state CHECK (state IN ('pending', 'fired', 'missed', 'skipped', 'refused')),
  version BIGINT NOT NULL,
  inspection_id TEXT,
  reason TEXT NOT NULL,
  commit_id TEXT NOT NULL,
  run_id TEXT,
  decision_id TEXT,
  document TEXT NOT NULL,
  CONSTRAINT pk_firings PRIMARY KEY (project_id, firing_id),
  CONSTRAINT fk_firings_project_id_schedule_id FOREIGN KEY(project_id, schedule_id) REFERENCES schedules (project_id, schedule_id),
  CONSTRAINT fk_firings_project_id_run_id FOREIGN KEY(project_id, run_id) REFERENCES runs (project_id, run_id),
  CONSTRAINT uq_firings_project_id_schedule_id_due_at UNIQUE (project_id, schedule_id, due_at),
  CONSTRAINT fk_firings_project_id FOREIGN KEY(project_id) REFERENCES projects (project_id)
)

CREATE TABLE held_retries (
  project_id TEXT NOT NULL,
  run_id TEXT NOT NULL,
  since BIGINT NOT NULL,
  reason TEXT NOT NULL,
  CONSTRAINT pk_held_retries PRIMARY KEY (project_id, run_id),
  CONSTRAINT fk_held_retries_project_id_run_id FOREIGN KEY(project_id, run_id) REFERENCES runs (project_id, run_id)
)

CREATE TABLE metrics (
  project_id TEXT NOT NULL,
  run_id TEXT NOT NULL,
  sequence BIGINT NOT NULL,
  name TEXT NOT NULL,
  document TEXT NOT NULL,
  CONSTRAINT pk_metrics PRIMARY KEY (project_id, run_id, sequence),
  CONSTRAINT fk_metrics_project_id_run_id FOREIGN KEY(project_id, run_id) REFERENCES runs (project_id, run_id)
)

CREATE TABLE pipeline_nodes (
  project_id TEXT NOT NULL,
  pipeline_run_id TEXT NOT NULL,
  place BIGINT NOT NULL,
  node TEXT NOT NULL,
  state TEXT NOT NULL CONSTRAINT ck_pipeline_nodes_state CHECK (state IN ('waiting', 'running', 'succeeded', 'failed', 'skipped', 'canceled', 'reused')),
  version BIGINT NOT NULL,
  run_id TEXT,
  reason TEXT NOT NULL,
  metrics TEXT NOT NULL,
  submitted_at BIGINT,
  ended_at BIGINT,
  document TEXT NOT NULL,
  CONSTRAINT pk_pipeline_nodes PRIMARY KEY (project_id, pipeline_run_id, place),
  CONSTRAINT fk_pipeline_nodes_project_id_pipeline_run_id FOREIGN KEY(project_id, pipeline_run_id) REFERENCES pipeline_runs (project_id, pipeline_run_id),
  CONSTRAINT fk_pipeline_nodes_project_id_run_id FOREIGN KEY(project_id, run_id) REFERENCES runs (project_id, run_id)
)

CREATE TABLE plans (
  project_id TEXT NOT NULL,
  run_id TEXT NOT NULL,
  document TEXT NOT NULL,
  CONSTRAINT pk_plans PRIMARY KEY (project_id, run_id),
  CONSTRAINT fk_plans_project_id_run_id FOREIGN KEY(project_id, run_id) REFERENCES runs (project_id, run_id),
  CONSTRAINT fk_plans_project_id FOREIGN KEY(project_id) REFERENCES projects (project_id)
)

CREATE TABLE run_events (
  event_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  project_id TEXT NOT NULL,
  run_id TEXT NOT NULL,
  type TEXT NOT NULL,
  at BIGINT NOT NULL,
  data TEXT NOT NULL,
  CONSTRAINT fk_run_events_project_id_run_id FOREIGN KEY(project_id, run_id) REFERENCES runs (project_id, run_id)
)

CREATE TABLE end_events (
  execution_id TEXT NOT NULL,
  event_id TEXT NOT NULL,
  CONSTRAINT pk_end_events PRIMARY KEY (execution_id),
  CONSTRAINT fk_end_events_execution_id FOREIGN KEY(execution_id) REFERENCES executions (execution_id)
)

CREATE TABLE provenances (
  execution_id TEXT NOT NULL,
  document TEXT NOT NULL,
  CONSTRAINT pk_provenances PRIMARY KEY (execution_id),
  CONSTRAINT fk_provenances_execution_id FOREIGN KEY(execution_id) REFERENCES executions (execution_id)
)

CREATE TABLE tokens (
  token_hash TEXT NOT NULL,
  kind TEXT NOT NULL CONSTRAINT ck_tokens_kind CHECK (kind IN ('dispatch', 'run')),
  execution_id TEXT NOT NULL,
  run_id TEXT NOT NULL,
  project_id TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  CONSTRAINT pk_tokens PRIMARY KEY (token_hash),
  CONSTRAINT fk_tokens_execution_id FOREIGN KEY(execution_id) REFERENCES executions (execution_id)
)

CREATE INDEX ix_audit_events_project_id_action_sequence ON audit_events (project_id, action, sequence)

CREATE INDEX ix_audit_events_project_id_actor_sequence ON audit_events (project_id, actor, sequence)

CREATE INDEX ix_audit_events_project_id_resource_sequence ON audit_events (project_id, resource, sequence)

CREATE INDEX ix_audit_events_project_id_sequence ON audit_events (project_id, sequence)

CREATE INDEX ix_idempotency_keys_expires_at ON idempotency_keys (expires_at)

CREATE INDEX ix_environments_project_id_name_environment_id ON environments (project_id, name, environment_id)

CREATE INDEX ix_lineage_edges_project_id_object_edge_id ON lineage_edges (project_id, object, edge_id)

CREATE INDEX ix_pipeline_runs_in_progress ON pipeline_runs (pipeline_run_id) WHERE state IN ('canceling', 'running')

CREATE INDEX ix_pipeline_runs_project_id_name_pipeline_run_id ON pipeline_runs (project_id, name, pipeline_run_id)

CREATE INDEX ix_pipeline_runs_project_id_state_pipeline_run_id ON pipeline_runs (project_id, state, pipeline_run_id)

CREATE INDEX ix_policies_project_id_name_policy_id ON policies (project_id, name, policy_id)

CREATE INDEX ix_preflights_project_id_inspection_id_preflight_id ON preflights (project_id, inspection_id, preflight_id)

CREATE INDEX ix_role_bindings_subject_type_subject_project_id ON role_bindings (subject_type, subject, project_id)

CREATE INDEX ix_schedules_due ON schedules (next_at) WHERE state = 'active'

CREATE INDEX ix_schedules_project_id_name_schedule_id ON schedules (project_id, name, schedule_id)

CREATE UNIQUE INDEX uq_schedules_in_use ON schedules (project_id, name) WHERE state <> 'retired'

CREATE INDEX ix_tasks_leased ON tasks (lease_expires_at) WHERE state = 'leased'

CREATE INDEX ix_tasks_waiting ON tasks (task_id) WHERE state = 'waiting'

CREATE INDEX ix_dataset_versions_project_id_dataset_id_version_id ON dataset_versions (project_id, dataset_id, version_id)

CREATE INDEX ix_environment_locks_project_id_env_hash_lock_id ON environment_locks (project_id, env_hash, lock_id)

CREATE INDEX ix_environment_locks_project_id_environment_id_lock_id ON environment_locks (project_id, environment_id, lock_id)

CREATE INDEX ix_environment_locks_project_id_environment_lock_id ON environment_locks (project_id, environment, lock_id)

CREATE INDEX ix_runs_due ON runs (due_at) WHERE due_at IS NOT NULL

CREATE INDEX ix_runs_held ON runs (held_until) WHERE state = 'queued' AND held_until IS NOT NULL

CREATE INDEX ix_runs_in_use ON runs (platform) WHERE state IN ('dispatching', 'running', 'unknown', 'reconciling')

CREATE INDEX ix_runs_project_id_created_by_run_id ON runs (project_id, created_by, run_id)

CREATE INDEX ix_runs_project_id_state_run_id ON runs (project_id, state, run_id)

CREATE INDEX ix_runs_queue ON runs (platform, project_id, shape, priority DESC, queued_at, run_id) WHERE state = 'queued' AND held_until IS NULL

CREATE INDEX ix_runs_repeats ON runs (project_id, repeats, run_id) WHERE repeats IS NOT NULL

CREATE INDEX ix_approvals_pending ON approvals (expires_at) WHERE state = 'pending'

CREATE INDEX ix_approvals_project_id_state_approval_id ON approvals (project_id, state, approval_id)

CREATE INDEX ix_artifacts_project_id_digest_artifact_id ON artifacts (project_id, digest, artifact_id)

CREATE INDEX ix_artifacts_project_id_run_id_artifact_id ON artifacts (project_id, run_id, artifact_id)

CREATE INDEX ix_comparisons_project_id_left_run_id_comparison_id ON comparisons (project_id, left_run_id, comparison_id)

CREATE INDEX ix_comparisons_project_id_right_run_id_comparison_id ON comparisons (project_id, right_run_id, comparison_id)

CREATE INDEX ix_executions_canceling ON executions (executor) WHERE state IN ('leased', 'running') AND cancel_requested

CREATE INDEX ix_executions_leases ON executions (lease_expires_at) WHERE state IN ('leased', 'running')

CREATE INDEX ix_firings_pending ON firings (created_at) WHERE state = 'pending'

CREATE INDEX ix_firings_project_id_inspection_id_firing_id ON firings (project_id, inspection_id, firing_id)

CREATE INDEX ix_firings_project_id_schedule_id_firing_id ON firings (project_id, schedule_id, firing_id)

CREATE INDEX ix_run_events_project_id_type_event_id ON run_events (project_id, type, event_id)

CREATE INDEX ix_run_events_run_id_event_id ON run_events (run_id, event_id)

CREATE INDEX ix_tokens_execution_id ON tokens (execution_id)

INSERT INTO audit_head (id, sequence, hash) VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000')

CREATE TRIGGER guard_artifacts_update BEFORE UPDATE ON artifacts BEGIN SELECT RAISE(ABORT, 'UPDATE on artifacts is refused: what it would change is final'); END

CREATE TRIGGER guard_artifacts_delete BEFORE DELETE ON artifacts BEGIN SELECT RAISE(ABORT, 'DELETE on artifacts is refused: what it would change is final'); END

CREATE TRIGGER guard_audit_events_update BEFORE UPDATE ON audit_events BEGIN SELECT RAISE(ABORT, 'UPDATE on audit_events is refused: what it would change is final'); END

CREATE TRIGGER guard_audit_events_delete BEFORE DELETE ON audit_events BEGIN SELECT RAISE(ABORT, 'DELETE on audit_events is refused: what it would change is final'); END

CREATE TRIGGER guard_dataset_files_update BEFORE UPDATE ON dataset_files BEGIN SELECT RAISE(ABORT, 'UPDATE on dataset_files is refused: what it would change is final'); END

CREATE TRIGGER guard_dataset_files_delete BEFORE DELETE ON dataset_files BEGIN SELECT RAISE(ABORT, 'DELETE on dataset_files is refused: what it would change is final'); END

CREATE TRIGGER guard_dataset_versions_update BEFORE UPDATE ON dataset_versions BEGIN SELECT RAISE(ABORT, 'UPDATE on dataset_versions is refused: what it would change is final'); END

CREATE TRIGGER guard_dataset_versions_delete BEFORE DELETE ON dataset_versions BEGIN SELECT RAISE(ABORT, 'DELETE on dataset_versions is refused: what it would change is final'); END

CREATE TRIGGER guard_datasets_update BEFORE UPDATE ON datasets BEGIN SELECT RAISE(ABORT, 'UPDATE on datasets is refused: what it would change is final'); END

CREATE TRIGGER guard_datasets_delete BEFORE DELETE ON datasets BEGIN SELECT RAISE(ABORT, 'DELETE on datasets is refused: what it would change is final'); END

CREATE TRIGGER guard_end_events_update BEFORE UPDATE ON end_events BEGIN SELECT RAISE(ABORT, 'UPDATE on end_events is refused: what it would change is final'); END

CREATE TRIGGER guard_end_events_delete BEFORE DELETE ON end_events BEGIN SELECT RAISE(ABORT, 'DELETE on end_events is refused: what it would change is final'); END

CREATE TRIGGER guard_environment_locks_update BEFORE UPDATE ON environment_locks BEGIN SELECT RAISE(ABORT, 'UPDATE on environment_locks is refused: what it would change is final'); END

CREATE TRIGGER guard_environment_locks_delete BEFORE DELETE ON environment_locks BEGIN SELECT RAISE(ABORT, 'DELETE on environment_locks is refused: what it would change is final'); END

CREATE TRIGGER guard_lineage_edges_update BEFORE UPDATE ON lineage_edges BEGIN SELECT RAISE(ABORT, 'UPDATE on lineage_edges is refused: what it would change is final'); END

CREATE TRIGGER guard_lineage_edges_delete BEFORE DELETE ON lineage_edges BEGIN SELECT RAISE(ABORT, 'DELETE on lineage_edges is refused: what it would change is final'); END

CREATE TRIGGER guard_metrics_update BEFORE UPDATE ON metrics BEGIN SELECT RAISE(ABORT, 'UPDATE on metrics is refused: what it would change is final'); END

CREATE TRIGGER guard_metrics_delete BEFORE DELETE ON metrics BEGIN SELECT RAISE(ABORT, 'DELETE on metrics is refused: what it would change is final'); END

CREATE TRIGGER guard_pipeline_plans_update BEFORE UPDATE ON pipeline_plans BEGIN SELECT RAISE(ABORT, 'UPDATE on pipeline_plans is refused: what it would change is final'); END

CREATE TRIGGER guard_pipeline_plans_delete BEFORE DELETE ON pipeline_plans BEGIN SELECT RAISE(ABORT, 'DELETE on pipeline_plans is refused: what it would change is final'); END

CREATE TRIGGER guard_plans_update BEFORE UPDATE ON plans BEGIN SELECT RAISE(ABORT, 'UPDATE on plans is refused: what it would change is final'); END

CREATE TRIGGER guard_plans_delete BEFORE DELETE ON plans BEGIN SELECT RAISE(ABORT, 'DELETE on plans is refused: what it would change is final'); END

CREATE TRIGGER guard_policies_update BEFORE UPDATE ON policies BEGIN SELECT RAISE(ABORT, 'UPDATE on policies is refused: what it would change is final'); END

CREATE TRIGGER guard_policies_delete BEFORE DELETE ON policies BEGIN SELECT RAISE(ABORT, 'DELETE on policies is refused: what it would change is final'); END

CREATE TRIGGER guard_policy_decisions_update BEFORE UPDATE ON policy_decisions BEGIN SELECT RAISE(ABORT, 'UPDATE on policy_decisions is refused: what it would change is final'); END

CREATE TRIGGER guard_policy_decisions_delete BEFORE DELETE ON policy_decisions BEGIN SELECT RAISE(ABORT, 'DELETE on policy_decisions is refused: what it would change is final'); END

CREATE TRIGGER guard_policy_snapshots_update BEFORE UPDATE ON policy_snapshots BEGIN SELECT RAISE(ABORT, 'UPDATE on policy_snapshots is refused: what it would change is final'); END

CREATE TRIGGER guard_policy_snapshots_delete BEFORE DELETE ON policy_snapshots BEGIN SELECT RAISE(ABORT, 'DELETE on policy_snapshots is refused: what it would change is final'); END

CREATE TRIGGER guard_project_objects_update BEFORE UPDATE ON project_objects BEGIN SELECT RAISE(ABORT, 'UPDATE on project_objects is refused: what it would change is final'); END

CREATE TRIGGER guard_project_objects_delete BEFORE DELETE ON project_objects BEGIN SELECT RAISE(ABORT, 'DELETE on project_objects is refused: what it would change is final'); END

CREATE TRIGGER guard_provenances_update BEFORE UPDATE ON provenances BEGIN SELECT RAISE(ABORT, 'UPDATE on provenances is refused: what it would change is final'); END

CREATE TRIGGER guard_provenances_delete BEFORE DELETE ON provenances BEGIN SELECT RAISE(ABORT, 'DELETE on provenances is refused: what it would change is final'); END

CREATE TRIGGER guard_quotas_update BEFORE UPDATE ON quotas BEGIN SELECT RAISE(ABORT, 'UPDATE on quotas is refused: what it would change is final'); END

CREATE TRIGGER guard_quotas_delete BEFORE DELETE ON quotas BEGIN SELECT RAISE(ABORT, 'DELETE on quotas is refused: what it would change is final'); END

CREATE TRIGGER guard_approvals_update BEFORE UPDATE ON approvals WHEN OLD.project_id <> NEW.project_id OR OLD.approval_id <> NEW.approval_id OR OLD.run_id <> NEW.run_id OR OLD.decision_id <> NEW.decision_id OR OLD.expires_at <> NEW.expires_at OR OLD.document <> NEW.document OR OLD.state IN ('approved', 'expired', 'refused', 'withdrawn') BEGIN SELECT RAISE(ABORT, 'UPDATE on approvals is refused: what it would change is final'); END

CREATE TRIGGER guard_approvals_delete BEFORE DELETE ON approvals BEGIN SELECT RAISE(ABORT, 'DELETE on approvals is refused: what it would change is final'); END

CREATE TRIGGER guard_audit_head_update BEFORE UPDATE ON audit_head WHEN OLD.id <> NEW.id OR NEW.sequence < OLD.sequence BEGIN SELECT RAISE(ABORT, 'UPDATE on audit_head is refused: what it would change is final'); END

CREATE TRIGGER guard_audit_head_delete BEFORE DELETE ON audit_head BEGIN SELECT RAISE(ABORT, 'DELETE on audit_head is refused: what it would change is final'); END

CREATE TRIGGER guard_comparisons_update BEFORE UPDATE ON comparisons WHEN OLD.project_id <> NEW.project_id OR OLD.comparison_id <> NEW.comparison_id OR OLD.left_run_id <> NEW.left_run_id OR OLD.document <> NEW.document OR OLD.state IN ('answered', 'failed') BEGIN SELECT RAISE(ABORT, 'UPDATE on comparisons is refused: what it would change is final'); END

CREATE TRIGGER guard_comparisons_delete BEFORE DELETE ON comparisons BEGIN SELECT RAISE(ABORT, 'DELETE on comparisons is refused: what it would change is final'); END

CREATE TRIGGER guard_environments_update BEFORE UPDATE ON environments WHEN OLD.project_id <> NEW.project_id OR OLD.environment_id <> NEW.environment_id OR OLD.name <> NEW.name OR OLD.version <> NEW.version OR OLD.document <> NEW.document BEGIN SELECT RAISE(ABORT, 'UPDATE on environments is refused: what it would change is final'); END

CREATE TRIGGER guard_environments_delete BEFORE DELETE ON environments BEGIN SELECT RAISE(ABORT, 'DELETE on environments is refused: what it would change is final'); END

CREATE TRIGGER guard_executions_update BEFORE UPDATE ON executions WHEN OLD.execution_id <> NEW.execution_id OR OLD.project_id <> NEW.project_id OR OLD.run_id <> NEW.run_id OR OLD.attempt <> NEW.attempt OR OLD.executor <> NEW.executor OR OLD.document <> NEW.document OR OLD.state IN ('ended', 'lost') BEGIN SELECT RAISE(ABORT, 'UPDATE on executions is refused: what it would change is final'); END

CREATE TRIGGER guard_executions_delete BEFORE DELETE ON executions BEGIN SELECT RAISE(ABORT, 'DELETE on executions is refused: what it would change is final'); END

CREATE TRIGGER guard_inspections_update BEFORE UPDATE ON inspections WHEN OLD.project_id <> NEW.project_id OR OLD.inspection_id <> NEW.inspection_id OR OLD.document <> NEW.document OR OLD.state IN ('answered', 'failed') BEGIN SELECT RAISE(ABORT, 'UPDATE on inspections is refused: what it would change is final'); END

CREATE TRIGGER guard_inspections_delete BEFORE DELETE ON inspections BEGIN SELECT RAISE(ABORT, 'DELETE on inspections is refused: what it would change is final'); END

CREATE TRIGGER guard_preflights_update BEFORE UPDATE ON preflights WHEN OLD.project_id <> NEW.project_id OR OLD.preflight_id <> NEW.preflight_id OR OLD.inspection_id <> NEW.inspection_id OR OLD.document <> NEW.document OR OLD.state IN ('answered', 'failed') BEGIN SELECT RAISE(ABORT, 'UPDATE on preflights is refused: what it would change is final'); END

CREATE TRIGGER guard_preflights_delete BEFORE DELETE ON preflights BEGIN SELECT RAISE(ABORT, 'DELETE on preflights is refused: what it would change is final'); END

CREATE TRIGGER guard_firings_update BEFORE UPDATE ON firings WHEN OLD.project_id <> NEW.project_id OR OLD.firing_id <> NEW.firing_id OR OLD.schedule_id <> NEW.schedule_id OR OLD.due_at <> NEW.due_at OR OLD.created_at <> NEW.created_at OR OLD.document <> NEW.document OR OLD.state IN ('fired', 'missed', 'refused', 'skipped') BEGIN SELECT RAISE(ABORT, 'UPDATE on firings is refused: what it would change is final'); END

CREATE TRIGGER guard_firings_delete BEFORE DELETE ON firings BEGIN SELECT RAISE(ABORT, 'DELETE on firings is refused: what it would change is final'); END

CREATE TRIGGER guard_pipeline_nodes_update BEFORE UPDATE ON pipeline_nodes WHEN OLD.project_id <> NEW.project_id OR OLD.pipeline_run_id <> NEW.pipeline_run_id OR OLD.place <> NEW.place OR OLD.node <> NEW.node OR OLD.document <> NEW.document OR OLD.state IN ('canceled', 'failed', 'reused', 'skipped', 'succeeded') BEGIN SELECT RAISE(ABORT, 'UPDATE on pipeline_nodes is refused: what it would change is final'); END

CREATE TRIGGER guard_pipeline_nodes_delete BEFORE DELETE ON pipeline_nodes BEGIN SELECT RAISE(ABORT, 'DELETE on pipeline_nodes is refused: what it would change is final'); END

CREATE TRIGGER guard_pipeline_runs_update BEFORE UPDATE ON pipeline_runs WHEN OLD.project_id <> NEW.project_id OR OLD.pipeline_run_id <> NEW.pipeline_run_id OR OLD.name <> NEW.name OR OLD.created_by <> NEW.created_by OR OLD.document <> NEW.document OR OLD.state IN ('canceled', 'failed', 'succeeded') BEGIN SELECT RAISE(ABORT, 'UPDATE on pipeline_runs is refused: what it would change is final'); END

CREATE TRIGGER guard_pipeline_runs_delete BEFORE DELETE ON pipeline_runs BEGIN SELECT RAISE(ABORT, 'DELETE on pipeline_runs is refused: what it would change is final'); END

CREATE TRIGGER guard_projects_update BEFORE UPDATE ON projects WHEN OLD.project_id <> NEW.project_id OR OLD.name <> NEW.name OR OLD.document <> NEW.document BEGIN SELECT RAISE(ABORT, 'UPDATE on projects is refused: what it would change is final'); END

CREATE TRIGGER guard_projects_delete BEFORE DELETE ON projects BEGIN SELECT RAISE(ABORT, 'DELETE on projects is refused: what it would change is final'); END

CREATE TRIGGER guard_schedules_update BEFORE UPDATE ON schedules WHEN OLD.project_id <> NEW.project_id OR OLD.schedule_id <> NEW.schedule_id OR OLD.name <> NEW.name OR OLD.created_by <> NEW.created_by OR OLD.document <> NEW.document OR OLD.state IN ('retired') BEGIN SELECT RAISE(ABORT, 'UPDATE on schedules is refused: what it would change is final'); END

CREATE TRIGGER guard_schedules_delete BEFORE DELETE ON schedules BEGIN SELECT RAISE(ABORT, 'DELETE on schedules is refused: what it would change is final'); END

CREATE TRIGGER guard_runs_update BEFORE UPDATE ON runs WHEN OLD.project_id <> NEW.project_id OR OLD.run_id <> NEW.run_id OR OLD.created_by <> NEW.created_by OR OLD.run_class <> NEW.run_class OR OLD.platform <> NEW.platform OR OLD.environment_lock_id <> NEW.environment_lock_id OR OLD.policy_decision_id <> NEW.policy_decision_id OR OLD.priority <> NEW.priority OR OLD.shape <> NEW.shape OR OLD.cpus_milli <> NEW.cpus_milli OR OLD.memory_mib <> NEW.memory_mib OR OLD.gpus <> NEW.gpus OR OLD.retries <> NEW.retries OR OLD.document <> NEW.document OR OLD.state IN ('canceled', 'failed', 'succeeded') BEGIN SELECT RAISE(ABORT, 'UPDATE on runs is refused: what it would change is final'); END

CREATE TRIGGER guard_runs_delete BEFORE DELETE ON runs BEGIN SELECT RAISE(ABORT, 'DELETE on runs is refused: what it would change is final'); END

CREATE TRIGGER guard_tasks_update BEFORE UPDATE ON tasks WHEN OLD.task_id <> NEW.task_id OR OLD.project_id <> NEW.project_id OR OLD.document <> NEW.document OR OLD.state IN ('done', 'failed') BEGIN SELECT RAISE(ABORT, 'UPDATE on tasks is refused: what it would change is final'); END

CREATE TRIGGER guard_tasks_delete BEFORE DELETE ON tasks BEGIN SELECT RAISE(ABORT, 'DELETE on tasks is refused: what it would change is final'); END
