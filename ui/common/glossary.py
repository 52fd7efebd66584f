"""One name for one thing: the words that every page, command and document uses, with what each means.

A page shows a meaning where a word is pointed at. `tests/test_glossary.py` reads the sentences of both languages, the
command line's help and the documents, and names every place that calls one of these things otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

from tale_core.i18n import N_, language
from tale_core.i18n import t as said

TOKEN = N_("A piece of text as the model reads and writes it: a short word, a part of a longer one, or a sign.")
BUDGET = N_("The number of output tokens that an answer is asked to stay under.")
OUTPUT = N_("What the model wrote: the answer, and its thinking where it thinks. It is the paper's measure.")
ALL_IN = N_("Everything that is paid for: prompt and output tokens of every call, the estimate of a budget included.")
ELASTICITY = N_(
    "How much the tokens really spent change with the budget asked for: 1 means that half the budget halves them, "
    "0 that the budget changes nothing, and below 0 a smaller budget costs more."
)
PINBALL_LOSS = N_(
    "Pinball loss: how far a predicted quantile lies from what was found, too low and too high weighed by how often "
    "each may happen. Smaller is better; of the middle it is half of the distance."
)
FOLDS = N_(
    "The questions are parted into so many groups, the folds. Each group is predicted by a predictor that learnt from "
    "the others alone."
)
VANILLA = N_("The model thinks step by step for as long as it likes: what every budget is compared with.")
REBOUND = N_("Below some budget the model spends more tokens again than under a larger one.")


@dataclass(frozen=True, slots=True)
class Term:
    """One thing.

    Attributes:
        name: What it is called in English.
        chinese: What it is called in Chinese.
        meaning: In a sentence, to be said with `t`; "" where the name says it all.
        never: Other names that this thing has elsewhere, as regular expressions; none of them is used here.
        never_chinese: Likewise in Chinese.
    """

    name: str
    chinese: str
    meaning: str = ""
    never: tuple[str, ...] = ()
    never_chinese: tuple[str, ...] = ()


TERMS = (
    Term("token", "token", TOKEN, never_chinese=("令牌", "词元")),
    Term("budget", "预算", BUDGET, ("token limit",)),
    Term("output tokens", "输出 token", OUTPUT),
    Term("all-in tokens", "总 token", ALL_IN, ("total tokens", "overall tokens"), ("全部 token",)),
    Term("elasticity", "弹性", ELASTICITY),
    Term("rebound", "反弹", REBOUND, (r"\bbounces?\b", "backfire")),
    Term("pinball loss", "分位数损失", PINBALL_LOSS, ("quantile loss",)),
    Term("folds", "折", FOLDS),
    Term("vanilla answer", "常规", VANILLA, ("unconstrained answer", "baseline answer", r"^(?:no|without a) budget$")),
    Term("strategy", "策略", never=("ways? of asking", "method of asking")),
    Term("repeats", "重复", never=("samples per budget", "repetitions")),
    Term("hard cap", "上限", never=("limit on (?:calls|cost|money|dollars)", "at most (?:calls|tokens|dollars)$")),
    Term("estimator", "估计器", never=("budget model",)),
    Term("adapter", "适配器", never=("fine-tuned weights",)),
    Term("known answer", "已知答案", never=("gold answer", "ground truth", "reference answer")),
    Term("prompt template", "提示词模板", never=("prompt wording",), never_chinese=("(?<!词)提示模板",)),
    Term("data set", "数据集", never=(r"\bdatasets?\b",)),
)


def explain(*names: str) -> str:
    """The meanings of these terms in the reader's language, as Markdown to be shown where a word is pointed at."""
    found = {term.name: term for term in TERMS}
    chosen = [found[name] for name in names]
    return "  \n".join(f"**{t.chinese if language() == 'zh' else t.name}**: {said(t.meaning)}" for t in chosen)
