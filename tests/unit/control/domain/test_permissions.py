# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Who may do what: the table over the full product, and the ceiling of a token over every combination."""

from __future__ import annotations

from itertools import product

import pytest

from animus_contracts.endpoints import ENDPOINTS
from animus_contracts.identifiers import BindingId, ProjectId
from animus_contracts.permissions import Permission
from animus_contracts.projects import Role, RoleBinding, SubjectType
from animus_control.domain.identity import EVERY_PROJECT, Principal, PrincipalKind
from animus_control.domain.permissions import best_roles, capped, is_allowed, is_platform_admin, subjects_of
from tests.unit.control.moments import NOW

V, E, A = Role.VIEWER, Role.EDITOR, Role.ADMIN
LEAST = {
    "artifact:read": V, "audit:read": A, "dataset:read": V, "dataset:write": E, "environment:read": V,
    "environment:write": E, "member:read": V, "member:write": A, "policy:read": V, "policy:write": A,
    "project:administer": A, "project:read": V, "run:approve": A, "run:cancel": E, "run:read": V, "run:submit": E,
}  # fmt: skip
ORDER = [V, E, A]


@pytest.mark.parametrize(("role", "permission"), list(product(Role, Permission)), ids=str)
def test_role_has_permission_exactly_from_its_least_role_on(role: Role, permission: Permission) -> None:
    assert is_allowed(role, permission) == (ORDER.index(role) >= ORDER.index(LEAST[permission]))


def test_every_permission_guards_some_endpoint() -> None:
    assert {endpoint.permission for endpoint in ENDPOINTS} - {None} == set(Permission)


@pytest.mark.parametrize(("bound", "everywhere", "here"), list(product([None, *ORDER], repeat=3)), ids=str)
def test_effective_role_is_the_lesser_of_binding_and_ceiling(
    bound: Role | None, everywhere: Role | None, here: Role | None
) -> None:
    ceiling = {key: role for key, role in ((EVERY_PROJECT, everywhere), ("demo", here), ("other", A)) if role}
    ranks = [ORDER.index(role) for role in (everywhere, here) if role]
    expected = None if bound is None or not ranks else ORDER[min(ORDER.index(bound), max(ranks))]

    assert capped(bound, Principal(name="ann", kind=PrincipalKind.USER, ceiling=ceiling), "demo") is expected


@pytest.mark.parametrize(
    ("flag", "ceiling", "expected"),
    [
        pytest.param(True, {EVERY_PROJECT: A}, True, id="hub-admin-with-unfiltered-admin-token"),
        pytest.param(False, {EVERY_PROJECT: A}, False, id="not-an-admin-of-the-hub"),
        pytest.param(True, {EVERY_PROJECT: E}, False, id="token-for-editing-only"),
        pytest.param(True, {"demo": A}, False, id="token-for-one-project"),
        pytest.param(True, {}, False, id="token-without-scope"),
    ],
)
def test_platform_admin_needs_both_the_hubs_word_and_an_unfiltered_token(
    *, flag: bool, ceiling: dict[str, Role], expected: bool
) -> None:
    ann = Principal(name="ann", kind=PrincipalKind.USER, platform_admin=flag, ceiling=ceiling)

    assert is_platform_admin(ann) is expected
    assert (capped(None, ann, "other") is A) is expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (PrincipalKind.USER, [("user", "x"), ("group", "g1"), ("group", "g2")]),
        (PrincipalKind.SERVICE, [("service", "x")]),
        (PrincipalKind.EXECUTOR, []),
        (PrincipalKind.RUN, []),
        (PrincipalKind.SYSTEM, []),
    ],
)
def test_bindings_are_looked_up_by_kind_of_principal(kind: PrincipalKind, expected: list[tuple[str, str]]) -> None:
    assert subjects_of(Principal(name="x", kind=kind, groups=frozenset({"g2", "g1"}))) == expected


def test_best_of_several_bindings_counts_per_project() -> None:
    bindings = [a_binding("p", V), a_binding("p", A), a_binding("p", E), a_binding("q", V)]

    assert best_roles(bindings) == {"p": A, "q": V}


def a_binding(project: str, role: Role) -> RoleBinding:
    return RoleBinding(
        binding_id=BindingId("b"), project_id=ProjectId(project), subject_type=SubjectType.USER, subject="ann",
        role=role, created_at=NOW, created_by="user:ann",
    )  # fmt: skip
