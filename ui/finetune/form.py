"""What to learn and from what: the form of the Fine-tune page. Says what there is; starts nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from tale_core.errors import InputError, StoreError, TaleError
from tale_core.experiments.create import experiment_title
from tale_core.i18n import N_, t
from tale_core.models.adapters import registry as adapters
from tale_core.models.embedded.catalog import embedded_model, embedded_models
from tale_core.tuning.data import examples_from_solutions, examples_from_store
from tale_core.tuning.examples import MARKED, Examples, Selection
from tale_core.tuning.plan import PROJECTIONS, Method, TunePlan, paper_settings
from tale_core.tuning.sampling import examples_from_sampling
from tale_core.types import Writes
from ui.common import state
from ui.common.text import literal
from ui.experiments.data import Chosen, data_box, local_sets
from ui.finetune import charts as figures
from ui.finetune import text as words

LEARN_FROM = 40
"""Experiments that are offered to learn from, the newest first."""
LEARNT = {
    "own": N_("Its own short right answers"),
    "experiment": N_("Its shortest right answers in one experiment"),
    "solutions": N_("Worked solutions of a data set"),
}
WITH_SOLUTIONS = ("gsm8k-train", "gsm8k")
"""Named sets with worked solutions, the one to train on first."""
TARGETS = {
    "paper": N_("Attention queries and values, as in the paper"),
    "all": N_("All seven projections: learns more"),
}
_ROWS_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form asks for."""

    plan: TunePlan
    examples: Examples


def form(*, disabled: bool) -> Asked | None:
    """Draw the form; what it asks for, or None while that cannot be trained.

    Args:
        disabled: A training runs: nothing is to be changed.
    """
    base = _base(disabled)
    solved = _solved(disabled)
    try:
        there = _experiments(base)
    except StoreError as e:
        st.error(literal(str(e), 800), icon=":material/database_off:")
        return None
    experiment = _experiment(there, disabled)
    found = None if experiment is None else _examples(base, solved, experiment)
    if found is None:
        return None
    _what_there_is(found)
    with st.expander(t("Which of them"), icon=":material/dataset:"):
        _which(there, disabled)
    with st.expander(t("How it is trained"), icon=":material/tune:"):
        settings = _settings(base, disabled)
    name = _name(disabled)
    try:
        plan = replace(settings, name=name)
        plan.validate()
        plan.require(found)
    except InputError as e:
        if found.train:
            st.info(literal(str(e), 800), icon=":material/rule:")
        return None
    return Asked(plan, found)


def _base(disabled: bool) -> str:
    names = [m.name for m in embedded_models()]
    if st.session_state.get("tune_base") not in names:
        current = state.current_choice()
        st.session_state["tune_base"] = current.base if current.base in names else names[0]
    st.selectbox(
        t("Model"), names, key="tune_base", persist_state="session", disabled=disabled,
        format_func=lambda name: embedded_model(name).title,
        help=t("An adapter is trained on one model and works with it alone."),
    )  # fmt: skip
    return str(st.session_state["tune_base"])


def _solved(disabled: bool) -> Chosen | None:
    """The data set whose solutions are to be learnt; None for the model's own answers."""
    st.radio(
        t("Learn from"), list(LEARNT), key="tune_from", format_func=lambda n: t(LEARNT[n]), horizontal=True,
        persist_state="session", disabled=disabled,
        help=t(
            "Its own answers teach it nothing new, they only make it brief. Worked solutions show other ways too: they "
            "stand in a data set's answers, before ####, as in GSM8K."
        ),
    )  # fmt: skip
    if st.session_state["tune_from"] != "solutions":
        return None
    if "tune_from_dataset" not in st.session_state:
        sets = local_sets()
        st.session_state["tune_from_dataset"] = next((name for name in WITH_SOLUTIONS if name in sets), "shipped")
    st.session_state.setdefault("tune_from_limit", 200)
    st.session_state.setdefault("tune_from_offset", 0)
    return data_box("tune_from", disabled=disabled)


def _experiment(there: Mapping[str, str], disabled: bool) -> str | None:
    """The experiment whose answers are to be learnt; "" for another source, None while there is none."""
    if st.session_state["tune_from"] != "experiment":
        return ""
    if not there:
        st.info(t("The model has answered no experiment yet. `tune sample` makes one."), icon=":material/rule:")
        return None
    if st.session_state.get("tune_experiment") not in there:
        st.session_state["tune_experiment"] = next(iter(there))
    return st.selectbox(
        t("Experiment"), list(there), key="tune_experiment", format_func=there.__getitem__, persist_state="session",
        disabled=disabled,
        help=t("With several samples a question, by a brief strategy. Vanilla and direct answers are not learnt."),
    )  # fmt: skip


def _experiments(base: str) -> dict[str, str]:
    """The experiments of the model by id, each in a few words, the newest first.

    Raises:
        StoreError: The store cannot be read.
    """
    found = [s for s in state.store().list_sessions(limit=LEARN_FROM, kind="experiment") if s.model == base]
    titles = {s.id: " ".join(experiment_title(s.question_text).split())[:60] for s in found}
    return {s.id: f"{titles[s.id]} · {t('{when:%d %b %H:%M}', when=s.created_at.astimezone())}" for s in found}


def _examples(base: str, solved: Chosen | None, experiment: str) -> Examples | None:
    selection = Selection(
        per_question=int(st.session_state.setdefault("tune_per_question", 1)),
        least_tokens=int(st.session_state.setdefault("tune_least", 1)),
        held_out=int(st.session_state.setdefault("tune_held_out", 15)) / 100,
        sessions=tuple(st.session_state.get("tune_sessions") or ()),
    )
    if solved and solved.loaded is None:
        st.info(literal(solved.why, 800), icon=":material/rule:")
        return None
    parent, writes = _key_of(str(st.session_state.get("tune_parent") or ""))
    try:
        if solved and solved.loaded:
            return examples_from_solutions(
                [solved.loaded], state.store(), model=base, selection=selection, parent=parent
            )
        return _read(state.store().where, base, selection, parent, writes, experiment)
    except InputError as e:
        st.info(literal(str(e), 800), icon=":material/rule:")
        return None
    except StoreError as e:
        st.error(literal(str(e), 800), icon=":material/database_off:")
        return None


@st.cache_data(ttl=20, max_entries=8, show_spinner=False)
def _read(where: str, base: str, selection: Selection, parent: str, writes: Writes, experiment: str) -> Examples:
    if experiment:
        return examples_from_sampling(state.store(), experiment, selection).examples
    return examples_from_store(state.store(), model=base, selection=selection, parent=parent, writes=writes)


def _key_of(parent: str) -> tuple[str, Writes]:
    """Its key, and what it writes."""
    try:
        return (one.key, one.about.writes) if parent and (one := adapters.find(parent)) else ("", "words")
    except TaleError:
        return "", "words"


def _what_there_is(found: Examples) -> None:
    kept = literal(words.aside(found), 200) if found.questions else ""
    st.markdown(f"**{literal(words.what_there_is(found), 400)}** {kept}")
    if found.marked:
        st.markdown(f":material/flag: {literal(words.marked(found), 300)}")
    if not found.train:
        _how_to_get_some()
        return
    st.plotly_chart(
        figures.token_histogram(found), theme=None, config={"displayModeBar": False}, key="tune_histogram",
        alt=words.tokens_title(found),
    )  # fmt: skip
    with st.expander(t("The examples"), icon=":material/table_rows:"):
        st.dataframe(
            [
                {
                    t("Question"): e.question.text,
                    t("Answer to learn"): e.target,
                    t("Tokens"): e.target_tokens,
                    t("Vanilla"): e.vanilla.tokens if e.vanilla else None,
                    t("Prompt template"): t("marked sentence") if e.template == MARKED else e.template,
                }
                for e in found.train[:_ROWS_SHOWN]
            ],
            hide_index=True,
        )
        if (more := len(found.train) - _ROWS_SHOWN) > 0:
            st.caption(t("And {more:,} more.", more=more))
        if rows := words.passed_over(found):
            st.caption(t("Questions that gave no example:"))
            st.table({why: f"{count:,}" for why, count in rows}, border="horizontal", hide_header=True)


def _how_to_get_some() -> None:
    st.markdown(
        t(
            "It learns from **its own short right answers**: those that searches and experiments with budgets have "
            "found. Search some questions, or run an experiment with several budgets, and come back. Or let it learn "
            "the worked solutions of a data set."
        )
    )
    with st.container(horizontal=True):
        st.page_link("pages/Search.py", label=t("Search"), icon=":material/search:", width="content")
        st.page_link("pages/Experiments.py", label=t("Experiments"), icon=":material/science:", width="content")


def _which(there: Mapping[str, str], disabled: bool) -> None:
    st.session_state["tune_sessions"] = [i for i in st.session_state.get("tune_sessions") or () if i in there]
    if st.session_state["tune_from"] != "experiment":
        st.multiselect(
            t("Answers of"), list(there), key="tune_sessions", format_func=there.__getitem__, persist_state="session",
            disabled=disabled, placeholder=t("all searches and experiments"),
            help=t("Leave the experiments out that you want to compare on later."),
        )  # fmt: skip
    left, middle, right = st.columns(3)
    with left:
        st.slider(
            t("Kept aside"), 0, 50, key="tune_held_out", format="%d %%", persist_state="session", disabled=disabled,
            help=t("This share of the questions is never trained on: the comparison afterwards is made with it."),
        )  # fmt: skip
    with middle:
        st.number_input(
            t("Answers of one question"), 1, 20, step=1, key="tune_per_question", persist_state="session",
            disabled=disabled, help=t("The shortest right ones. Several teach that there is more than one way."),
        )  # fmt: skip
    with right:
        st.number_input(
            t("At least so many tokens"), 1, 2_000, step=5, key="tune_least", persist_state="session",
            disabled=disabled,
            help=t("Shorter answers are passed over: a model that jumps to the result was right by luck."),
        )  # fmt: skip


def _settings(base: str, disabled: bool) -> TunePlan:
    methods: tuple[Method, ...] = ("sft", "dpo")
    method: Method = st.radio(
        t("Method"), methods, key="tune_method", format_func=lambda m: t(words.METHODS[m]), horizontal=True,
        persist_state="session", disabled=disabled,
    ) or "sft"  # fmt: skip
    parent = _parent(base, disabled)
    start = paper_settings(method)
    if st.session_state.get("tune_defaults_of") != method:  # Each method has the paper's numbers of its own.
        st.session_state.update({
            "tune_defaults_of": method, "tune_epochs": start.epochs, "tune_rate": start.learning_rate,
        })  # fmt: skip
    left, middle, right, last = st.columns(4)
    with left:
        st.number_input(
            t("Epochs"), 1, 100, step=1, key="tune_epochs", persist_state="session", disabled=disabled,
            help=t("Times that it sees each example."),
        )  # fmt: skip
    with middle:
        st.number_input(
            t("Learning rate"), 1e-7, 1e-1, step=1e-5, format="%.1e", key="tune_rate", persist_state="session",
            disabled=disabled, help=t("How far each step goes. Too high destroys a small model, DPO above all."),
        )  # fmt: skip
    with right:
        st.session_state.setdefault("tune_batch", 16)
        st.number_input(
            t("Examples a step"), 1, 1024, step=1, key="tune_batch", persist_state="session", disabled=disabled,
        )  # fmt: skip
    with last:
        st.session_state.setdefault("tune_seed", 1024)
        st.number_input(
            t("Seed"), 0, 2**31 - 1, step=1, key="tune_seed", persist_state="session", disabled=disabled,
            help=t("The same seed and examples give the same adapter on the same machine."),
        )  # fmt: skip
    targets = st.radio(
        t("What is changed"), list(TARGETS), key="tune_targets", format_func=lambda n: t(TARGETS[n]), horizontal=True,
        persist_state="session", disabled=disabled or bool(parent),
    )  # fmt: skip
    now = st.session_state
    settings = replace(
        start, epochs=int(now["tune_epochs"]), learning_rate=float(now["tune_rate"]), batch=int(now["tune_batch"]),
        seed=int(now["tune_seed"]), targets=PROJECTIONS if targets == "all" else start.targets,
    )  # fmt: skip
    if parent:
        settings = replace(settings, **_of_parent(parent))
    st.caption(t("The defaults are the paper's: LoRA with rank 8 and alpha 32, the loss on the answer alone."))
    return TunePlan(name="x", base=base, method=method, parent=parent, settings=settings)


def _parent(base: str, disabled: bool) -> str:
    there = ["", *(a.name for a in adapters.of_base(base) if a.peft.is_dir())]
    if st.session_state.get("tune_parent") not in there:
        st.session_state["tune_parent"] = ""
    if len(there) == 1:
        return ""
    return str(
        st.selectbox(
            t("Go on from"), there, key="tune_parent", format_func=lambda n: n or t("the model as it is"),
            persist_state="session", disabled=disabled, help=t("DPO after SFT is the usual order."),
        )
    )  # fmt: skip


def _of_parent(name: str) -> dict[str, Any]:
    """What a training that goes on has to keep."""
    try:
        settings = adapters.find(name).about.settings
        return {"rank": int(settings["rank"]), "alpha": int(settings["alpha"]), "targets": tuple(settings["targets"])}
    except (TaleError, KeyError, TypeError, ValueError):
        return {}


def _name(disabled: bool) -> str:
    if "tune_name" not in st.session_state:
        st.session_state["tune_name"] = _free_name()
    st.text_input(
        t("Name of the adapter"), key="tune_name", persist_state="session", disabled=disabled, max_chars=40, width=320,
    )  # fmt: skip
    return str(st.session_state["tune_name"]).strip()


def _free_name() -> str:
    taken = {a.name for a in adapters.listing().adapters}
    return next(name for i in range(1, 10_000) if (name := f"brief-{i}") not in taken)
