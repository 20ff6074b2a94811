# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A pipeline file is plain, bounded and told by line; hostile YAML is refused before it costs anything."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animus import Pipeline, pipeline_files, yaml_texts
from animus.errors import UsageError
from animus_contracts.pipelines import MAX_FILE_BYTES
from animus_server.workspace import EXAMPLES

SMALL = "name: wine\nenvironment: science\nnodes:\n  a: {notebook: a.ipynb}\n"
BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
        ("name: [a\n", "line 2"),
        ("name: 'a\n", "line"),
        ("\tname: a", "line 1, column 1"),
        ("name: a\nname: b\n", "line 2, column 1: 'name' is there twice"),
        ("a: {b: 1, b: 2}\n", "line 1, column 11: 'b' is there twice"),
        ("a: 1\n---\nb: 2\n", "line 2, column 1: there must be one document only"),
        (BOMB, "line 1, column 4: anchors and aliases are not allowed"),
        ("a: *b\n", "anchors and aliases are not allowed"),
        ("a: &b 1\n", "anchors and aliases are not allowed"),
        ("a: !!python/object/apply:os.system ['id']\n", "line 1, column 4: tags are not allowed"),
        ("a: !!str 1\n", "tags are not allowed"),
        ("!x a: 1\n", "tags are not allowed"),
        ("? [a]\n: 1\n", "line 1, column 3: a name must be a text"),
        ("a: " + "[" * 33 + "]" * 33, "nested deeper than 32 levels"),
        ("a: " + "{b: " * 5000 + "}" * 5000, "nested deeper than 32 levels"),
        ("a: \x00\n", "p.yaml"),
        ("a: \ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "p.yaml"),
    ],
    ids=range(19),
)  # fmt: skip
def test_text_that_is_not_plain_yaml_is_refused_with_its_place(text: str, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        yaml_texts.read(text, "p.yaml")
    assert refused.value.code == "bad_yaml"
    assert refused.value.detail.startswith("p.yaml")
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_bytes_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(UsageError, match="not UTF-8"):
        pipeline_files.decode(b"name: \xff\n", "p.yaml")


def test_a_file_beyond_its_size_is_refused_and_not_read(tmp_path: Path) -> None:
    big = tmp_path / "p.yaml"
    big.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    content = pipeline_files.read_bytes(big)
    with pytest.raises(UsageError, match="more than 256 KiB"):
        pipeline_files.decode(content, "p.yaml")


def test_the_largest_file_is_read_in_a_few_seconds() -> None:
    line = "  n{0:05}: {{notebook: a.ipynb, parameters: {{x: {0}, y: text}}}}\n"
    text = "name: wine\nenvironment: e\nnodes:\n" + "".join(line.format(number) for number in range(4200))
    begin = time.process_time()
    file = pipeline_files.decode(text.encode(), "p.yaml")
    assert file.check({})[0].message == "must have 1 to 1000 nodes, not 4200"
    assert time.process_time() - begin < 3


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        pipeline_files.read_bytes(tmp_path / "gone.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("-1", -1), ("1.0", 1.0), ("1e3", 1000.0), (".5", 0.5), ("yes", "yes"), ("on", "on"), ("No", "No"),
     ("true", True), ("null", None), ("~", None), ("", None), ("2026-01-02", "2026-01-02"), ("0x10", "0x10"),
     ("010", "010"), ("1_000", "1_000"), ("1:30", "1:30"), ("'1'", "1"), ('"true"', "true"), ("=", "="), ("<<", "<<"),
     ("|-\n  a\n  b", "a\nb")],
)  # fmt: skip
def test_a_value_means_what_it_means_in_json_and_everything_else_is_text(text: str, value: Any) -> None:
    found = yaml_texts.read(f"a: {text}\n", "p.yaml").value["a"]
    assert (found, type(found)) == (value, type(value))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), values, max_size=4))
def test_what_is_written_is_read_as_the_same(value: dict[str, Any]) -> None:
    found = yaml_texts.read(yaml_texts.write(value), "p.yaml").value
    assert found == value
    assert repr(found) == repr(value)


@pytest.mark.parametrize(
    ("change", "line", "path", "message", "remedy"),
    [
        ("  b: {notbook: b.ipynb}\n", 5, "$.nodes.b.notbook", "unknown field `notbook`", "'notebook'"),
        ("  b: {}\n", 5, "$.nodes.b", "missing required field `notebook`", ""),
        ("  b: [a.ipynb]\n", 5, "$.nodes.b", "Expected `object`", ""),
        ("  b:\n    notebook: b.ipynb\n    retries: often\n", 7, "$.nodes.b.retries", "Expected `int`", ""),
        ("  b: {notebook: b.ipynb, inputs: {x: {form: a}}}\n", 5, "$.nodes.b.inputs.x.form", "field `form`", "'from'"),
        ("  b: {notebook: b.ipynb, after: [c]}\n", 5, "$.nodes.b.after[0]", "there is no node 'c'", ""),
        ("  b: {notebook: ../b.ipynb}\n", 5, "$.nodes.b.notebook", "must not have empty parts", ""),
        ("colour: red\n", 5, "$.colour", "unknown field `colour`", ""),
        ("on_failure: explode\n", 5, "$.on_failure", "Invalid enum value", ""),
    ],
)  # fmt: skip
def test_a_fault_is_shown_at_its_line(change: str, line: int, path: str, message: str, remedy: str) -> None:
    (found,) = pipeline_files.decode((SMALL + change).encode(), "p.yaml").check({})
    assert (found.line, found.path) == (line, path)
    assert message in found.message
    assert remedy in found.remedy


def test_faults_of_several_nodes_are_told_together_and_in_the_order_of_the_file() -> None:
    text = SMALL + "  b: {}\n  c: {notebook: 7}\n  d: {notebook: d.ipynb, x: 1}\n"
    assert [found.line for found in pipeline_files.decode(text.encode(), "p.yaml").check({})] == [5, 6, 7]


def test_a_refused_file_names_the_first_fault_and_how_to_see_the_others() -> None:
    file = pipeline_files.decode((SMALL + "  b: {}\n  c: {}\n").encode(), "p.yaml")
    with pytest.raises(UsageError, match=r"p.yaml, line 5: .* \(and 1 more: animus pipeline check p.yaml\)"):
        file.sound({})


def test_a_text_that_is_a_list_is_no_pipeline() -> None:
    (found,) = pipeline_files.decode(b"- a\n", "p.yaml").check({})
    assert "names and values" in found.message


def built() -> Pipeline:
    flow = Pipeline("wine", environment="science", parameters={"share": 0.5}, max_parallel=2, on_failure="fail_fast")
    prepare = flow.node("prepare", "prepare.ipynb", outputs=["clean.csv"], parameters={"s": flow.parameter("share")})
    train = flow.node(
        "train", "train.ipynb", inputs={"data": prepare["clean.csv"]}, sweep={"depth": [2, 4]}, outputs=["model"],
        resources={"cpus": 2}, retries=1, seed=7, datasets={"wine": "wine@3"},
    )  # fmt: skip
    flow.node(
        "evaluate", "evaluate.ipynb", inputs={"model": train.best("loss", prefer="lowest")["model"],
        "first": train.item(0)["model"]}, when=prepare.when("rows", at_least=10), after=[prepare, "train"],
    )  # fmt: skip
    flow.node("report", "report.ipynb", sweep=[{"a": 1}, {"a": 2}])
    return flow


def test_what_is_built_in_python_is_what_the_file_says(tmp_path: Path) -> None:
    flow = built()
    assert flow.check() == []
    file = pipeline_files.decode(flow.save(tmp_path / "p.yaml").read_bytes(), "p.yaml")
    assert file.pipeline == flow.message()
    assert file.sound({}) is file.pipeline
    assert repr(flow) == "Pipeline('wine', nodes=['prepare', 'train', 'evaluate', 'report'])"


def test_saving_what_the_file_says_already_leaves_it_alone(tmp_path: Path) -> None:
    path = built().save(tmp_path / "p.yaml")
    before = path.stat().st_mtime_ns
    time.sleep(0.01)
    built().save(path)
    assert path.stat().st_mtime_ns == before


def test_a_mistake_in_python_is_a_line_and_not_a_traceback() -> None:
    flow = Pipeline("wine")
    node = flow.node("a", "a.ipynb")
    assert repr(node) == "NodeHandle('a')"
    with pytest.raises(UsageError, match="has a node 'a' already"):
        flow.node("a", "a.ipynb")
    with pytest.raises(UsageError, match="colour"):
        flow.node("b", "b.ipynb", colour="red")
    with pytest.raises(UsageError, match="ram"):
        flow.node("b", "b.ipynb", resources={"ram": 1})
    assert [fault.path for fault in flow.check()] == ["$.nodes.a.environment"]


def test_the_example_is_sound() -> None:
    file = pipeline_files.decode((EXAMPLES / "pipeline.yaml").read_bytes(), "pipeline.yaml")
    assert set(file.sound({}).nodes) == {"prepare", "train", "evaluate"}
