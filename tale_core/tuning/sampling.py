"""Examples that the model wrote itself: the shortest right answers of a sampling, and solutions for what it missed.

A sampling is an experiment with repeats of a brief strategy. What counts is the strategy's answer, whatever it asked
for it; the example itself asks the question alone (`plain_messages`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from tale_core.datasets import Loaded
from tale_core.errors import InputError
from tale_core.experiments import stored_plan
from tale_core.experiments.plan import ExperimentPlan
from tale_core.grading import grade
from tale_core.grading.lines import evaluated, reader, work_out
from tale_core.grading.thinking import split_thinking
from tale_core.i18n import t
from tale_core.models import tokens
from tale_core.store import ExperimentStore, Store, StoredAnswer
from tale_core.strategies import Strategy, kind_of, tool_of
from tale_core.strategies.kinds import Direct, Vanilla
from tale_core.strategies.knobs import Effort
from tale_core.tuning import solutions
from tale_core.tuning.examples import Examples, Selection, build, leak_key
from tale_core.types import CallRecord, Outcome, Question

_NOT_BRIEF = (Direct, Effort, Vanilla)
_UNITS = 500
"""Answers that are read at a time: a database takes so many names in one question."""
_FENCE = re.compile(r"```[\w+-]*\n(?P<inside>(?:(?!```).)*)\n```", re.DOTALL)
_NEXT = re.compile(r"\n[ \t>*#]*(?:question|problem|q|问题|问)[ \t]*\d*[ \t]*[:：].*", re.DOTALL | re.IGNORECASE)
_MARK = re.compile(r"####[ \t]*(?P<answer>[^\n#]+?)\s*$")


@dataclass(frozen=True, slots=True)
class Sampled:
    """What a sampling gives to learn.

    Attributes:
        solved: Questions with a right answer.
        never_solved: Questions without one, though every sample is there.
        solutions: Of them those whose worked solution is learnt instead.
    """

    examples: Examples
    solved: int
    never_solved: int
    solutions: int


def brief(plan: ExperimentPlan, *, share: float = 0.0) -> tuple[str, ...]:
    """Of its strategies those whose answers can be learnt: neither the vanilla prompt nor the bare result.

    Args:
        plan: Of the sampling.
        share: Worked solutions among the examples, at most.

    Raises:
        InputError: None of them is, or what a tool works out would be mixed with prose: an adapter answers in one way.
    """
    found = tuple(name for name in plan.strategies if (kind := _kind(name)) and not issubclass(kind, _NOT_BRIEF))
    if not found:
        raise _nothing_to_learn(plan.strategies)
    tools = {_tool(plan, name) for name in found}
    if len(tools) > 1:
        raise InputError(
            t("Of {names} some are worked out by a tool.", names=", ".join(found)),
            t("Sample either those or the others: an adapter answers in one way."),
        )
    if share and tools != {None}:
        raise InputError(
            t("Worked solutions are prose, and {names} is worked out by a tool.", names=", ".join(found)),
            t("Leave them out."),
        )
    return found


def _kind(name: str) -> type[Strategy] | None:
    return kind_of(name.partition("@")[0])


def _tool(plan: ExperimentPlan, name: str) -> str | None:
    kind = _kind(name)
    return tool_of(f"{name}@{plan.template}" if kind and kind.worded and "@" not in name else name)


def _nothing_to_learn(names: Sequence[str]) -> InputError:
    return InputError(
        t("{names} teaches no brief reasoning.", names=", ".join(names)),
        t("Sample a brief strategy: concise, chain-of-draft or fixed:50, say."),
    )


def check(plan: ExperimentPlan, *, share: float = 0.0) -> None:
    """Check before anything is spent that every sample of a plan can be learnt; see `brief`.

    Raises:
        InputError: The plan is wrong, a strategy is not brief, or every sample would be the same.
    """
    plan.checked()
    learnt = brief(plan, share=share)
    if other := [name for name in plan.strategies if name not in learnt]:
        raise _nothing_to_learn(other)
    if plan.repeats > 1 and plan.sampling.temperature == 0:
        raise InputError(
            t("{n} samples at temperature 0 are one answer {n} times.", n=plan.repeats),
            t("Give a temperature above 0, or ask for one sample."),
        )


def check_share(share: float) -> None:
    """Check the share of worked solutions among the examples.

    Raises:
        InputError: It is out of range.
    """
    if not 0 <= share <= 0.9:
        raise InputError(
            t("A share of {share} worked solutions was asked for.", share=share), t("Give a number from 0 to 0.9.")
        )


def examples_from_sampling(
    store: Store,
    experiment_id: str,
    selection: Selection,
    *,
    exclude: Collection[str] = (),
    solved: Loaded | None = None,
    share: float = 0.0,
) -> Sampled:
    """What the answers of an experiment give to learn, as far as it has come.

    Args:
        store: Where it is.
        experiment_id: Which one.
        selection: Which of the right answers; its `sessions` is of no account.
        exclude: Keys of questions that are kept for an evaluation.
        solved: The data set with its worked solutions, for the questions that the model never answered right.
        share: Worked solutions among the examples, at most.

    Raises:
        InputError: No strategy of it is brief, a number is out of range, or the set has no solutions.
        NotFoundError: There is no such experiment.
        StoreError: It is no experiment, or cannot be read.
    """
    check_share(share)
    plan = stored_plan(store, experiment_id)
    learnt = brief(plan, share=share)
    answers = list(_answers(store, plan, learnt))
    right = {leak_key(a.question) for a in answers if a.outcome is Outcome.CORRECT and a.whole and not a.vanilla}
    ended = Counter(leak_key(a.question) for a in answers)
    never = {key for key, count in ended.items() if key not in right and count >= plan.repeats * len(learnt)}
    examples, human = build(answers, selection, exclude=exclude), list[StoredAnswer]()
    if solved is not None and share:
        own = len(examples.train) + len(examples.held_out)
        human = _human(solved, never - set(exclude), selection)[: int(share / (1 - share) * own)]
        examples = build([*answers, *human], selection, exclude=exclude)
    source = f"tune examples --from {experiment_id} {selection_flags(selection)}"
    return Sampled(replace(examples, source=source), len(right), len(never), len(human))


def selection_flags(selection: Selection) -> str:
    """A selection as the flags of `tune examples` and `tune sample`."""
    most = "" if selection.most_tokens is None else f" --most-tokens {selection.most_tokens}"
    least = f"--per-question {selection.per_question} --least-tokens {selection.least_tokens}"
    return f"{least}{most} --held-out {selection.held_out}"


def _human(solved: Loaded, never: Collection[str], selection: Selection) -> list[StoredAnswer]:
    """The worked solutions of these questions, in an order that does not depend on the data set's."""
    solutions.require(solved)
    missed = sorted((q for q in solved.questions if leak_key(q) in never), key=leak_key)
    most = selection.most_tokens
    found = solutions.answers(missed, solved.solutions)
    return [a for a in found if selection.least_tokens <= a.tokens and (most is None or a.tokens <= most)]


def _answers(store: Store, plan: ExperimentPlan, learnt: Sequence[str]) -> Iterator[StoredAnswer]:
    """The answers of these strategies, question by question; a reused one counts like one that was paid for here."""
    assert plan.resume_of is not None, "stored"
    wanted = [unit for unit in plan.units() if unit.strategy in learnt]
    for first in range(0, len(wanted), _UNITS):
        units = wanted[first : first + _UNITS]
        calls = ExperimentStore(store).answers(plan.resume_of, [unit.key for unit in units])
        for unit in units:
            if call := calls.get(unit.key):
                yield _answer(plan.questions[unit.position], call, plan.resume_of)


def _answer(question: Question, call: CallRecord, experiment_id: str) -> StoredAnswer:
    text, cut = call.text.strip(), call.cut or call.finish_reason != "stop"
    if call.outcome is Outcome.CORRECT and not cut:
        text = target(text, question, call.prompt_template)
    return StoredAnswer(
        question, text, _tokens(call, text), call.outcome, whole=not cut, vanilla=call.role == "vanilla",
        template=call.prompt_template, budget=call.requested_budget, optimum=None,
        temperature=call.sampling.temperature, session_id=experiment_id, kind="experiment", labelled=call.labelled,
    )  # fmt: skip


def target(text: str, question: Question, template: str) -> str:
    """A right answer without what the prompt or the server put around it, if it is still right then; else as it is.

    Thoughts go, and a fence around the whole, and the next question of a prompt with examples; `#### 5` at the end is
    written [[5]], as every other target has it. Of lines for the calculator those stay that it takes, without the prose
    between them. It is read as the answers to a prompt of this name are.
    """
    plain = split_thinking(text).answer.strip()
    if fenced := _FENCE.fullmatch(plain):
        plain = fenced["inside"]
    plain = _MARK.sub(lambda mark: f"[[{mark['answer'].strip('. ')}]]", _NEXT.sub("", f"\n{plain}").rstrip())
    plain = "\n".join(line.rstrip() for line in plain.splitlines() if line.strip()).strip()
    if evaluated(template):
        plain = "\n".join(line.text.strip() for line in work_out(plain).lines if line.value is not None)
    if plain == text or not plain:
        return text
    again = grade(plain, question, finish_reason="stop", read=reader(template))
    return plain if again.outcome is Outcome.CORRECT else text


def _tokens(call: CallRecord, text: str) -> int:
    """Tokens of a target: what the endpoint counted; of a text that was shortened the part that is left."""
    counted, said = call.visible_tokens, split_thinking(call.text).answer
    if counted is None:
        counted, said = call.completion_tokens or tokens.count(call.text, call.model), call.text
    if said.strip() != text:
        counted = round(counted * min(1.0, tokens.count(text, call.model) / max(1, tokens.count(said, call.model))))
    return max(1, counted)
