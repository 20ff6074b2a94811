# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Which calls make a notebook's output differ from run to run, as one table of names.

A name is dotted and complete (``numpy.random.rand``), after imports were followed. Seeded use is not suspect; what a
seed covers is in the table too.
"""

from __future__ import annotations

import ast
from collections.abc import Collection

from animus_contracts.comparisons import CauseKind

K = CauseKind
NAMES: dict[str, CauseKind] = {
    **dict.fromkeys(
        (
            "datetime.date.today", "datetime.datetime.now", "datetime.datetime.today", "datetime.datetime.utcnow",
            "pandas.Timestamp.now", "pandas.Timestamp.today", "pandas.Timestamp.utcnow", "time.asctime", "time.clock",
            "time.ctime", "time.gmtime", "time.localtime", "time.monotonic", "time.monotonic_ns", "time.perf_counter",
            "time.perf_counter_ns", "time.process_time", "time.process_time_ns", "time.strftime", "time.time",
            "time.time_ns", "timeit.default_timer", "timeit.repeat", "timeit.timeit",
        ),
        K.CLOCK,
    ),
    **dict.fromkeys(
        (
            "getpass.getuser", "os.getlogin", "os.getpid", "os.getppid", "os.uname", "os.urandom", "platform.node",
            "random.SystemRandom", "secrets.choice", "secrets.randbelow", "secrets.randbits", "secrets.token_bytes",
            "secrets.token_hex", "secrets.token_urlsafe", "socket.getfqdn", "socket.gethostname", "tempfile.mkdtemp",
            "tempfile.mkstemp", "tempfile.NamedTemporaryFile", "tempfile.TemporaryDirectory", "threading.get_ident",
            "threading.get_native_id", "uuid.uuid1", "uuid.uuid4",
        ),
        K.PROCESS_IDENTITY,
    ),
    **dict.fromkeys(("id", "hash"), K.MEMORY_ADDRESS),
    **dict.fromkeys(
        (
            "concurrent.futures.ProcessPoolExecutor", "concurrent.futures.ThreadPoolExecutor", "joblib.Parallel",
            "multiprocessing.Pool", "multiprocessing.Process", "multiprocessing.dummy.Pool",
            "multiprocessing.get_context", "multiprocessing.pool.Pool", "multiprocessing.pool.ThreadPool",
            "threading.Thread", "threading.Timer", "asyncio.to_thread",
        ),
        K.THREADS,
    ),
    **dict.fromkeys(
        (
            "asyncio.as_completed", "asyncio.wait", "concurrent.futures.as_completed", "concurrent.futures.wait",
            "glob.glob", "glob.iglob", "os.listdir", "os.scandir", "os.walk",
        ),
        K.UNORDERED_ITERATION,
    ),
    **dict.fromkeys(
        (
            "os.getloadavg", "os.path.getatime", "os.path.getctime", "os.path.getmtime", "os.popen",
            "os.stat", "os.system", "pandas.read_sql", "shutil.disk_usage", "socket.create_connection", "socket.socket",
            "sqlalchemy.create_engine", "sqlite3.connect", "urllib.request.urlopen", "urllib.request.urlretrieve",
        ),
        K.EXTERNAL_STATE,
    ),
    **dict.fromkeys(
        ("multiprocessing.cpu_count", "os.cpu_count", "platform.machine", "platform.platform", "platform.processor"),
        K.HARDWARE,
    ),
    **dict.fromkeys(
        ("rich.progress.track", "tqdm.auto.tqdm", "tqdm.notebook.tqdm", "tqdm.tqdm", "tqdm.trange"), K.TIMING_OUTPUT
    ),
}  # fmt: skip
PREFIXES: dict[str, CauseKind] = {
    "boto3.": K.EXTERNAL_STATE,
    "httpx.": K.EXTERNAL_STATE,
    "psutil.": K.EXTERNAL_STATE,
    "requests.": K.EXTERNAL_STATE,
    "subprocess.": K.EXTERNAL_STATE,
}
METHODS: dict[str, CauseKind] = {
    "imap_unordered": K.UNORDERED_ITERATION,
    "iterdir": K.UNORDERED_ITERATION,
    "rglob": K.UNORDERED_ITERATION,
    "glob": K.UNORDERED_ITERATION,
}
"""Methods of an object whose type is not known."""

MAGICS: dict[str, CauseKind] = {
    **dict.fromkeys(("time", "timeit", "prun"), K.TIMING_OUTPUT),
    **dict.fromkeys(("!", "sx", "system", "bash", "sh", "script", "writefile"), K.EXTERNAL_STATE),
}

SEEDS: dict[str, frozenset[str]] = {
    "animus.seed": frozenset({"random", "numpy", "torch"}),
    "keras.utils.set_random_seed": frozenset({"random", "numpy", "tensorflow"}),
    "numpy.random.seed": frozenset({"numpy"}),
    "random.seed": frozenset({"random"}),
    "tensorflow.keras.utils.set_random_seed": frozenset({"random", "numpy", "tensorflow"}),
    "tensorflow.random.set_seed": frozenset({"tensorflow"}),
    "torch.manual_seed": frozenset({"torch"}),
}
"""Which generators a call seeds."""

GENERATORS = frozenset(
    {
        "numpy.random.MT19937", "numpy.random.PCG64", "numpy.random.PCG64DXSM", "numpy.random.Philox",
        "numpy.random.RandomState", "numpy.random.SFC64", "numpy.random.SeedSequence", "numpy.random.default_rng",
        "random.Random", "torch.Generator",
    }
)  # fmt: skip
"""Makers of a generator of their own: random when they are given no seed."""

NO_DRAWS = frozenset({"random.getstate", "random.setstate", "numpy.random.Generator", "numpy.random.get_state",
                      "numpy.random.set_state"})  # fmt: skip
SKLEARN = frozenset(
    {
        "AdaBoostClassifier", "AdaBoostRegressor", "BaggingClassifier", "BaggingRegressor", "BayesianGaussianMixture",
        "DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor", "FastICA",
        "GaussianMixture", "GradientBoostingClassifier", "GradientBoostingRegressor", "IsolationForest", "KMeans",
        "LatentDirichletAllocation", "MLPClassifier", "MLPRegressor", "MiniBatchKMeans", "NMF", "Perceptron",
        "RandomForestClassifier", "RandomForestRegressor", "RandomizedSearchCV", "SGDClassifier", "SGDRegressor",
        "ShuffleSplit", "StratifiedShuffleSplit", "TSNE", "make_blobs", "make_circles", "make_classification",
        "make_moons", "make_regression", "permutation_importance", "resample", "shuffle", "train_test_split",
    }
)  # fmt: skip
"""What of scikit-learn draws from NumPy's global generator when it is given no ``random_state``."""


def randomness_of(name: str, call: ast.Call, seeded: Collection[str]) -> bool:
    """Say whether a call draws numbers that no seed fixed."""
    if name in GENERATORS:
        return not _is_given(call, "seed")
    if name in SEEDS or name in NO_DRAWS:
        return name in SEEDS and name != "animus.seed" and not _is_given(call, "seed")
    module, _, last = name.rpartition(".")
    if module == "random":
        return "random" not in seeded
    if module == "numpy.random":
        return "numpy" not in seeded
    if name.startswith("sklearn.") and last in SKLEARN:
        return not _has(call, "random_state") and "numpy" not in seeded
    if name.startswith("torch.") and (last.startswith("rand") or (module == "torch.nn" and last[:1].isupper())):
        return "torch" not in seeded
    if name.startswith("tensorflow.random."):
        return "tensorflow" not in seeded
    return name in {".sample", ".rvs"} and not _has(call, "random_state") and "numpy" not in seeded


def _is_given(call: ast.Call, keyword: str) -> bool:
    return bool(call.args and not _is_none(call.args[0])) or _has(call, keyword)


def _has(call: ast.Call, keyword: str) -> bool:
    return any(given.arg is None or (given.arg == keyword and not _is_none(given.value)) for given in call.keywords)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
