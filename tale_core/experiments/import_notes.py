"""What is known about an experiment that was not run here but imported: its files, and how to read its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any

from tale_core.datasets.logs import TOOLS
from tale_core.i18n import t, tn

TOKENIZER = "cl100k_base"
"""tiktoken's vocabulary of GPT-4, with which the paper's repository counts the answers of every model."""
CAP = 1024
"""max_tokens of the paper's repository: longer answers were cut there, and its files do not say which."""
ENDPOINT = "imported"


@dataclass(frozen=True, slots=True)
class ImportInfo:
    """Where imported answers come from. Counts are of answers.

    Attributes:
        files: Names of the files.
        shape: "reference" for those of the paper's repository, a name of `logs.TOOLS` for the logs of that tool,
            "mapped" for any other table; "both" for several of which some are of the repository.
        passed_over: Rows that could not be used.
        reported: Token counts that the files name.
        counted: Token counts that are ours, with TOKENIZER.
        unread: Budgets that are no budget: -1 stands for an estimate that could not be read.
        no_optimum: Searches that found no smaller budget that works; the vanilla answer stands for theirs.
        searched: Some come from a search, whose file holds only questions that were answered right without a budget.
        perhaps_cut: At least as long as CAP, so perhaps cut.
        answers_from: The data set whose known answers were used; "" when those of the files were.
        corrected: Questions whose known answer in the file is another one than the data set's.
        unknown: Questions that the data set does not hold.
        more: Further responses to the same questions, which were not taken.
        prompts: Prompt token counts that the files name.
    """

    files: tuple[str, ...]
    shape: str
    passed_over: int = 0
    reported: int = 0
    counted: int = 0
    unread: int = 0
    no_optimum: int = 0
    searched: bool = False
    perhaps_cut: int = 0
    answers_from: str = ""
    corrected: int = 0
    unknown: int = 0
    more: int = 0
    prompts: int = 0

    def document(self) -> dict[str, Any]:
        """JSON-safe; `read` reads it."""
        return asdict(self) | {"files": list(self.files), "tokenizer": TOKENIZER}


def read(plan: Mapping[str, Any]) -> ImportInfo | None:
    """What a stored plan tells about its import; None when the experiment was run.

    A database may have been imported itself: what is of another type than it should be is left out.
    """
    document = plan.get("imported")
    if not isinstance(document, Mapping):
        return None
    files = document.get("files")
    known: dict[str, Any] = {
        f.name: document[f.name]
        for f in fields(ImportInfo)
        if f.default is not MISSING and type(document.get(f.name)) is type(f.default)
    }
    listed = tuple(str(name) for name in files) if isinstance(files, list) else ()
    return ImportInfo(listed, str(document.get("shape")), **known)


def notes(info: ImportInfo) -> list[str]:
    """All that is known about how to read it, each a sentence."""
    return [
        *brief(info)[:1],
        t("The answers were graded again by this program's rules."),
        _counted(info),
        *brief(info)[1:],
        _uncounted(info),
    ]


def brief(info: ImportInfo) -> list[str]:
    """What a careful reader must know before anything else, each a sentence."""
    said = [t("Imported, not run here: {files}.", files=", ".join(info.files))]
    if info.shape in TOOLS:
        said.append(t("Read from a log of {tool}: its own scores were not taken.", tool=TOOLS[info.shape]))
    if info.shape in ("reference", "both"):
        said.append(
            t("The paper's repository counts every model with GPT-4's tokenizer: these are not the model's own tokens.")
        )
    return said + _rare(info)


def _uncounted(info: ImportInfo) -> str:
    if info.prompts:
        return t("Cost and time are not taken from the files: they are unknown.")
    return t("Prompts and estimates are not counted in the files: all-in tokens, cost and time are unknown.")


def _counted(info: ImportInfo) -> str:
    if info.reported and info.counted:
        return t("Token counts are the files' own or, where they name none, counted here by {name}.", name=TOKENIZER)
    if info.counted:
        return t("The files name no token counts: they were counted here by {name}.", name=TOKENIZER)
    return t("Token counts are the files' own.")


def _rare(info: ImportInfo) -> list[str]:
    said = []
    if info.answers_from:
        said.append(
            t(
                "Known answers are those of {set}: the files have others for {corrected:,} questions, and it lacks "
                "{unknown:,}.",
                set=info.answers_from, corrected=info.corrected, unknown=info.unknown,
            )
        )  # fmt: skip
    if info.unread:
        said.append(
            tn(
                "{n:,} prompt asked for a number that is no budget (-1: the estimate could not be read).",
                "{n:,} prompts asked for a number that is no budget (-1: the estimate could not be read).",
                info.unread,
            )
        )
    if info.no_optimum:
        said.append(
            tn(
                "{n:,} search found no smaller budget that works: the vanilla answer stands for it.",
                "{n:,} searches found no smaller budget that works: the vanilla answers stand for them.",
                info.no_optimum,
            )
        )
    if info.searched:
        said.append(
            t("A search's file holds only questions that were right without a budget, so its accuracies flatter.")
        )
    if info.perhaps_cut:
        said.append(
            tn(
                "{n:,} answer has {cap:,} tokens or more and may have been cut; the files do not say.",
                "{n:,} answers have {cap:,} tokens or more and may have been cut; the files do not say.",
                info.perhaps_cut,
                cap=CAP,
            )
        )
    if info.more:
        words = tn(
            "Of each question the first response was taken; the log holds {n:,} more.",
            "Of each question the first response was taken; the log holds {n:,} more.",
            info.more,
        )
        said.append(words)
    if info.passed_over:
        said.append(tn("{n:,} row was passed over.", "{n:,} rows were passed over.", info.passed_over))
    return said
