# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""``animus.normalisation.v1``: what of an executed notebook is by its nature not output, and is left out.

The rules are published (docs/reference/normalisation.md). They never change: another set of rules has another name.
What looks like chance but is the notebook's own doing stays: memory addresses, times, random names, process ids.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from animus_runner.comparison.pictures import without_generated_ids

INJECTED, ERROR_MARKER = "injected-parameters", "papermill-error-cell-tag"
COLOURS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
RICHER = frozenset(
    {"image/png", "image/jpeg", "image/svg+xml", "text/html", "text/latex", "text/markdown", WIDGET_VIEW}
)
DEFAULT_REPR = re.compile(r"(<[\w.]{1,200}(?: object)?) at 0x[0-9a-f]{6,16}>")
"""Nobody sees the name of an object that shows itself in a richer form."""

MARKUP = frozenset({"text/html", "image/svg+xml"})

# A path is looked at from its first component only, and has at most so many, so that time stays linear.
_START = r"(?<![\w.@+/-])(?:/[\w.@+-]{1,255}){0,40}?"
RUN_FOLDER = re.compile(_START + r"/runs/[0-9a-f-]{4,36}/(?=(?:checkout|inputs|outputs|scratch)(?![\w.-]))")
ENVIRONMENT_FOLDER = re.compile(_START + r"/environments/[0-9a-f]{8,64}-[0-9a-f]{8}/")
CELL_FILE = re.compile(r"(?<![\w.@+-])(?:/tmp|<run>/scratch)/ipykernel_\d{1,10}/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A code cell as it is compared.

    Attributes:
        index: Position in the notebook at the commit; None for the cell of injected parameters.
        cell_id: nbformat id.
        source: The code.
        outputs: Normalised nbformat outputs, with streams as one per name between other outputs.
    """

    index: int | None
    cell_id: str
    source: str
    outputs: list[dict[str, Any]] = field(default_factory=list)


def normalised_cells(notebook: dict[str, Any], run_id: str) -> list[Cell]:
    """Return the code cells of an executed notebook as they are compared.

    Args:
        notebook: The notebook as JSON; of one that is not formed as it should be, what can be read.
        run_id: The run's id, which is left out wherever it was written.
    """
    found, place = [], 0
    for cell in _objects(notebook.get("cells")):
        tags = _dict(cell.get("metadata")).get("tags")
        tags = tags if isinstance(tags, list) else []
        if ERROR_MARKER in tags:
            continue
        index = None if INJECTED in tags else place
        place += index is not None
        if cell.get("cell_type") == "code":
            outputs = list(_outputs(list(_objects(cell.get("outputs"))), run_id))
            found.append(
                Cell(index=index, cell_id=str(cell.get("id", "")), source=_text(cell.get("source")), outputs=outputs)
            )
    return found


def normalised_text(text: str, run_id: str) -> str:
    """Return a text without colours, overwritten progress, and the names of the run's own folders."""
    text = COLOURS.sub("", text).replace("\r\n", "\n")
    if "\r" in text:
        text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    if run_id:
        text = text.replace(run_id, "<run id>")
    if "/" in text:
        text = RUN_FOLDER.sub("<run>/", text)
        text = ENVIRONMENT_FOLDER.sub("<environment>/", text)
        text = CELL_FILE.sub("<cells>/", text)
    return text


def _outputs(outputs: list[dict[str, Any]], run_id: str) -> Iterator[dict[str, Any]]:
    for is_stream, group in groupby(outputs, key=lambda output: output.get("output_type") == "stream"):
        if is_stream:
            yield from _joined(group, run_id)
        else:
            yield from (_shown(output, run_id) for output in group)


def _joined(group: Iterator[dict[str, Any]], run_id: str) -> Iterator[dict[str, Any]]:
    """Join the texts of each stream: how they were cut and interleaved is a matter of time."""
    texts: dict[str, list[str]] = {}
    for output in group:
        texts.setdefault(str(output.get("name")), []).append(_text(output.get("text")))
    for name in sorted(texts):
        yield {"output_type": "stream", "name": name, "text": normalised_text("".join(texts[name]), run_id)}


def _shown(output: dict[str, Any], run_id: str) -> dict[str, Any]:
    if output.get("output_type") == "error":
        traceback = output.get("traceback")
        lines = traceback if isinstance(traceback, list) else []
        shown = {"ename": str(output.get("ename")), "evalue": normalised_text(_text(output.get("evalue")), run_id)}
        return {"output_type": "error", **shown, "traceback": [normalised_text(_text(line), run_id) for line in lines]}
    data = {kind: _datum(kind, value, run_id) for kind, value in sorted(_dict(output.get("data")).items())}
    if data.keys() & RICHER and isinstance(data.get("text/plain"), str):
        data["text/plain"] = DEFAULT_REPR.sub(r"\1>", data["text/plain"])
    return {"output_type": "display_data", "data": data, "metadata": {}}


def _datum(kind: str, value: Any, run_id: str) -> str:
    if kind == WIDGET_VIEW:
        return ""  # the id of a model, new each time; the widget's text is compared
    if kind.endswith("json"):
        return json.dumps(value, sort_keys=True, ensure_ascii=False)  # as text, 1 and true and 1.0 differ
    text = _text(value)
    if kind in MARKUP:
        text = without_generated_ids(text)
    return text if kind.startswith("image/") and kind not in MARKUP else normalised_text(text, run_id)


def _text(value: Any) -> str:
    """Return a text, which a notebook may hold as one string or as lines."""
    if isinstance(value, list):
        return "".join(line for line in value if isinstance(line, str))
    return value if isinstance(value, str) else ""


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    return (item for item in (value if isinstance(value, list) else ()) if isinstance(item, dict))
