# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Pure code stays pure, and what runs in somebody else's environment asks for nothing of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.purity import STANDALONE, heavy_imports, types_worked_out_elsewhere, worldly_calls
from tests.architecture.source_trees import PROJECT, THIS_PROJECT, planted


def test_contracts_and_domain_read_no_clock_no_randomness_and_no_file() -> None:
    assert worldly_calls(THIS_PROJECT) == []


@pytest.mark.parametrize("call", ["datetime.now(UTC)", "date.today()", "uuid4()", "uuid.uuid1()", "open('x')",
                                  "path.read_text()", "print('x')"])  # fmt: skip
@pytest.mark.parametrize("place", ["animus_contracts/runs.py", "animus_control/domain/runs.py"])
def test_call_for_the_world_is_noticed(tmp_path: Path, call: str, place: str) -> None:
    tree = planted(tmp_path, {f"hub_extension/{place}": f"def f(at={call}):\n    return at\n"})

    assert len(worldly_calls(tree)) == 1


def test_the_shell_around_the_core_may_read_the_clock(tmp_path: Path) -> None:
    tree = planted(tmp_path, {"hub_extension/animus_control/worker.py": "datetime.now(UTC)"})

    assert worldly_calls(tree) == []


def test_types_are_worked_out_in_one_place() -> None:
    assert types_worked_out_elsewhere(THIS_PROJECT) == []


@pytest.mark.parametrize("call", ["msgspec.json.decode(x, type=Run)", "msgspec.convert(x, Run)",
                                  "msgspec.json.Decoder(Run)", "msgspec.msgpack.Decoder(Run)",
                                  "msgspec.yaml.decode(x, type=Run)"])  # fmt: skip
def test_a_type_that_is_worked_out_elsewhere_is_noticed(tmp_path: Path, call: str) -> None:
    tree = planted(tmp_path, {"kernels/animus_executor/tasks.py": f"import msgspec\nasked = {call}\n"})

    assert len(types_worked_out_elsewhere(tree)) == 1


def test_plain_json_may_be_read_anywhere(tmp_path: Path) -> None:
    tree = planted(tmp_path, {"kernels/animus_executor/tasks.py": "import msgspec\nasked = msgspec.json.decode(x)\n"})

    assert types_worked_out_elsewhere(tree) == []


def test_what_reaches_the_kernel_imports_nothing_of_ours() -> None:
    assert [place for place in STANDALONE if not (PROJECT / place).exists()] == []
    assert heavy_imports(THIS_PROJECT) == []


@pytest.mark.parametrize("place", STANDALONE)
@pytest.mark.parametrize("line", ["import msgspec", "from animus_contracts import runs", "def f():\n    import httpx"])
def test_import_that_the_kernel_cannot_have_is_noticed(tmp_path: Path, place: str, line: str) -> None:
    assert len(heavy_imports(planted(tmp_path, {place: line}))) == 1
