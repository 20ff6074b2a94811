# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What only grows is read in its order: metrics, events, lineage, answers, notes of objects."""

from __future__ import annotations

from datetime import timedelta

import pytest

from animus_contracts.artifacts import Artifact, ArtifactKind, Metric
from animus_contracts.datasets import StoredObject
from animus_contracts.identifiers import ArtifactId
from animus_contracts.lineage import LineageEdge, Predicate
from animus_contracts.run_events import RunEvent
from animus_control.services.repositories import AlreadyExistsError, StoredAnswer
from animus_control.storage.database import StoredDatabase
from tests.ports.records_of_a_project import (
    NOW,
    OTHER_ID,
    PROJECT_ID,
    a_project,
    a_run,
    add_runs,
    add_surroundings,
    digest,
    identifier,
    write,
)

RUN, OTHER_RUN = a_run(100), a_run(101)


@pytest.fixture
def filled(database: StoredDatabase) -> StoredDatabase:
    """A database with two runs."""
    write(database, add_surroundings)
    write(database, lambda uow: add_runs(uow, RUN, OTHER_RUN))
    return database


def test_metrics_are_paged_oldest_first_with_exact_values(filled: StoredDatabase) -> None:
    metrics = [
        Metric(run_id=RUN.run_id, sequence=number, name="loss", step=-number, value=0.1 + number, logged_at=NOW)
        for number in range(5)
    ]
    filled.write(lambda uow: uow.metrics.add(PROJECT_ID, metrics)).result(9)
    filled.write(lambda uow: uow.metrics.add(PROJECT_ID, [])).result(9)
    first = filled.read(lambda uow: uow.metrics.page(PROJECT_ID, RUN.run_id, limit=3, cursor=None))
    rest = filled.read(lambda uow: uow.metrics.page(PROJECT_ID, RUN.run_id, limit=3, cursor=first.next_cursor))
    assert (first.items + rest.items, rest.next_cursor) == (metrics, None)
    assert filled.read(lambda uow: uow.metrics.page(OTHER_ID, RUN.run_id, limit=3, cursor=None)).items == []


def test_events_are_resumed_after_any_of_them_by_run_kind_and_project(filled: StoredDatabase) -> None:
    told = [(RUN, "run.state"), (RUN, "cell.started"), (OTHER_RUN, "run.state")]
    for number, (run, kind) in enumerate(told):
        filled.write(
            lambda uow, r=run, k=kind, n=number: uow.events.add(PROJECT_ID, r.run_id, k, NOW, {"number": n})
        ).result(9)
    events = filled.read(lambda uow: uow.events.after(PROJECT_ID, 0, run_id=None))
    ids = [event.event_id for event in events]
    assert ids == sorted(set(ids))
    assert events == [
        RunEvent(event_id=ids[number], run_id=run.run_id, type=kind, at=NOW, data={"number": number})
        for number, (run, kind) in enumerate(told)
    ]
    assert filled.read(lambda uow: uow.events.after(PROJECT_ID, ids[0], run_id=RUN.run_id)) == [events[1]]
    assert filled.read(lambda uow: uow.events.after(PROJECT_ID, 0, run_id=None, kind="run.state")) == [
        events[0], events[2],
    ]  # fmt: skip
    assert filled.read(lambda uow: uow.events.after(PROJECT_ID, 0, run_id=None, limit=1)) == [events[0]]
    assert filled.read(lambda uow: uow.events.after(OTHER_ID, 0, run_id=RUN.run_id)) == []


def test_lineage_is_found_from_either_end_once_and_within_the_project(filled: StoredDatabase) -> None:
    edges = [
        LineageEdge(
            edge_id=identifier(number), project_id=PROJECT_ID, subject=subject, predicate=Predicate.USED, object=target,
            created_at=NOW,
        )
        for number, (subject, target) in enumerate([("a", "b"), ("b", "c"), ("d", "e")])
    ]  # fmt: skip
    write(filled, lambda uow: uow.lineage.add(edges))

    def touching(*nodes: str, limit: int = 9) -> list[LineageEdge]:
        return filled.read(lambda uow: uow.lineage.touching(PROJECT_ID, nodes, limit=limit))

    assert touching("a", "b") == edges[:2]
    assert touching("c") == [edges[1]]
    assert touching("a", "b", limit=1) == edges[:1]
    assert touching() == []
    assert filled.read(lambda uow: uow.lineage.touching(OTHER_ID, ["a"], limit=9)) == []


def test_answer_is_kept_once_per_scope_and_key_until_it_expires(database: StoredDatabase) -> None:
    answer = StoredAnswer(fingerprint="f", status=201, body=b"\x00\xff", location="/x")
    database.write(lambda uow: uow.idempotency.add("s", "k", answer, expires_at=NOW)).result(9)
    assert database.read(lambda uow: uow.idempotency.find("s", "k")) == answer
    assert database.read(lambda uow: uow.idempotency.find("s", "other")) is None
    with pytest.raises(AlreadyExistsError):
        database.write(lambda uow: uow.idempotency.add("s", "k", answer, expires_at=NOW)).result(9)
    pruned = [
        database.write(lambda uow, t=at: uow.idempotency.prune(t)).result(9)
        for at in (NOW, NOW + timedelta(microseconds=1))
    ]
    assert pruned == [0, 1]
    assert database.read(lambda uow: uow.idempotency.find("s", "k")) is None


def test_object_is_noted_once_and_for_its_project_alone(database: StoredDatabase) -> None:
    stored, empty = StoredObject(digest=digest("x"), size_bytes=7), StoredObject(digest=digest("y"), size_bytes=0)
    write(database, lambda uow: uow.projects.add(a_project()))
    for each in (stored, stored, empty):
        database.write(lambda uow, o=each: uow.objects.add(PROJECT_ID, o, NOW)).result(9)
    asked = [stored.digest, empty.digest, digest("missing")]
    assert database.read(lambda uow: uow.objects.sizes(PROJECT_ID, asked)) == {stored.digest: 7, empty.digest: 0}
    assert database.read(lambda uow: uow.objects.sizes(OTHER_ID, asked)) == {}


def test_sizes_of_more_objects_than_a_statement_may_bind_are_found(database: StoredDatabase) -> None:
    write(database, lambda uow: uow.projects.add(a_project()))
    last = StoredObject(digest=digest("39999"), size_bytes=1)
    database.write(lambda uow: uow.objects.add(PROJECT_ID, last, NOW)).result(9)
    asked = [digest(str(number)) for number in range(40_000)]
    assert database.read(lambda uow: uow.objects.sizes(PROJECT_ID, asked)) == {last.digest: 1}


def test_artifacts_are_listed_by_run(filled: StoredDatabase) -> None:
    artifacts = [
        Artifact(
            artifact_id=ArtifactId(identifier(number)), project_id=PROJECT_ID, run_id=run.run_id, attempt=1,
            name=f"a{number}", kind=ArtifactKind.OUTPUT, media_type="text/csv", digest=digest("a"), size_bytes=1,
            created_at=NOW,
        )
        for number, run in enumerate([RUN, OTHER_RUN, RUN])
    ]  # fmt: skip
    write(filled, lambda uow: [uow.artifacts.add(artifact) for artifact in artifacts])
    page = filled.read(lambda uow: uow.artifacts.page(PROJECT_ID, limit=9, cursor=None, run_id=RUN.run_id))
    assert page.items == [artifacts[2], artifacts[0]]
