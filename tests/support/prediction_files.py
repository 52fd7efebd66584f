"""Files in the shape that the scripts of the paper's public repository write; contents made up.

Shapes read in github.com/GeniusHTX/TALE (its fork Keyan0412/TALE holds the scripts): `inference.py` writes
`output_with_reasoning.jsonl` and `output_without_reasoning_new_prompt.jsonl`, `TALE-EP.py` writes `TALE.jsonl`,
`search_budget.py` writes `searched_budget.jsonl`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

TEXTS = ("Ann has 3 bags of 4 pears. How many pears?", "Bo walks 2 km a day. How far in 7 days?", "What is 50 + 75?")
GOLDS = ("12", "14", "125")
FORMAT = "Please Give the response by strictly following this format: [[choice]],for example: Choice: [[A]]."


def lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def vanilla(text: str, gold: str, prediction: str | None = None) -> dict[str, Any]:
    """A row of `inference.py --reasoning`."""
    said = f"Step by step we get {gold}.\nThe answer is {gold}." if prediction is None else prediction
    return {"ground truth": gold, "question": f"Q: {text}\nLet's think step by step:\n", "prediction": said}


def direct(text: str, gold: str, prediction: str) -> dict[str, Any]:
    """A row of `inference.py`."""
    ask = "Please answer the following question and give the answer directly without any reasoning process.\nQ: "
    return {"ground truth": gold, "question": f"{ask}{text}", "prediction": prediction}


def tale(text: str, gold: str, budget: int, prediction: str, cost: int) -> dict[str, Any]:
    """A row of `TALE-EP.py`; -1 is what it makes of an estimate that it cannot read."""
    return {
        "question": f"Q: {text}\nLet's think step by step and use less than {budget} tokens:\n", "ground truth": gold,
        "budget_TALE": budget, "token_cost": cost, "prediction": prediction,
    }  # fmt: skip


def searched(text: str, gold: str, budget: int | None) -> dict[str, Any]:
    """A row of `search_budget.py`; None where no smaller budget worked."""
    row = vanilla(text, gold)
    if budget is None:
        return {**row, "question_budget": "None", "prediction_budget": "None", "budget": 20, "budget_list": [20],
                "token_list": [31]}  # fmt: skip
    asked = row["question"].replace(":\n", f" and use less than {budget} tokens:\n")
    return {**row, "question_budget": asked, "prediction_budget": f"[[{gold}]]", "budget": budget,
            "budget_list": [2 * budget, budget], "token_list": [5, 9]}  # fmt: skip


VANILLA = lines(vanilla(text, gold) for text, gold in zip(TEXTS, GOLDS, strict=True))
DIRECT = lines(direct(text, gold, "12") for text, gold in zip(TEXTS, GOLDS, strict=True))
TALE = lines([
    tale(TEXTS[0], GOLDS[0], 20, "So 12.", 4),
    tale(TEXTS[1], GOLDS[1], -1, "2 times 7 is [[14]]", 9),
    tale(TEXTS[2], GOLDS[2], 15, "B", 2),
])  # fmt: skip
SEARCHED = lines([searched(TEXTS[0], GOLDS[0], 10), searched(TEXTS[2], GOLDS[2], None)])
