# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The cause of a difference is what the difference looks like and what the code does; seeded and ordered use is not
blamed."""

from __future__ import annotations

import time

import pytest

from animus_contracts.comparisons import Cause, CauseKind, Confidence, InputDifference
from animus_runner.comparison.appearance import Appearance, appearance_of
from animus_runner.comparison.causes import FIELDS, Difference, find_causes
from animus_runner.comparison.code_scan import scan
from animus_runner.comparison.normalisation import Cell

K = CauseKind
LIKELY, POSSIBLE = Confidence.LIKELY, Confidence.POSSIBLE


BAR = "100%|██| 3/3 [00:0{}<00:00, {}it/s]"
UUID = "{}f0e8a52-1111-4222-8333-123456789abc"


def cells(*sources: str) -> list[Cell]:
    return [Cell(index=index, cell_id=f"c{index}", source=source) for index, source in enumerate(sources)]


def suspects(*sources: str, is_seeded: bool = False) -> list[tuple[CauseKind, int | None, int]]:
    return [
        (suspect.kind, suspect.cell_index, suspect.line)
        for step in scan(cells(*sources), is_seeded=is_seeded)
        for suspect in step.suspects
        if not suspect.is_weak
    ]


@pytest.mark.parametrize(
    ("left", "right", "appearance"),
    [
        ("same", "same", Appearance()),
        ("<A object at 0x7f001122aabb>", "<A object at 0x7f001122aacc>", Appearance(kinds=(K.MEMORY_ADDRESS,))),
        ("at 2026-01-02 10:11:12.5", "at 2026-01-03 01:02:03.4", Appearance(kinds=(K.CLOCK,))),
        ("Fri Jan  2 2026 10:11:12", "Sat Jan  3 2026 01:02:03", Appearance(kinds=(K.CLOCK,))),
        ("datetime.datetime(2026, 1, 2)", "datetime.datetime(2026, 1, 3, 4)", Appearance(kinds=(K.CLOCK,))),
        ("1767348672.25", "1767348699.5", Appearance(kinds=(K.CLOCK,))),
        ("took 1.5 s", "took 2.25 s", Appearance(kinds=(K.TIMING_OUTPUT,))),
        ("3.1 ms ± 20 µs per loop", "4 ms ± 1 µs per loop", Appearance(kinds=(K.TIMING_OUTPUT,))),
        (BAR.format("1", "3.2"), BAR.format("2", "1.1"), Appearance(kinds=(K.TIMING_OUTPUT,))),
        (UUID.format("1"), UUID.format("2"), Appearance(kinds=(K.PROCESS_IDENTITY,))),
        ("token 0a1b2c3d4e5f", "token ffeeddccbb01", Appearance(kinds=(K.PROCESS_IDENTITY,))),
        ("/x/tmpab12cd34/y", "/x/tmpzz99yy88/y", Appearance(kinds=(K.PROCESS_IDENTITY,))),
        ("pid 12", "pid 13", Appearance(kinds=(K.PROCESS_IDENTITY,))),
        ("a b c", "c a b", Appearance(kinds=(K.UNORDERED_ITERATION,))),
        ("a\nb\n", "b\na\n", Appearance(kinds=(K.UNORDERED_ITERATION,))),
        ("0.25 and 3", "0.5 and 4", Appearance(is_numeric=True)),
        ("yes", "no", Appearance()),
        ("at 10:11:12 0x7f001122aabb", "at 10:11:13 0x7f001122aacc", Appearance(kinds=(K.MEMORY_ADDRESS, K.CLOCK))),
        ("at 10:11:12: yes", "at 10:11:13: no", Appearance()),
    ],
)  # fmt: skip
def test_difference_looks_like_the_traces_that_explain_it(left: str, right: str, appearance: Appearance) -> None:
    assert appearance_of(left, right) == appearance
    assert appearance_of(right, left) == appearance


@pytest.mark.parametrize(
    "text",
    [
        "0x" * 100_000,
        "1" * 300_000,
        "00:" * 90_000,
        "ab" * 150_000,
        "1%|" * 90_000,
        "b'" * 100_000,
        "Mon Jan " * 30_000,
    ],
)
def test_hostile_text_is_looked_at_in_little_time(text: str) -> None:
    began = time.process_time()
    appearance_of(text + "a", text + "b")
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        # the clock
        ("import time\ntime.time()", K.CLOCK),
        ("from time import perf_counter as now\nnow()", K.CLOCK),
        ("import datetime as dt\ndt.datetime.now()", K.CLOCK),
        ("from datetime import datetime, date\ndate.today()", K.CLOCK),
        ("import pandas as pd\npd.Timestamp.now()", K.CLOCK),
        ("import pandas as pd\npd.to_datetime('now')", K.CLOCK),
        ("import time\ntime.strftime('%H')", K.CLOCK),
        ("import logging\nlogging.basicConfig(format='%(asctime)s %(message)s')", K.CLOCK),
        ("%time x = 1", K.TIMING_OUTPUT),
        ("%%timeit\nsum(x)", K.TIMING_OUTPUT),
        ("from tqdm.auto import tqdm\nfor i in tqdm(x): pass", K.TIMING_OUTPUT),
        # chance
        ("import random\nrandom.random()", K.UNSEEDED_RANDOMNESS),
        ("from random import shuffle\nshuffle(x)", K.UNSEEDED_RANDOMNESS),
        ("import random\nrandom.seed()\n", K.UNSEEDED_RANDOMNESS),
        ("import random\nrng = random.Random()", K.UNSEEDED_RANDOMNESS),
        ("import numpy as np\nnp.random.rand(3)", K.UNSEEDED_RANDOMNESS),
        ("from numpy.random import default_rng\nrng = default_rng()", K.UNSEEDED_RANDOMNESS),
        ("import numpy as np\nnp.random.default_rng(None)", K.UNSEEDED_RANDOMNESS),
        ("from sklearn.model_selection import train_test_split\ntrain_test_split(x, y)", K.UNSEEDED_RANDOMNESS),
        ("from sklearn.cluster import KMeans\nKMeans(3, random_state=None)", K.UNSEEDED_RANDOMNESS),
        ("frame.sample(5)", K.UNSEEDED_RANDOMNESS),
        ("import torch\ntorch.randn(3)", K.UNSEEDED_RANDOMNESS),
        # the process
        ("import uuid\nuuid.uuid4()", K.PROCESS_IDENTITY),
        ("import os\nos.getpid()", K.PROCESS_IDENTITY),
        ("from os import urandom\nurandom(8)", K.PROCESS_IDENTITY),
        ("import secrets\nsecrets.token_hex()", K.PROCESS_IDENTITY),
        ("import tempfile\ntempfile.mkdtemp()", K.PROCESS_IDENTITY),
        ("id(x)", K.MEMORY_ADDRESS),
        # order
        ("import os\nfor n in os.listdir('x'): print(n)", K.UNORDERED_ITERATION),
        ("from pathlib import Path\nfor p in Path('x').iterdir(): print(p)", K.UNORDERED_ITERATION),
        ("import glob\nprint(glob.glob('*'))", K.UNORDERED_ITERATION),
        ("from concurrent.futures import as_completed\nfor f in as_completed(x): pass", K.UNORDERED_ITERATION),
        ("class A: pass\ns = {A() for _ in x}", K.UNORDERED_ITERATION),
        # threads
        ("from threading import Thread\nThread(target=f)", K.THREADS),
        ("from concurrent.futures import ThreadPoolExecutor as T\nT(4)", K.THREADS),
        ("from joblib import Parallel\nParallel(n_jobs=2)", K.THREADS),
        ("model.fit(x, n_jobs=-1)", K.THREADS),
        # outside
        ("import requests\nrequests.get(u)", K.EXTERNAL_STATE),
        ("import subprocess\nsubprocess.run(['x'])", K.EXTERNAL_STATE),
        ("open('/proc/uptime')", K.EXTERNAL_STATE),
        ("!date", K.EXTERNAL_STATE),
        ("%%bash\ndate", K.EXTERNAL_STATE),
        ("import os\nos.path.getmtime('x')", K.EXTERNAL_STATE),
        ("import os\nos.cpu_count()", K.HARDWARE),
    ],
)
def test_code_is_suspected_of(source: str, kind: CauseKind) -> None:
    assert [found for found, _, _ in suspects(source)] == [kind]


@pytest.mark.parametrize(
    "source",
    [
        "import random\nrandom.seed(7)\nrandom.random()",
        "import numpy as np\nnp.random.seed(7)\nnp.random.rand(3)",
        "import animus\nimport numpy as np\nanimus.seed(7)\nnp.random.rand(3)",
        "import numpy as np\nrng = np.random.default_rng(7)\nrng.random(3)",
        "import numpy as np\nrng = np.random.default_rng(seed=7)",
        "import random\nrng = random.Random(7)\nrng.random()",
        "import numpy as np\nnp.random.Generator(np.random.PCG64(7))",
        "from sklearn.model_selection import train_test_split\ntrain_test_split(x, y, random_state=0)",
        "from sklearn.cluster import KMeans\nKMeans(3, **options)",
        "import numpy as np\nfrom sklearn.cluster import KMeans\nnp.random.seed(1)\nKMeans(3)",
        "frame.sample(5, random_state=1)",
        "import torch\ntorch.manual_seed(1)\ntorch.randn(3)",
        "import os\nfor n in sorted(os.listdir('x')): print(n)",
        "import os\nnames = os.listdir('x')\nnames.sort()",
        "import os\nprint(len(os.listdir('x')))",
        "from pathlib import Path\nfor p in sorted(Path('x').glob('*.csv')): print(p)",
        "import time\ntime.strftime('%H', when)",
        "import time\ntime.sleep(1)",
        "from datetime import datetime\ndatetime(2026, 1, 2)",
        "import pandas as pd\npd.to_datetime('2026-01-02')",
        "class A:\n    def __hash__(self): return 1\ns = {A() for _ in x}",
        "words = set(text.split())",
        "model.fit(x, n_jobs=1)",
        "import os\nos.environ['HOME']",
        "random = 3\nrandom + 1",
        "def f(:",
    ],
)
def test_code_is_not_blamed(source: str) -> None:
    assert suspects(source) == []


def test_a_run_with_a_seed_seeds_pythons_own_generator_only() -> None:
    assert suspects("import random\nrandom.random()", is_seeded=True) == []
    assert suspects("import numpy as np\nnp.random.rand()", is_seeded=True) != []


def test_a_seed_from_the_clock_is_no_seed() -> None:
    found = suspects("import random, time\nrandom.seed(time.time())", "random.random()")
    assert found == [(K.CLOCK, 0, 2), (K.UNSEEDED_RANDOMNESS, 1, 1)]


def test_drawing_before_seeding_is_blamed() -> None:
    assert suspects("import random\na = random.random()\nrandom.seed(7)\nb = random.random()") == [
        (K.UNSEEDED_RANDOMNESS, 0, 2)
    ]


NOTEBOOK = (
    "import time, random\nbegan = time.time()",
    "lots = [random.random() for _ in range(3)]",
    "def top():\n    return max(lots)\nbest = top()",
    "print('best', best)",
    "print('took', time.time() - began, 's')",
)


def first_cause(difference: Difference, *sources: str) -> Cause:
    return find_causes([], scan(cells(*sources), is_seeded=False), difference)[0]


def test_only_code_that_reaches_the_difference_is_evidence() -> None:
    numeric = Difference(place=3, cell_index=3, appearance=Appearance(is_numeric=True))
    found = find_causes([], scan(cells(*NOTEBOOK), is_seeded=False), numeric)
    evidence = "lots = [random.random() for _ in range(3)]"
    assert found == [Cause(kind=K.UNSEEDED_RANDOMNESS, confidence=LIKELY, evidence=evidence, cell_index=1, line=1)]


def test_what_the_difference_looks_like_decides_between_suspects() -> None:
    both = "import time, random\nprint(time.time(), random.random())"
    clock = Difference(place=0, cell_index=0, appearance=Appearance(kinds=(K.CLOCK,)))
    assert first_cause(clock, both).kind is K.CLOCK


def test_noise_of_additions_is_blamed_on_threads_before_chance() -> None:
    both = "import random\nfrom joblib import Parallel\nx = Parallel(n_jobs=2)(jobs) + random.random()"
    for relative, kind in ((1e-14, K.THREADS), (0.5, K.UNSEEDED_RANDOMNESS)):
        numeric = Difference(place=0, appearance=Appearance(is_numeric=True), relative=relative)
        assert first_cause(numeric, both).kind is kind


def test_noise_without_a_suspect_is_possibly_threads() -> None:
    found = first_cause(Difference(place=0, appearance=Appearance(is_numeric=True), relative=1e-15), "print(a @ b)")
    assert (found.kind, found.confidence) == (K.THREADS, POSSIBLE)


def test_traces_without_a_suspect_are_a_cause_of_their_own() -> None:
    found = first_cause(Difference(place=0, cell_index=4, appearance=Appearance(kinds=(K.CLOCK,))), "report()")
    assert found == Cause(
        kind=K.CLOCK,
        confidence=LIKELY,
        evidence="cell 4 differs only in what looks like a date or a time",
        cell_index=4,
    )


def test_what_nobody_can_tell_is_unknown() -> None:
    assert first_cause(Difference(place=0), "print(f())").kind is K.UNKNOWN


def test_an_artifact_is_followed_to_the_code_that_names_it() -> None:
    sources = ("import random, uuid", "noise = random.random()\nname = uuid.uuid4()", "save(noise, 'out.csv')")
    difference = Difference(name="out.csv", appearance=Appearance(is_numeric=True))
    found = find_causes([], scan(cells(*sources), is_seeded=False), difference)
    assert [(cause.kind, cause.line) for cause in found] == [(K.UNSEEDED_RANDOMNESS, 1)]


@pytest.mark.parametrize(
    ("field", "kind", "confidence"),
    [
        ("code.commit", K.CODE, LIKELY),
        ("datasets.train", K.DATA, LIKELY),
        ("parameters.depth", K.PARAMETERS, LIKELY),
        ("seed", K.SEED, LIKELY),
        ("environment.packages.numpy", K.ENVIRONMENT, LIKELY),
        ("provenance.python", K.ENVIRONMENT, LIKELY),
        ("policy.snapshot", K.POLICY, POSSIBLE),
        ("provenance.platform", K.HARDWARE, POSSIBLE),
        ("provenance.cpu_model", K.HARDWARE, POSSIBLE),
        ("provenance.variables.OMP_NUM_THREADS", K.THREADS, POSSIBLE),
        ("provenance.variables.PYTHONHASHSEED", K.UNORDERED_ITERATION, LIKELY),
        ("resources.cpus", K.THREADS, POSSIBLE),
        ("provenance.limitations", K.EXTERNAL_STATE, POSSIBLE),
        ("resources.memory_mib", None, None),
        ("outputs", None, None),
        ("run_class", None, None),
    ],
)
def test_difference_of_inputs_is_a_cause(field: str, kind: CauseKind | None, confidence: Confidence | None) -> None:
    found = find_causes([InputDifference(field=field, left="1", right=None)], [], Difference())
    told = f"{field}: 1 and nothing"
    expected = Cause(kind=kind, confidence=confidence, evidence=told) if kind and confidence else None
    assert [cause for cause in found if cause.kind is not K.UNKNOWN] == ([expected] if expected else [])


def test_inputs_come_before_code_and_likely_before_possible() -> None:
    inputs = [
        InputDifference(field=field, left="1", right="2")
        for field in ("policy.snapshot", "parameters.a", "parameters.b")
    ]
    found = find_causes(
        inputs, scan(cells(*NOTEBOOK), is_seeded=False), Difference(place=3, appearance=Appearance(is_numeric=True))
    )
    assert [(cause.kind, cause.confidence) for cause in found] == [
        (K.PARAMETERS, LIKELY),
        (K.UNSEEDED_RANDOMNESS, LIKELY),
        (K.POLICY, POSSIBLE),
    ]
    assert found[0].evidence == "parameters.a: 1 and 2 (and 1 more)"


def test_every_field_of_the_table_can_be_reached() -> None:
    beginnings = [prefix for prefix, _, _ in FIELDS]
    for place, prefix in enumerate(beginnings):
        assert not any(prefix.startswith(earlier) for earlier in beginnings[:place]), prefix
