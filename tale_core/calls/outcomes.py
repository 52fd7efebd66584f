"""The outcomes of an answer: what each is called, how it looks, and what is done with it. One registry for everything.

An outcome is a member of `tale_core.types.Outcome` and an entry here; whether it counts in an accuracy is said by
`tale_core.types.judged` alone, since the database needs it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tale_core.i18n import N_, t
from tale_core.types import Outcome

BadgeColor = Literal["green", "red", "yellow", "gray", "blue"]


@dataclass(frozen=True, slots=True)
class OutcomeKind:
    """One outcome for people: colour is never alone. Words are said with `t`.

    Attributes:
        label: By itself, on a badge or in a filter.
        phrase: After "both" or a name: "vanilla without a readable answer".
        term: The field's own term, for a report.
        color: Of the badge; icon likewise.
        light: Colour of a chart's marks in the light theme (hex), dark in the dark one, as in `.streamlit/config.toml`.
        symbol: Plotly's, of a chart's marks; sign is the same as a letter, for a legend.
        labelled: People may label such answers, and filter the labeling queue by it: there is an answer.
    """

    label: str
    phrase: str
    term: str
    color: BadgeColor
    icon: str
    light: str
    dark: str
    symbol: str
    sign: str
    labelled: bool = True

    @property
    def word(self) -> str:
        """The label inside a line, in the reader's language."""
        return t(self.label).lower()


_GOOD, _BAD = ("#0a7a4b", "#3ccf8e"), ("#c8430a", "#ff8a57")
_CUT, _UNKNOWN = ("#b07400", "#f0b83f"), ("#56657a", "#94a3b8")
OUTCOMES: dict[Outcome, OutcomeKind] = {
    Outcome.CORRECT: OutcomeKind(
        N_("Right"), N_("right"), N_("correct"), "green", ":material/check:", *_GOOD, "circle", "●"
    ),
    Outcome.WRONG: OutcomeKind(N_("Wrong"), N_("wrong"), N_("wrong"), "red", ":material/close:", *_BAD, "x", "✕"),
    Outcome.TRUNCATED: OutcomeKind(
        N_("Cut off"), N_("cut off"), N_("truncated"), "yellow", ":material/content_cut:", *_CUT, "triangle-up", "▲"
    ),
    Outcome.UNPARSED: OutcomeKind(
        N_("No readable answer"), N_("without a readable answer"), N_("unparsed"), "gray", ":material/help:", *_UNKNOWN,
        "square", "■",
    ),
    Outcome.ERROR: OutcomeKind(
        N_("Failed"), N_("failed"), N_("error"), "red", ":material/error:", *_BAD, "diamond", "◆", labelled=False
    ),
    Outcome.UNGRADED: OutcomeKind(
        N_("Not graded"), N_("not graded"), N_("ungraded"), "gray", ":material/remove:", *_UNKNOWN, "hexagon", "⬣"
    ),
}  # fmt: skip
TICKS = {Outcome.CORRECT: "✓", Outcome.WRONG: "✗"}
"""What right and wrong are among words, where a chart's sign would say less."""
REFUSED = OutcomeKind(
    N_("Refused"), N_("refused"), N_("refused"), "red", ":material/block:", *_BAD, "diamond", "◆", labelled=False
)
"""An `ERROR` that is a content filter's refusal and no failure of the endpoint; it is told apart, and it counts."""


def outcome_kind(outcome: Outcome, *, refused: bool = False) -> OutcomeKind:
    """The entry of an outcome.

    Args:
        outcome: What became of an answer.
        refused: A content filter refused it; see `CallRecord.refused`.
    """
    return REFUSED if refused else OUTCOMES[outcome]


def outcome_counts(outcomes: Mapping[Outcome, int], *, refused: int) -> list[tuple[OutcomeKind, int]]:
    """How many answers had each outcome, none left out; refusals are told from calls that failed, and come last."""
    failed = outcomes.get(Outcome.ERROR, 0) - refused
    counts = {kind: failed if o is Outcome.ERROR else outcomes.get(o, 0) for o, kind in OUTCOMES.items()}
    return [*counts.items(), (REFUSED, refused)]
