"""The guided lesson: its steps in order, what each says and asks. What each shows is in `tale_core.lessons.arc`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from tale_core.ask.run import AskView
from tale_core.calls.comparison import compare
from tale_core.elasticity.finding import sweep_finding
from tale_core.i18n import N_, t
from tale_core.lessons.recorded import Recording
from tale_core.lessons.replay import whole
from tale_core.prompts import messages as prompts
from tale_core.search.text import finding as search_finding
from tale_core.search.view import SearchView
from tale_core.types import AnswerRole, CallRecord

StepId = Literal["thought", "budget", "guess", "search", "rebound", "needed", "cost"]
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
        "thought",
        N_("What does thinking step by step cost?"),
        N_("The model is asked to think step by step, for as long as it likes. Every piece it writes is a token."),
        N_("How many tokens would you have needed?"),
    ),
    Step(
        "budget",
        N_("With a budget and without one, side by side"),
        N_("The same model and the same question; the prompts differ in the budget's sentence alone."),
        N_("What did the shorter answer leave out? Would you trust it as much?"),
    ),
    Step(
        "guess",
        N_("A smaller budget: how many tokens will it write?"),
        N_("The sentence now asks for fewer tokens. Guess before you look."),
        N_("Did you expect it to stay under what it was asked for? Why, or why not?"),
    ),
    Step(
        "search",
        N_("How is the smallest budget that works found?"),
        N_("The budget is halved for as long as the answer stays right and gets no longer."),
        N_("The search asked the model many times. When is that worth it?"),
    ),
    Step(
        "rebound",
        N_("What happens when the budget is too small?"),
        N_("Every budget that was recorded, from the largest to the smallest, one answer each."),
        N_("Where would you stop, and what would you have to know to decide?"),
    ),
    Step(
        "needed",
        N_("How much of the thought was needed?"),
        N_("Strike out the sentences that the answer did not need. Then see where the model had its answer."),
        N_("Can a sentence be needed although you would strike it out?"),
    ),
    Step(
        "cost",
        N_("What does that mean for cost?"),
        N_("One question, one model, one machine: enough to see how it works, too little to conclude from."),
        N_("How many questions would you ask before you believed that a budget saves tokens?"),
    ),
)
REVEALED: Final[tuple[StepId, ...]] = ("guess", "needed")
"""Steps that show what they ask about only when told to."""
BY_ID: Final[dict[str, Step]] = {step.id: step for step in STEPS}
STOPS: Final[tuple[str, ...]] = tuple(
    stop for step in STEPS for stop in (step.id, f"{step.id}-shown")[: 2 if step.id in REVEALED else 1]
)
"""Where the keys stop: each step, and again where it shows what it asked about."""


def step_of(stop: str) -> Step:
    """The step of a stop."""
    return BY_ID[stop.removesuffix("-shown")]


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


DISCUSSION: Final[tuple[str, ...]] = (
    N_("A budget makes an answer shorter. When does that matter: for cost, for time, for energy, for reading?"),
    N_("The model counts neither words nor tokens while it writes. How can it obey a budget at all?"),
    N_("Why is an answer that was cut off not called wrong?"),
    N_("This is a small model. What would you expect of a large one, and how would you find out?"),
    N_("All-in tokens count the prompt and every probe of the search. Who should pay attention to which number?"),
)
"""Questions that the lesson ends with."""
