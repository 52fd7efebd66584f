"""The labeling queue: one answer at a time, and a key for everything that can be said about it.

Each button is made anew for the answer that it is about, so a press always means what was in front of the person who
pressed. Nothing about the place in the queue is remembered here: the store knows it. Only this part of the page is
drawn again after a press.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import streamlit as st

from tale_core.errors import InputError, StoreError
from tale_core.i18n import N_, listed, t, tn
from tale_core.labels import Labeling
from tale_core.labels.marks import markable_target
from tale_core.labels.text import moved_words
from tale_core.store import LabelTarget, Moved, QueueCounts, QueueFilter, Verdict
from tale_core.types import Question
from ui.common import question_form
from ui.common.focus import focus
from ui.common.nav import SEARCH
from ui.common.text import literal
from ui.label import answer as label_answer
from ui.label import filters as label_filters
from ui.label import mark as label_mark

KEYS = {
    "right": ("Y", N_("Right"), ":material/check:"),
    "wrong": ("N", N_("Wrong"), ":material/close:"),
    "unsure": ("U", N_("Unsure"), ":material/help:"),
    "gold": ("G", N_("Known answer"), ":material/edit:"),
    "mark": ("M", N_("Mark"), ":material/flag:"),
    "skip": ("S", N_("Skip"), ":material/skip_next:"),
    "undo": ("Z", N_("Undo"), ":material/undo:"),
    "show": ("B", N_("Reveal"), ":material/visibility:"),
}
"""Key, word and icon of everything that can be done."""
MEANINGS = {
    "right": N_("The answer is right. This beats the grader."),
    "wrong": N_("The answer is wrong. This beats the grader."),
    "unsure": N_("Nobody could tell from this. The grader's outcome stays, and somebody else may be asked."),
    "gold": N_("Type the question's known answer. All its stored answers are graded against it."),
    "mark": N_("Mark the sentence at which the answer is settled. It becomes an example for fine-tuning."),
    "skip": N_("Not now. It comes again when everything else is done."),
    "undo": N_("Take back your last step, and the one before it, back to the first, also after a refresh."),
    "show": N_("Strategy, model, budget and the grader's outcome are hidden, so that they cannot sway you."),
}

REFUSED = N_("“{key}” came while the next answer was loading: it was not counted. Press it again.")
_guard = st.components.v2.component("tale_label_keys", js=Path(__file__).with_name("keys.js").read_text("utf-8"))


def draw(labeling: Labeling, who: str) -> None:
    """Draw the queue, with its filters folded below it."""
    disputes = labeling.queue.counts(who, QueueFilter(kind="settle")).total
    kind = label_filters.kind_box(disputes)
    _guard(
        data={"keys": {key: name for name, (key, _, _) in KEYS.items()}, "refused": t(REFUSED)},
        key="label_guard",
        height=24,
    )
    work, wanted = st.container(), QueueFilter(kind=kind)
    if kind != "settle":
        with st.expander(t("What is in the queue"), icon=":material/filter_alt:"):
            wanted = label_filters.boxes(labeling, kind)
            _why_short(labeling, who, wanted)
            if kind == "answers":
                st.toggle(
                    t("One key for all answers read alike"), key="label_bulk", persist_state="session",
                    help=t("Right and wrong then hold for every stored answer to this question from which the grader "
                           "reads the same. One undo takes all of them back."),
                )  # fmt: skip
    with st.expander(t("Keys"), icon=":material/keyboard:"):
        _key_map()
    with work:
        _at_work(labeling, who, wanted)


def _why_short(labeling: Labeling, who: str, wanted: QueueFilter) -> None:
    """How many stored answers the filters leave out."""
    if wanted.kind != "answers":
        return
    there = labeling.queue.counts(who, QueueFilter(which="all", overlap=0)).total
    if (kept := labeling.queue.counts(who, wanted).total) < there:
        st.caption(t("{n:,} of {all:,} stored answers: the boxes above, and what others have done, leave out the rest.",
                     n=kept, all=there))  # fmt: skip


@st.fragment
def _at_work(labeling: Labeling, who: str, wanted: QueueFilter) -> None:
    try:
        target, counts = labeling.next(who, wanted), labeling.queue.counts(who, wanted)
    except StoreError as e:
        st.error(literal(str(e), 800), icon=":material/database_off:")
        return
    _progress(counts, wanted)
    editing = target is not None and st.session_state.get("label_edit") == target.key
    marking = target is not None and st.session_state.get("label_marking") == target.key
    if target is not None and editing:
        _gold_form(labeling, who, target)
    elif target is not None and marking:
        label_mark.form(labeling, who, target, _marked)
    else:
        _buttons(labeling, who, target, counts)
    _last()
    if target is None:
        _end(counts, wanted)
    else:
        if _bulk(target):
            n = len(labeling.queue.alike(who, target))
            st.caption(tn("Y and N hold for {n} answer read alike.", "Y and N hold for all {n} answers read alike.", n))
        if not marking:
            label_mark.own(labeling, who, target)
        label_answer.draw(labeling, target, open_=bool(st.session_state.get("label_open")))
        if editing:
            focus(_typed_key(target))  # Last: it takes a line of its own.


def _progress(counts: QueueCounts, wanted: QueueFilter) -> None:
    if wanted.kind == "settle":
        st.caption(tn("{n} disagreement to settle", "{n} disagreements to settle", counts.left))
        return
    done = counts.total - counts.left
    share = done / counts.total if counts.total else 0.0
    words = t("{done:,} of {total:,} done, {left:,} left", done=done, total=counts.total, left=counts.left)
    if counts.skipped:
        words += " · " + tn("{n} of them skipped", "{n} of them skipped", counts.skipped)
    st.progress(share, text=words)


def _buttons(labeling: Labeling, who: str, target: LabelTarget | None, counts: QueueCounts) -> None:
    verdicts: tuple[str, ...] = ("right", "wrong", "unsure")
    if target is not None and target.of_mark:
        verdicts = ()
    elif target is not None and target.call is None:
        verdicts = () if target.kind == "settle" else ("unsure",)  # A question is neither right nor wrong.
    with st.container(horizontal=True, gap="xsmall", key="label_keys"):
        if target is not None:
            for name in verdicts:
                _button(name, target.key, _judge, (labeling, who, target, name), primary=name == "right")
            if not target.of_mark:
                _button("gold", target.key, _edit, (target,))
            if markable_target(target) is not None:
                _button("mark", target.key, _begin_mark, (target,))
            _button("skip", target.key, _skip, (labeling, who, target))
        _button(
            "undo", str(counts.last), _undo, (labeling, who, counts.last), disabled=not counts.undoable,
            words=t("Undo ({n})", n=counts.undoable) if counts.undoable else None,
        )  # fmt: skip
        if target is not None and target.call is not None:
            open_ = bool(st.session_state.get("label_open"))
            _button("show", str(open_), _show, (not open_,), words=t("Hide") if open_ else None)
    if target is not None and target.kind == "settle" and (target.call is None or target.of_mark):
        _proposals(labeling, who, target)


def _button(
    name: str, of: str, done: Callable[..., None], args: tuple[object, ...],
    *, primary: bool = False, disabled: bool = False, words: str | None = None,
) -> None:  # fmt: skip
    key, word, icon = KEYS[name]
    st.button(
        words or t(word), key=f"label_{name}_{of}", icon=icon, shortcut=key, on_click=done, args=args,
        type="primary" if primary else "secondary", disabled=disabled, help=None,
    )  # fmt: skip


def _proposals(labeling: Labeling, who: str, target: LabelTarget) -> None:
    """What people said, known answers or sentences, each a button with a number for its key."""
    with st.container(horizontal=True):
        for i, value in enumerate(sorted({said.value for said in target.labels})[:9], start=1):
            names = listed(said.name or "" for said in target.labels if said.value == value)
            words = t("Sentence {n}", n=value) if target.of_mark else value
            st.button(
                literal(f"{words} ({names})", 80), key=f"label_take_{target.key}_{i}", shortcut=str(i),
                on_click=_take, args=(labeling, who, target, value),
            )  # fmt: skip


def _noted(of: str, work: Callable[[], Moved], word: str, question: Question | None = None) -> bool:
    """Do something and remember, for this browser session, what it moved; a failure is told and loses nothing.

    Streamlit may deliver one press twice (when it draws the page again in that very moment): done once, told once.

    Args:
        of: Names the deed and what it is about.
        work: Does it; does nothing when it was done before.
        word: The deed in a word.
        question: What can be searched now.
    """
    try:
        moved = work()
    except (InputError, StoreError) as e:
        st.session_state["label_last"] = (None, str(e), None)
        return False
    if not moved.events and st.session_state.get("label_last_of") == of:
        return True
    words = moved_words(moved) if moved.events else t("That was done already, in another tab perhaps.")
    st.session_state["label_last"], st.session_state["label_last_of"] = (word, words, question), of
    return True


def _take(labeling: Labeling, who: str, target: LabelTarget, value: str) -> None:
    if target.of_mark:
        _marked(labeling, who, target, int(value))
    else:
        _give(labeling, who, target, value)


def _marked(labeling: Labeling, who: str, target: LabelTarget, sentence: int) -> None:
    answer = markable_target(target)
    if answer is not None:
        of = f"mark:{target.key}:{sentence}"
        _noted(of, lambda: labeling.mark(who, answer, sentence), t("Sentence {n}", n=sentence))
    st.session_state.pop("label_marking", None)


def _begin_mark(target: LabelTarget) -> None:
    st.session_state["label_marking"] = target.key


def _bulk(target: LabelTarget) -> bool:
    """What is said of this answer is said of all that are read alike."""
    return bool(st.session_state.get("label_bulk")) and target.kind == "answers" and target.extracted is not None


def _judge(labeling: Labeling, who: str, target: LabelTarget, verdict: Verdict) -> None:
    judge = labeling.judge_alike if _bulk(target) and verdict != "unsure" else labeling.judge
    known = target.question if target.question.answer and verdict != "unsure" else None
    _noted(f"{verdict}:{target.key}", lambda: judge(who, target, verdict), t(KEYS[verdict][1]), known)


def _give(labeling: Labeling, who: str, target: LabelTarget, answer: str) -> bool:
    known = replace(target.question, answer=answer.strip())
    give = partial(labeling.give_answer, who, target, answer)
    return _noted(f"gold:{target.key}:{answer}", give, t("Known answer"), known)


def _skip(labeling: Labeling, who: str, target: LabelTarget) -> None:
    _noted(f"skip:{target.key}:{target.skipped}", lambda: labeling.skip(who, target), t("Skipped"))


def _undo(labeling: Labeling, who: str, event: int) -> None:
    _noted(f"undo:{event}", lambda: labeling.undo(who, event=event), t("Taken back"))


def _edit(target: LabelTarget) -> None:
    st.session_state["label_edit"] = target.key


def _show(open_: bool) -> None:
    st.session_state["label_open"] = open_


def _last() -> None:
    """What the last step moved, in a place of its own, and the way to a search of its question."""
    word, words, question = st.session_state.get("label_last", ("", "", None))
    with st.container(horizontal=True, vertical_alignment="center", height=64, border=False, key="label_last_place"):
        if word is None:
            st.markdown(f":red[:material/error: {literal(words, 600)}]", width="stretch")
            return
        st.caption(
            t("**{deed}.** {effect}", deed=literal(word), effect=literal(words, 600)) if word else "&nbsp;",
            width="stretch",
        )
        if question is not None:
            search_button(question, key="label_search_last")


def search_button(question: Question, *, key: str) -> None:
    """Open Search, filled in with a question and its known answer."""
    if st.button(t("Search its budget"), key=key, icon=SEARCH[2], type="tertiary"):
        question_form.put(question)
        st.session_state.pop("loaded", None)
        st.switch_page(SEARCH[0])


def _gold_form(labeling: Labeling, who: str, target: LabelTarget) -> None:
    """The box for a known answer, in the place of the keys: while one types, no key means anything else."""
    form, cancel = st.columns([6, 1], vertical_alignment="center")
    with form, st.form("label_gold", border=False):
        box, save = st.columns([3, 2], vertical_alignment="bottom")
        with box:
            st.text_input(
                t("Known answer"), value=target.question.answer or "", key=_typed_key(target), autocomplete="off",
                placeholder=t("Known answer: short and final"), label_visibility="collapsed",
            )  # fmt: skip
        with save:
            st.form_submit_button(
                t("Save and grade all its answers"), type="primary", icon=":material/save:", width="stretch",
                on_click=_save, args=(labeling, who, target),
            )  # fmt: skip
    with cancel:
        st.button(
            t("Cancel"), key=f"label_cancel_{target.key}", shortcut="Escape", type="tertiary", on_click=_stop_editing
        )


def _save(labeling: Labeling, who: str, target: LabelTarget) -> None:
    typed = str(st.session_state.get(_typed_key(target)) or "").strip()
    if not typed:
        st.session_state["label_last"] = (None, t("Type an answer first, or cancel."), None)
    elif _give(labeling, who, target, typed):
        _stop_editing()


def _typed_key(target: LabelTarget) -> str:
    return f"label_typed_{target.key}"


def _stop_editing() -> None:
    st.session_state.pop("label_edit", None)


def _end(counts: QueueCounts, wanted: QueueFilter) -> None:
    if wanted.kind == "settle":
        st.info(t("Nobody disagrees about anything that is not settled."), icon=":material/check_circle:")
    elif not counts.total:
        st.info(
            t(
                "No stored answer is in this queue. Ask, search or run an experiment first, or choose other answers "
                "under “What is in the queue”."
            ),
            icon=":material/inbox:",
        )
    else:
        st.info(t("Everything in this queue is labelled, or others are at it."), icon=":material/check_circle:")


def _key_map() -> None:
    rows = {
        t("Key"): [f"`{key}`" for key, _, _ in KEYS.values()],
        t("What it does"): [f"**{t(word)}** {t(MEANINGS[name])}" for name, (_, word, _) in KEYS.items()],
    }
    st.table(rows, border="horizontal", alt=t("The keys of this page"))
    st.caption(t("In the box for a known answer, Enter saves and Escape closes it."))
