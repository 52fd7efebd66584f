"""The paper's own numbers, to be shown beside ours: arXiv 2412.18547, tables 3 to 5, as printed.

They are other models on the whole test sets, and their output tokens leave out the estimator's call: a comparison of
directions, not of numbers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache

from tale_core.settings import DATA_ROOT

TABLES = DATA_ROOT / "paper_tables.json"


@dataclass(frozen=True, slots=True)
class PaperRow:
    """One printed cell: a model, a data set, a strategy.

    Attributes:
        table: Its number in the paper.
        dataset: As this project names it ("gsm8k", "mathbench-college").
        strategy: As this project names it.
        accuracy: Share of right answers.
        output_tokens: Mean of a question.
        cost_usd: Dollars a question; None where the paper gives none.
    """

    table: int
    model: str
    dataset: str
    title: str
    strategy: str
    accuracy: float
    output_tokens: float
    cost_usd: float | None


@lru_cache(maxsize=1)
def paper_rows() -> tuple[PaperRow, ...]:
    """Everything the three tables print."""
    found = json.loads(TABLES.read_text(encoding="utf-8"))["tables"]
    return tuple(
        PaperRow(
            table=entry["table"],
            model=entry["model"],
            dataset=entry["dataset"],
            title=entry["title"],
            strategy=name,
            accuracy=cell["accuracy_percent"] / 100,
            output_tokens=cell["output_tokens"],
            cost_usd=None if cell["expense_1e-5_usd"] is None else cell["expense_1e-5_usd"] / 100_000,
        )
        for entry in found
        for name, cell in entry["strategies"].items()
    )


def paper_rows_of(dataset: str) -> tuple[PaperRow, ...]:
    """What the paper prints for this data set; empty when it has it not."""
    name = dataset.strip().lower()
    return tuple(row for row in paper_rows() if row.dataset == name)
