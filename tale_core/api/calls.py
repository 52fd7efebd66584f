"""Ask, search, sweep, run an experiment, estimate: each awaited, and each waited for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar, cast

from tale_core.api.given import budgets_of, question_of, questions_of, taken
from tale_core.api.model import Asked, asked_of
from tale_core.api.records import View
from tale_core.ask.plan import AskPlan
from tale_core.ask.run import AskRun, AskView
from tale_core.budgets.kinds import word_kind
from tale_core.budgets.native import native
from tale_core.calibration.saved import usual_template
from tale_core.calls.budget_ledger import Limits
from tale_core.datasets import Loaded, load
from tale_core.elasticity.engine import SweepPlan
from tale_core.elasticity.view import SweepView
from tale_core.errors import InputError, SessionFailedError
from tale_core.estimators import chosen_estimator
from tale_core.estimators import estimator as estimator_named
from tale_core.experiments import ExperimentPlan
from tale_core.experiments.run import ExperimentRun, ExperimentView
from tale_core.i18n import t
from tale_core.prompts.messages import DEFAULT_TEMPLATE
from tale_core.runs import runner as jobs
from tale_core.runs.study import StudyRun
from tale_core.search.engine import SearchPlan
from tale_core.search.modes import Mode
from tale_core.search.plan import Rule
from tale_core.search.view import SearchView
from tale_core.settings import get_settings
from tale_core.store import Store, open_store
from tale_core.strategies import USUAL, trained_for
from tale_core.types import Client, Estimate, Question, Sampling

V = TypeVar("V", bound=View)
P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger(__name__)


def _waiting(work: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, R]:
    """The same function, waited for. It runs in the background loop, so that no loop of the caller is in its way."""

    @wraps(work)
    def waited(*args: P.args, **kwargs: P.kwargs) -> R:
        return jobs.runner().submit(work(*args, **kwargs))

    waited.__name__ = waited.__qualname__ = work.__name__.removesuffix("_async")
    return waited


@taken
async def ask_async(
    question: str | Question,
    *,
    answer: str | None = None,
    budget: int | None = None,
    estimator: str | None = None,
    model: str | Client | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    template: str | None = None,
    sampling: Sampling | None = None,
    together: bool = True,
    store: Store | None = None,
    knob: str = "asked",
    level: str | None = None,
) -> AskView:
    """Estimate a budget and answer a question with and without it.

    Args:
        question: Its text, or a `Question` with options or a kind of answer.
        answer: The known answer; both answers are graded against it.
        budget: Tokens to ask for, instead of an estimate.
        estimator: zero-shot, fixed:N, regression, calibrated, tuned:NAME or lines; None takes a trained one if there is
            any.
        model: Whom to ask, see `tale_core.api`.
        base_url: An OpenAI-compatible endpoint.
        api_key: Its key, where the environment has none.
        template: The prompt template; None takes the one that suits the model.
        sampling: Temperature, seed, max_tokens and so on.
        together: Both answers at the same time; False for clean timing.
        store: Where it is kept; the usual database when None.
        knob: The kind of budget: asked, effort, thinking, enforced or verbosity.
        level: Of a kind whose levels are words, the one of the second answer.

    Returns:
        The Ask: `.budget`, and `.calls["vanilla"]` and `.calls["budgeted"]`, each with `.text` and a `.record`.

    Raises:
        InputError: An argument is wrong; nothing was sent.
        SessionFailedError: It failed; `view` holds what there is.
    """
    if budget is not None and estimator is not None:
        raise InputError(t("A budget and an estimator were given."), t("Give one of them."))
    asked = asked_of(model, base_url, api_key)
    template = template or usual_template(asked.model, get_settings())
    plan = AskPlan(
        question=question_of(question, answer),
        estimator=chosen_estimator(estimator, budget, model=asked.model, template=template),
        template=template,
        sampling=sampling or Sampling(),
        together=together,
        knob=knob,
        level=level,
    )
    return await _ran(partial(AskRun, plan.checked(model=asked.model)), asked, store)


@taken
async def search_async(
    question: str | Question,
    *,
    answer: str | None = None,
    mode: Mode = "tale",
    samples: int | None = None,
    rule: Rule = "all",
    start: int | None = None,
    worth: float | None = None,
    limits: Limits | None = None,
    concurrency: int = 4,
    reuse: bool = True,
    model: str | Client | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    template: str | None = None,
    sampling: Sampling | None = None,
    store: Store | None = None,
    knob: str = "asked",
    levels: Sequence[str] = (),
    lowest: int = 1,
) -> SearchView:
    """Find the smallest budget that keeps the answer right.

    Args:
        question: See `ask`; its answer has to be known.
        answer: The known answer.
        mode: tale, paper or reference.
        samples: Answers under each budget; None for one, or three where levels are words.
        rule: How many of them must be right: all, or the majority.
        start: Look near so many tokens first.
        worth: The higher, the finer the search; None for what is usual with the kind of budget.
        limits: Of the whole search; 40 calls when None.
        concurrency: Answers at the same time.
        reuse: Take answers that are known already.
        model: See `ask`, as all that follow.
        base_url: See `ask`.
        api_key: See `ask`.
        template: See `ask`.
        sampling: See `ask`.
        store: See `ask`.
        knob: See `ask`.
        levels: Of a kind whose levels are words, those to choose from; all that there are when empty.
        lowest: The smallest number of tokens to try, where an endpoint has a floor.

    Returns:
        The search: `.steps` in order, and `.result` with `.optimal_budget`.

    Raises:
        InputError, SessionFailedError: See `ask`.
    """
    asked = asked_of(model, base_url, api_key)
    plan = SearchPlan(
        question=question_of(question, answer),
        knob=knob,
        levels=(words := _levels(knob, levels)),
        lowest=lowest,
        mode=mode,
        template=template or usual_template(asked.model, get_settings()),
        sampling=sampling or Sampling(),
        samples=samples if samples is not None else SearchPlan.usual_samples(words),
        rule=rule,
        limits=limits or Limits(max_calls=40),
        start=start,
        worth=SearchPlan.usual_worth(knob) if worth is None else worth,
        slots=concurrency,
        reuse=reuse,
    )
    return cast(SearchView, await _studied(plan, asked, store))


@taken
async def sweep_async(
    question: str | Question,
    *,
    answer: str | None = None,
    budgets: Sequence[int] = (),
    points: int = 8,
    lowest: int = 10,
    repeats: int = 3,
    limits: Limits | None = None,
    concurrency: int = 4,
    reuse: bool = True,
    model: str | Client | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    template: str | None = None,
    sampling: Sampling | None = None,
    store: Store | None = None,
    knob: str = "asked",
    levels: Sequence[str] = (),
) -> SweepView:
    """Measure how an answer's length follows the budget: the elasticity curve.

    Args:
        question: See `ask`.
        answer: The known answer; without it nothing is graded.
        budgets: Tokens to ask for; empty makes a geometric grid up to the vanilla answer.
        points: Budgets of that grid.
        lowest: Its lowest.
        repeats: Answers under each budget.
        limits: Of the whole sweep.
        concurrency: Answers at the same time.
        reuse: Take answers that are known already.
        model: See `ask`, as all that follow.
        base_url: See `ask`.
        api_key: See `ask`.
        template: See `ask`.
        sampling: See `ask`.
        store: See `ask`.
        knob: See `ask`.
        levels: See `search`.

    Returns:
        The sweep: `.result` with `.points`, `.ideal_range`, `.rebound` and `.finding`.

    Raises:
        InputError, SessionFailedError: See `ask`.
    """
    asked = asked_of(model, base_url, api_key)
    plan = SweepPlan(
        question=question_of(question, answer),
        knob=knob,
        levels=_levels(knob, levels),
        budgets=budgets_of(budgets),
        points=points,
        lowest=lowest,
        repeats=repeats,
        template=template or usual_template(asked.model, get_settings()),
        sampling=sampling or Sampling(),
        limits=limits or Limits(),
        slots=concurrency,
        reuse=reuse,
    )
    return cast(SweepView, await _studied(plan, asked, store))


@taken
async def run_async(
    dataset: str | Loaded | Iterable[Question | str],
    strategies: Sequence[str] = USUAL,
    *,
    limit: int | None = None,
    offset: int = 0,
    repeats: int = 1,
    limits: Limits | None = None,
    concurrency: int = 4,
    reuse: bool = True,
    model: str | Client | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    template: str = DEFAULT_TEMPLATE,
    sampling: Sampling | None = None,
    store: Store | None = None,
) -> ExperimentView:
    """Answer a data set with several strategies and compare them. Run again, it asks only for what is missing.

    Args:
        dataset: A name (shipped, gsm8k, …), a file, what `load_dataset` returned, questions, or a pandas table.
        strategies: As on the command line: direct, vanilla, tale-zero-shot, fixed:50, tuned:NAME, …
        limit: Questions to take.
        offset: Questions to pass over first.
        repeats: Answers by each strategy to each question.
        limits: Of the whole experiment.
        concurrency: Calls at the same time.
        reuse: Take answers that are known already.
        model: See `ask`, as all that follow.
        base_url: See `ask`.
        api_key: See `ask`.
        template: The prompt template.
        sampling: See `ask`.
        store: See `ask`.

    Returns:
        The experiment: `.results.rows`, a row for each strategy.

    Raises:
        InputError, SessionFailedError: See `ask`.
    """
    if isinstance(strategies, str):
        strategies = [name.strip() for name in strategies.split(",")]
    asked = asked_of(model, base_url, api_key, again=False)
    loaded = await asyncio.to_thread(_loaded, dataset, limit, offset)
    plan = ExperimentPlan(
        questions=loaded.questions,
        dataset=loaded.name,
        fingerprint=loaded.fingerprint,
        strategies=tuple(strategies),
        repeats=repeats,
        sampling=sampling or Sampling(),
        template=template,
        limits=limits or Limits(),
        concurrency=concurrency,
        reuse=reuse,
        estimators=await asyncio.to_thread(trained_for, strategies, asked.model, template),
    )
    plan.check_price(asked.price(), asked.model)
    plan.check_model(asked.model)
    return await _ran(partial(ExperimentRun, plan.checked(), tables=False), asked, store)


@taken
async def estimate_async(
    question: str | Question,
    *,
    estimator: str | None = None,
    model: str | Client | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    template: str | None = None,
) -> Estimate:
    """Predict the budget of a question and answer nothing; nothing is stored.

    Args:
        question: See `ask`.
        estimator: See `ask`.
        model: See `ask`, as all that follow.
        base_url: See `ask`.
        api_key: See `ask`.
        template: See `ask`.

    Returns:
        The estimate: `.budget` in tokens, and in `.problem` why the model's own words were not used, if they were not.

    Raises:
        InputError: An argument is wrong; nothing was sent.
        ModelError: The estimator asked the model, and that failed.
    """
    asked = asked_of(model, base_url, api_key)
    template = template or usual_template(asked.model, get_settings())
    name = chosen_estimator(estimator, None, model=asked.model, template=template)
    how = estimator_named(name, model=asked.model, template=template)
    client = await asked.open()
    try:
        async with aclosing(how.estimate(question_of(question, None), client)) as stream:
            async for item in stream:
                if isinstance(item, Estimate):
                    return item
    finally:
        await client.aclose()
    raise InputError(t("{name!r} estimates nothing.", name=name), t("Name another estimator."))


ask = _waiting(ask_async)
search = _waiting(search_async)
sweep = _waiting(sweep_async)
run = _waiting(run_async)
estimate = _waiting(estimate_async)


def _levels(knob: str, levels: Sequence[str]) -> tuple[str, ...]:
    kind = word_kind(knob)
    return tuple(levels) if kind is None else kind.listed(",".join(levels), native((), knob))


def _loaded(dataset: str | Loaded | Iterable[Question | str], limit: int | None, offset: int) -> Loaded:
    if isinstance(dataset, str):
        found = load(dataset, limit=limit, offset=offset)
        if found.problems:
            first = found.problems[0]
            message = "%d rows of %s were passed over; the first, line %d: %s"
            log.warning(message, len(found.problems), found.name, first.line, first.reason)
        return found
    if limit is not None or offset:
        raise InputError(
            t("limit or offset was given for questions that are loaded already."), t("Give it to load_dataset.")
        )
    if isinstance(dataset, Loaded):
        return dataset
    return questions_of(dataset)


async def _studied(plan: SearchPlan | SweepPlan, asked: Asked, store: Store | None) -> SearchView | SweepView:
    checked = plan.checked()
    plan.limits.check_price(asked.price(), asked.model)
    return await _ran(partial(StudyRun, checked), asked, store)


async def _ran(make: Callable[..., jobs.Run[V]], asked: Asked, store: Store | None) -> V:
    """The record of a run that ended.

    Raises:
        SessionFailedError: It failed.
    """
    where = store if store is not None else await asyncio.to_thread(open_store)
    made = make(store=where, open_client=asked.open, model=asked.model, endpoint=asked.endpoint)
    view = await made.run()
    if not_saved := getattr(view, "not_saved", None):
        log.warning("not saved: %s", not_saved)
    if view.status == "failed":
        raise SessionFailedError(view.error or t("It failed, and nothing says why."), view)
    return view
