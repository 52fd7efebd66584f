"""The guided lesson: six steps in order, what each shows, says and asks.

The words are a teacher's; every number in them is taken from the recordings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from tale_core.ask.run import AskView
from tale_core.calls.comparison import all_in_tokens, compare
from tale_core.calls.outcomes import OUTCOMES
from tale_core.elasticity.finding import sweep_finding
from tale_core.elasticity.view import SweepView
from tale_core.i18n import N_, SOURCE, language, t
from tale_core.lessons.recorded import Recording, bundled
from tale_core.lessons.replay import whole
from tale_core.prompts import messages as prompts
from tale_core.search.text import finding as search_finding
from tale_core.search.view import SearchView
from tale_core.types import AnswerRole, CallRecord, Language, Outcome

StepId = Literal["cost", "guess", "budget", "too-small", "search", "meaning"]
GUESSED: Final[AnswerRole] = "budgeted"
"""The answer whose tokens are guessed."""


@dataclass(frozen=True, slots=True)
class Step:
    """One screen of the lesson; its words are marked for translation and translated where they are said.

    Attributes:
        title: A question or a claim, short enough to be read from the back row.
        say: One or two sentences under it.
        talk: A question for the class.
    """

    id: StepId
    title: str
    say: str
    talk: str


STEPS: Final[tuple[Step, ...]] = (
    Step(
        "cost",
        N_("What does thinking step by step cost?"),
        N_("The model is asked to think step by step, for as long as it likes. Every piece it writes is a token."),
        N_("Which of these sentences did the answer need? Which would you cross out?"),
    ),
    Step(
        "guess",
        N_("The same question with a budget: how many tokens will it write?"),
        N_("One more sentence is added to the prompt. Guess before you look."),
        N_("Did you expect it to stay under what it was asked for? Why, or why not?"),
    ),
    Step(
        "budget",
        N_("With a budget and without one, side by side"),
        N_("The same model and the same question; the prompts differ in the budget's sentence alone."),
        N_("What did the shorter answer leave out? Would you trust it as much?"),
    ),
    Step(
        "too-small",
        N_("What happens when the budget is too small?"),
        N_("The same question under smaller and smaller budgets, several times each."),
        N_("Where on this curve would you stop, and what would you have to know to decide?"),
    ),
    Step(
        "search",
        N_("How is the smallest budget that works found?"),
        N_("Each probe asks under another budget and looks whether the answer is still right."),
        N_("The search asked the model many times. When is that worth it?"),
    ),
    Step(
        "meaning",
        N_("What do these numbers mean?"),
        N_("One question, one model, one machine: enough to see how it works, too little to conclude from."),
        N_("How many questions would you ask before you believed that a budget saves tokens?"),
    ),
)
BY_ID: Final[dict[str, int]] = {step.id: at for at, step in enumerate(STEPS)}


class LessonRecordings(NamedTuple):
    """What the lesson of one language shows."""

    ask: Recording
    sweep: Recording
    search: Recording


def lesson_recordings(spoken: Language | None = None) -> LessonRecordings:
    """The recordings of the lesson in a language, the reader's when None; where it has none, the English ones.

    Raises:
        InputError: A bundled recording cannot be read.
    """
    spoken, there = spoken or language(), bundled()
    ask, sweep, search = (
        there.get(f"{kind}-{spoken}") or there[f"{kind}-{SOURCE}"] for kind in ("ask", "sweep", "search")
    )
    return LessonRecordings(ask, sweep, search)


def answer_of(recording: Recording, role: AnswerRole) -> CallRecord:
    """A recorded Ask's answer."""
    return next(call for call in recording.session.calls if call.role == role)


def guessed_tokens(recording: Recording) -> int:
    """What is to be guessed of a recorded Ask."""
    return answer_of(recording, GUESSED).completion_tokens or 0


def can_be_guessed(recording: Recording) -> bool:
    """A class can guess the tokens of this one."""
    return recording.kind == "ask" and guessed_tokens(recording) > 0


def added_words(recording: Recording) -> str:
    """The words that a recorded Ask's second prompt adds for the budget, as the model read them."""
    return budget_words(recording, recording.session.budget or 1)


def budget_words(recording: Recording, budget: int) -> str:
    """The words that a prompt of this recording adds for a budget, as the model read them."""
    session = recording.session
    template = str(session.template or session.plan.get("template") or "")
    return prompts.template(template).budget_part(budget, session.question.language).strip(" ,，")


def mark(recording: Recording) -> str:
    """What stands beside everything that is shown of a recording: that it is one, of which model and day."""
    made = recording.made
    return t("Recorded: {model}, {date}", model=made.model, date=made.on.isoformat())


def finding(recording: Recording) -> str:
    """What the whole recording shows, in one sentence: the same as on the page of its kind."""
    view = whole(recording)
    if isinstance(view, AskView):
        estimate = view.calls.get("estimate")
        return compare(
            view.calls["vanilla"].record, view.calls["budgeted"].record, estimate.record if estimate else None
        ).sentence
    if isinstance(view, SearchView):
        return search_finding(view)
    return sweep_finding(view)


def too_small_words(recording: Recording) -> str:
    """What the smallest budget of a recorded sweep did, against the answer without a budget; "" where nobody graded."""
    view = whole(recording)
    points = view.result.points if isinstance(view, SweepView) and view.result else ()
    vanilla = next((p for p in points if p.kind == "vanilla"), None)
    budgets = [(p.budget, p) for p in points if isinstance(p.budget, int) and p.budget]
    smallest = min(budgets, key=lambda pair: pair[0])[1] if budgets else None
    if vanilla is None or smallest is None or vanilla.accuracy is None or smallest.accuracy is None:
        return ""
    return t(
        "Asked for {budget} tokens it wrote {tokens} on average and was right {right} of {n} times; without a budget "
        "it wrote {vanilla_tokens} and was right {vanilla_right} of {vanilla_n} times.",
        budget=smallest.budget,
        tokens=f"{smallest.tokens_mean or 0:,.0f}",
        right=round(smallest.accuracy * smallest.graded),
        n=smallest.graded,
        vanilla_tokens=f"{vanilla.tokens_mean or 0:,.0f}",
        vanilla_right=round(vanilla.accuracy * vanilla.graded),
        vanilla_n=vanilla.graded,
    )


def rebound_words(recording: Recording) -> str:
    """Whether a recorded sweep shows token elasticity, and how sure that is."""
    view = whole(recording)
    found = view.result.rebound if isinstance(view, SweepView) and view.result else None
    if found is None:
        return t("No smaller budget cost more than a larger one on this question: no rebound was seen.")
    values = {"budget": found.budget, "turning": found.turning, "extra": f"{found.extra_tokens:.0f}"}
    if found.p_value is None:
        return t(
            "Asked for {budget} tokens it wrote {extra} more than when asked for {turning}; whether that is chance "
            "cannot be judged from these answers.",
            **values,
        )
    if not found.significant:
        return t(
            "Asked for {budget} tokens it wrote {extra} more than when asked for {turning}, which may be chance "
            "(p = {p:.2g}).",
            **values,
            p=found.p_value,
        )
    return t(
        "Asked for {budget} tokens it wrote {extra} more than when asked for {turning}: a rebound, and chance hardly "
        "explains it (p = {p:.2g}).",
        **values,
        p=found.p_value,
    )


class Line(NamedTuple):
    """A row of the table that the lesson ends with."""

    what: str
    output_tokens: str
    all_in_tokens: str
    outcome: str


def summary(found: LessonRecordings) -> list[Line]:
    """Everything the lesson measured, a row each: answers, the search's optimum, and what finding it cost."""
    lines = []
    for role, name in (("vanilla", t("Without a budget")), ("budgeted", t("With a budget"))):
        call = next(c for c in found.ask.session.calls if c.role == role)
        lines.append(
            Line(name, f"{call.completion_tokens:,}", _number(all_in_tokens(call)), OUTCOMES[call.outcome].word)
        )
    view = whole(found.search)
    if isinstance(view, SearchView) and view.result and view.result.optimal_tokens is not None:
        spent = view.spent
        right = OUTCOMES[Outcome.CORRECT].word
        lines.append(Line(t("The search's best budget"), f"{view.result.optimal_tokens:,.0f}", "–", right))
        asked = t("Finding it: {n} answers", n=spent.calls)
        lines.append(Line(asked, f"{spent.completion_tokens:,}", f"{spent.tokens:,}", "–"))
    return lines


def _number(value: int | None) -> str:
    return t("unknown") if value is None else f"{value:,}"


DISCUSSION: Final[tuple[str, ...]] = (
    N_("A budget makes an answer shorter. When does that matter: for cost, for time, for energy, for reading?"),
    N_("The model counts neither words nor tokens while it writes. How can it obey a budget at all?"),
    N_("Why is an answer that was cut off not called wrong?"),
    N_("This is a small model. What would you expect of a large one, and how would you find out?"),
    N_("All-in tokens count the prompt and every probe of the search. Who should pay attention to which number?"),
)
"""Questions that the lesson ends with."""
