"""The sets that have a name: what their files are called, how they are laid out, where they come from.

MathBench's files are those of its release v0.1.0 as OpenCompass lists them; sizes are the publishers' own. GSM8K-Zero's
card and repository state no licence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from tale_core.datasets.hub import HubSet
from tale_core.datasets.results import DatasetInfo
from tale_core.datasets.rows import Layout
from tale_core.i18n import N_, language, t
from tale_core.types import AnswerKind, Language

SHIPPED_NAME = "shipped"


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a set.

    Attributes:
        name: Noted with each question.
        files: What the file may be called, below a folder that is searched; the first that is there is read.
        hub: Where else it is; None when its publishers have not put it on the hub.
    """

    name: str
    files: tuple[str, ...]
    layout: Layout = "table"
    kind: AnswerKind | None = None
    language: Language | None = None
    hub: HubSet | None = None


@dataclass(frozen=True, slots=True)
class NamedSet:
    """A set with its parts, all of which are read."""

    info: DatasetInfo
    parts: tuple[Part, ...]


def _shipped() -> DatasetInfo:
    return DatasetInfo(
        name=SHIPPED_NAME,
        title=t("The project's own questions"),
        size=200,
        licence=t("CC0-1.0 or MIT"),
        language="both",
        origin="data/questions.jsonl",
        note=t("Each answer is checked by a computation in the tests."),
    )


def _single(info: DatasetInfo, hub: HubSet, *, layout: Layout = "table", kind: AnswerKind | None = None) -> NamedSet:
    return NamedSet(info, (Part(info.name, info.files, layout, kind, "en", hub),))


def _gsm8k() -> tuple[NamedSet, ...]:
    origin = "https://huggingface.co/datasets/openai/gsm8k"
    test = DatasetInfo(
        "gsm8k", t("GSM8K, grade-school word problems (test)"), 1_319, "MIT", "en", origin,
        ("gsm8k.jsonl", "gsm8k_test.jsonl", "gsm8k/test.jsonl", "GSM8K/gsm8k-main-test.jsonl", "gsm8k_dev.jsonl"),
    )  # fmt: skip
    train = DatasetInfo(
        "gsm8k-train", t("GSM8K, grade-school word problems (train)"), 7_473, "MIT", "en", origin,
        ("gsm8k_train.jsonl", "gsm8k/train.jsonl", "GSM8K/gsm8k-main-train.jsonl"),
        note=t("To train on; measure on gsm8k."),
    )  # fmt: skip
    zero = DatasetInfo(
        "gsm8k-zero", t("GSM8K-Zero, questions whose answer stands in the text"), 2_978, t("not stated"), "en",
        "https://huggingface.co/datasets/dcml0714/GSM8K-Zero",
        ("gsm8k_zero.jsonl", "gsm8k_zero.json", "gsm8k-zero/test.json", "GSM8K-Zero/test.json",
         "GSM8K-Zero/GSM8K-Zero.jsonl", "gsm8k_zero_dev.jsonl"),
        note=t("Its authors estimate that 85 % of the questions and answers are valid."),
    )  # fmt: skip
    return (
        _single(test, HubSet("openai/gsm8k", "main", "test"), kind="number"),
        _single(train, HubSet("openai/gsm8k", "main", "train"), kind="number"),
        _single(zero, HubSet("dcml0714/GSM8K-Zero", None, "test"), kind="number"),
    )


def _gpqa() -> tuple[NamedSet, ...]:
    sets = []
    for subset, size in (("diamond", 198), ("main", 448), ("extended", 546)):
        file = f"gpqa_{subset}.csv"
        info = DatasetInfo(
            f"gpqa-{subset}", t("GPQA {subset}, graduate-level science", subset=subset), size, "CC BY 4.0", "en",
            "https://huggingface.co/datasets/Idavidrein/gpqa", (file, f"gpqa/{file}", f"dataset/{file}"),
            note=t("Its publishers ask not to reveal the questions in plain text online, so that models are not "
                   "trained on them: do not share sessions or exports of it."),
        )  # fmt: skip
        sets.append(_single(info, HubSet("Idavidrein/gpqa", f"gpqa_{subset}", "train"), layout="gpqa"))
    return tuple(sets)


MATHBENCH_LEVELS: dict[str, tuple[str, ...]] = {
    "college": ("choice-cn", "choice-en"),
    "high": ("choice-cn", "choice-en"),
    "middle": ("choice-cn", "choice-en"),
    "primary": ("cloze-cn", "cloze-en"),
    "arithmetic": ("cloze-en",),
    "college_knowledge": ("choice-cn", "choice-en"),
    "high_knowledge": ("choice-cn", "choice-en"),
    "middle_knowledge": ("choice-cn", "choice-en"),
    "primary_knowledge": ("choice-cn", "choice-en"),
}
"""Folder of the release -> the files in it."""
_LEVEL_TITLES = {
    "college": N_("MathBench college"),
    "high": N_("MathBench high"),
    "middle": N_("MathBench middle"),
    "primary": N_("MathBench primary"),
    "arithmetic": N_("MathBench arithmetic"),
    "college_knowledge": N_("MathBench college knowledge"),
    "high_knowledge": N_("MathBench high knowledge"),
    "middle_knowledge": N_("MathBench middle knowledge"),
    "primary_knowledge": N_("MathBench primary knowledge"),
}
_FORMS = {
    "choice-cn": N_("choice, cn"),
    "choice-en": N_("choice, en"),
    "cloze-cn": N_("cloze, cn"),
    "cloze-en": N_("cloze, en"),
}
_MATHBENCH = "https://github.com/open-compass/MathBench/releases/tag/v0.1.0"


def _mathbench_part(level: str, form: str) -> Part:
    file = form.replace("choice", "single_choice").replace("-", "_") + ".jsonl"
    folders = ("mathbench_v1/", "mathbench/mathbench_v1/", "mathbench/", "")
    return Part(
        name=f"mathbench-{level}-{form}",
        files=tuple(f"{folder}{level}/{file}" for folder in folders),
        language="zh" if form.endswith("cn") else "en",
    )


def _mathbench_info(name: str, title: str, parts: tuple[Part, ...], part_of: str | None) -> DatasetInfo:
    languages = {p.language for p in parts}
    return DatasetInfo(
        name=name,
        title=title,
        size=None,
        licence="Apache-2.0",
        language="both" if len(languages) > 1 else "zh" if languages == {"zh"} else "en",
        origin=_MATHBENCH,
        files=tuple(p.files[0] for p in parts),
        part_of=part_of,
    )


def _mathbench() -> tuple[NamedSet, ...]:
    sets = []
    for level, forms in MATHBENCH_LEVELS.items():
        group, title = f"mathbench-{level}", t(_LEVEL_TITLES[level])
        parts = tuple(_mathbench_part(level, form) for form in forms)
        sets.append(NamedSet(_mathbench_info(group, title, parts, None), parts))
        for form, part in zip(forms, parts, strict=True):
            sets.append(NamedSet(_mathbench_info(part.name, _form_title(level, form), (part,), group), (part,)))
    return tuple(sets)


def _form_title(level: str, form: str) -> str:
    return t("{set} ({form})", set=t(_LEVEL_TITLES[level]), form=t(_FORMS[form]))


def named_sets() -> dict[str, NamedSet]:
    """The public sets by name, with their titles and notes in the reader's language."""
    return _named_sets(language())


@cache
def _named_sets(said_in: Language) -> dict[str, NamedSet]:
    """Made once for each language: the titles are in the one that is read when they are made."""
    return {s.info.name: s for s in (*_gsm8k(), *_gpqa(), *_mathbench())}


_ALIASES = {"gpqa": "gpqa-diamond", "gsm8k-test": "gsm8k"}


def find_set(name: str) -> NamedSet | None:
    """The set of this name, whatever its case; None when there is none.

    Files that the release lists but that stand in no group (`mathbench-college-cloze-en`, of older releases) have a
    name too.
    """
    # The release, OpenCompass and the paper's repository write single_choice_en and cloze_en.
    key = name.strip().casefold().replace("-single_choice_", "-choice-").replace("-cloze_", "-cloze-")
    found = named_sets().get(_ALIASES.get(key, key))
    if found:
        return found
    for level in MATHBENCH_LEVELS:
        for form in _FORMS:
            if key == f"mathbench-{level}-{form}":
                part = _mathbench_part(level, form)
                return NamedSet(_mathbench_info(part.name, _form_title(level, form), (part,), None), (part,))
    return None


def describe() -> tuple[DatasetInfo, ...]:
    """Every set that `load` knows by name, the project's own first."""
    return (_shipped(), *(s.info for s in named_sets().values()))
