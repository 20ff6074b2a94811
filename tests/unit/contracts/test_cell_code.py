# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A cell is read as Python with every line where it was, and IPython's own syntax told apart."""

from __future__ import annotations

import time

import pytest

from animus_contracts.cell_code import Magic, read_cell


@pytest.mark.parametrize(
    ("source", "text", "magics"),
    [
        ("x = 1", "x = 1", []),
        ("%matplotlib inline\nx = 1", "pass\nx = 1", [("matplotlib", "inline", 1)]),
        ("if a:\n    !ls {a}\nb", "if a:\n    pass\nb", [("!", "ls {a}", 2)]),
        ("files = !ls\nfiles", "files = None\nfiles", [("!", "ls", 1)]),
        ("a, b = %sql select", "a, b = None", [("sql", "select", 1)]),
        ("%time f(1)", "f(1)", [("time", "f(1)", 1)]),
        ("x = %time f(1)", "x = f(1)", [("time", "f(1)", 1)]),
        ("%timeit -n 3 f(1)", "pass", [("timeit", "-n 3 f(1)", 1)]),
        ("x?\n?y\nz.w??", "pass\npass\npass", []),
        ("!!ls", "pass", [("!", "ls", 1)]),
        ("s = '''\n%time\n!ls\n'''", "s = '''\n%time\n!ls\n'''", []),
        ("f(a\n%b\n)", "f(a\n%b\n)", []),
        ("'%s' % x", "'%s' % x", []),
        ("await f()", "await f()", []),
        ("a\r\nb\rc", "a\nb\nc", []),
    ],
)
def test_magics_are_taken_out_and_lines_stay(source: str, text: str, magics: list[tuple[str, str, int]]) -> None:
    code = read_cell(source)
    assert code.tree is not None
    assert code.text == text
    assert code.magics == tuple(Magic(name=name, argument=rest, line=line) for name, rest, line in magics)


@pytest.mark.parametrize(
    ("source", "text"), [("%%time\nx = 1", "\nx = 1"), ("\n%%capture out\nx", "\n\nx"), ("%%bash\nx = 1 (", "")]
)
def test_a_magic_for_the_whole_cell_leaves_python_or_nothing(source: str, text: str) -> None:
    code = read_cell(source)
    assert (code.text, code.magics[0].is_cell) == (text, True)
    assert code.tree is not None


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("if 1:\nx", "line 2: expected an indented block after 'if' statement on line 1"),
        ("def f(:", "line 1: invalid syntax"),
        ("x = 1\n%%bash\nls", "line 2: invalid syntax"),
        ("x = '\0'", "source code string cannot contain null bytes"),
        ("(" * 100_000, "line 1: too many nested parentheses"),
        ("-" * 100_000 + "1", "not readable as Python (RecursionError)"),
        ("x" * 300_000, "the cell is longer than 262144 characters"),
    ],
)
def test_a_cell_that_is_not_python_says_why(source: str, error: str) -> None:
    code = read_cell(source)
    assert code.tree is None
    assert error in code.error.replace("MemoryError", "RecursionError")


def test_thousands_of_magics_take_bounded_time() -> None:
    began = time.process_time()
    assert read_cell("%x\n" * 80_000).error == "too many lines that are not Python"
    assert time.process_time() - began < 10
