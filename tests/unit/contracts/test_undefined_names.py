# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A name that no cell above defines is found; whatever else a notebook does with names is no false alarm."""

from __future__ import annotations

from typing import Any

import pytest

from animus_contracts.inspections import UndefinedName
from animus_contracts.undefined_names import MAX_NAMES, undefined_names

Found = tuple[str, int, int, int | None]


def notebook(*cells: str | dict[str, Any]) -> dict[str, Any]:
    made = [cell if isinstance(cell, dict) else code(cell) for cell in cells]
    return {"cells": [cell | {"id": f"c{index}"} for index, cell in enumerate(made)]}


def code(source: str | list[str], *tags: str) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "metadata": {"tags": list(tags)}}


TEXT = {"cell_type": "markdown", "source": "print(df)", "metadata": {}}


def found(*cells: str | dict[str, Any]) -> list[Found]:
    return [(one.name, one.cell_index, one.line, one.defined_in) for one in undefined_names(notebook(*cells))]


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (["print(df)"], [("df", 0, 1, None)]),
        (["x = 1\nprint(df)"], [("df", 0, 2, None)]),
        (["df.head()", "df = load()"], [("df", 0, 1, 1), ("load", 1, 1, None)]),
        ([TEXT, "df", "df = 1", "df = 2"], [("df", 1, 1, 2)]),
        (["df", "df", "df"], [("df", 0, 1, None)]),
        (["x = y = x"], [("x", 0, 1, None)]),
        (["x += 1"], [("x", 0, 1, None)]),
        (["x: int", "x"], [("x", 1, 1, None)]),
        (["x = 1", "del x", "x"], [("x", 2, 1, None)]),
        (["print(f'{name}')"], [("name", 0, 1, None)]),
        (["[a for a in rows if a > low]"], [("rows", 0, 1, None), ("low", 0, 1, None)]),
        (["@decorate\ndef f(): pass"], [("decorate", 0, 1, None)]),
        (["def f(a=default): pass"], [("default", 0, 1, None)]),
        (["class A(Base):\n    x = start"], [("Base", 0, 1, None), ("start", 0, 2, None)]),
        (["with opened as f: pass"], [("opened", 0, 1, None)]),
        (["%time total = add(1)"], [("add", 0, 1, None)]),
        (["await fetch()"], [("fetch", 0, 1, None)]),
        # a function needs its names where it is called
        (["def f(): return df", "f()", "df = 1"], [("df", 1, 1, 2)]),
        (["def f(): return df", "df = 1", "f()"], []),
        (["def g(): return f()\ndef f(): return df", "g()", "df = 1"], [("df", 1, 1, 2)]),
        (["f = lambda: df", "f()", "df = 1"], [("df", 1, 1, 2)]),
        (["def f(): return df"], []),
        # one that is passed on needs them in some cell
        (["def f(): return df", "register(f)\nregister = 1"], [("register", 1, 1, None), ("df", 0, 1, None)]),
        (["rows = []", "def key(row): return weights[row]", "rows.sort(key=key)", "weights = {}"], []),
        (["list(map(lambda x: x + offset, []))"], [("offset", 0, 1, None)]),
        (["class A:\n    def f(self): return missing"], [("missing", 0, 2, None)]),
    ],
)
def test_hidden_state_is_found(cells: list[str | dict[str, Any]], names: list[Found]) -> None:
    assert found(*cells) == names


@pytest.mark.parametrize(
    "cells",
    [
        # what is always there
        ["print(len(In), Out, _, __, _12, _i3, __name__, __file__, get_ipython, display, exit)"],
        ["try:\n    pass\nexcept (ModuleNotFoundError, ExceptionGroup) as error:\n    print(error)"],
        # binding
        ["import a.b, c as d\nfrom e import f, g as h\na, d, f, h"],
        ["c = []\n(a, *b), c[0:1] = 1, 2\na, b"],
        ["for i, (j, k) in []: pass\nelse: print(i)\nj, k"],
        ["with open('x') as (a, b): a, b"],
        ["if (n := 10) > 5: n"],
        ["[y := 1, y]\ny"],
        ["print([last := x for x in range(3)])\nlast"],
        ["match [1]:\n    case [a, *b]: a, b\n    case {'k': c, **d}: c, d\n    case str() as e: e"],
        ["global w\nw = 1\nw"],
        ["def f():\n    global w\n    w = 1\nf()\nw"],
        ["x = 1\ndel x\nx = 2\nx"],
        ["def f(a, /, b, *c, d=1, **e): return a, b, c, d, e\nf(1)"],
        ["def outer():\n    x = 1\n    def inner():\n        nonlocal x\n        x = 2\n    return inner\nouter()"],
        ["class A:\n    x = 1\n    y = x + 1\n    def f(self): return __class__, A"],
        ["def f(n): return f(n - 1)\nf(1)"],
        ["async def f():\n    async for x in g(): x\ndef g(): pass\nawait f()"],
        ["from __future__ import annotations\nx: list[int] = []"],
        # branches and guards
        ["if cond := 1:\n    import fast as impl\nelse:\n    impl = None\nimpl"],
        ["try:\n    import torch\nexcept ImportError:\n    torch = None", "torch"],
        ["try:\n    df\nexcept NameError:\n    df = 1", "df"],
        ["try:\n    df\nexcept:\n    pass"],
        ["def f():\n    try:\n        return cache\n    except NameError:\n        return None\nf()"],
        ["for i in range(3):\n    if i: print(previous)\n    previous = i"],
        ["while True:\n    if 'n' in dir(): print(n); break\n    n = 1"],
        ["if 0:\n    del x\nx = 1", "x"],
        # names from out of sight
        ["from os.path import *\njoin", "dirname"],
        ["exec('x = 1')", "x"],
        ["globals()['x'] = 1", "x"],
        ["globals().update(a=1)\na"],
        ["def define():\n    globals()['x'] = 1\ndefine()\nx"],
        ["get_ipython().run_line_magic('run', 'setup.py')", "x"],
        ["%run setup.py", "x"],
        ["%store -r x", "x"],
        ["%sql result << select 1", "result"],
        ["%unknown_magic", "x"],
        ["this is no python", "x"],
        # magics that name what they define
        ["%%capture out\nprint(1)", "out.stdout"],
        ["%%bash --out text --err error\nls", "text, error"],
        ["files = !ls", "files", "!echo {files}"],
        ["%%javascript\nalert(x)", "%%html\n<b>{y}</b>", "1"],
        ["%matplotlib inline\n%load_ext autoreload\n%autoreload 2\nx = 1", "x"],
        # cells that are not executed, or may fail
        [code("df", "skip-execution")],
        [code("df", "raises-exception")],
        [TEXT],
        ["", "   ", "# only a comment"],
    ],
    ids=repr,
)
def test_no_false_alarm(cells: list[str | dict[str, Any]]) -> None:
    assert found(*cells) == []


def test_declared_parameters_are_there_without_a_default() -> None:
    assert found(code("depth: int\nrate: float = 0.5", "parameters"), "depth, rate") == []


def test_a_skipped_cell_defines_nothing() -> None:
    assert found(code("df = 1", "skip-execution"), "df") == [("df", 1, 1, None)]


def test_lines_of_a_file_are_one_source() -> None:
    assert found(code(["x = 1\n", "df"])) == [("df", 0, 2, None)]


def test_the_cell_is_named_by_its_id() -> None:
    assert undefined_names(notebook(TEXT, "df")) == [
        UndefinedName(name="df", cell_index=1, cell_id="c1", line=1, defined_in=None)
    ]


def test_there_is_an_end_to_what_is_told() -> None:
    assert len(undefined_names(notebook(*(f"name_{number}" for number in range(3 * MAX_NAMES))))) == MAX_NAMES


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"cells": []},
        {"cells": [{"cell_type": "code"}]},
        {"cells": [{"cell_type": "code", "metadata": {"tags": None}}]},
    ],
)
def test_a_notebook_of_another_shape_breaks_nothing(content: dict[str, Any]) -> None:
    assert undefined_names(content) == []


@pytest.mark.parametrize(
    "source", ["(" * 5000 + ")" * 5000, "f(" * 90 + ")" * 90, "a" + ".a" * 20_000, "a" + " + a" * 20_000]
)
def test_hostile_code_breaks_nothing(source: str) -> None:
    undefined_names(notebook("a = f = 1", source))
