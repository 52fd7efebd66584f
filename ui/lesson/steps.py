"""The guided lesson: one step a screen, large enough for a projector, next and back by the arrow keys."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from tale_core.calls.comparison import guess_score
from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.lessons import lesson
from tale_core.lessons.lesson import STEPS, LessonRecordings
from tale_core.lessons.recorded import Recording
from ui.common.text import literal
from ui.lesson import player as lesson_player

Go = Callable[..., None]


def draw(at: int, go: Go) -> None:
    """One step.

    Args:
        at: Which, from 0.
        go: Shows another address.
    """
    step = STEPS[at]
    _navigation(at, go)
    st.title(t(step.title), anchor=False)
    st.markdown(t(step.say))
    try:
        found = lesson.lesson_recordings()
    except InputError as e:
        st.error(literal(str(e), 800), icon=":material/error:")
        return
    {
        "cost": _cost,
        "guess": _guess,
        "budget": _budget,
        "too-small": _too_small,
        "search": _search,
        "meaning": _meaning,
    }[step.id](found)
    heading(f":material/forum: {t(step.talk)}")
    if step.id == "meaning":
        _discussion()


def _navigation(at: int, go: Go) -> None:
    """Always at the same place, so that nobody has to look for it."""
    last = at == len(STEPS) - 1
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.button(
            t("Back"), key="step_back", shortcut="Left", on_click=go, kwargs={"step": STEPS[at - 1].id} if at else {}
        )
        st.markdown(t("Step {n} of {all}", n=at + 1, all=len(STEPS)), width="content")
        st.button(
            t("To the start") if last else t("Next"), key="step_next", shortcut="Right", on_click=go,
            type="secondary" if last else "primary", kwargs={} if last else {"step": STEPS[at + 1].id},
        )  # fmt: skip


def heading(words: str, level: int = 4) -> None:
    """A heading without an anchor.

    Args:
        words: Markdown, safe.
        level: 1 is the largest.
    """
    st.markdown(f"{'#' * level} {words}", anchors=False)


def question(recording: Recording) -> None:
    """The question as it was asked, as large as the screen allows."""
    st.markdown(f"### {literal(recording.session.question.text, 600)}", anchors=False)


def _cost(found: LessonRecordings) -> None:
    question(found.ask)
    lesson_player.mark(found.ask)
    lesson_player.show(found.ask, roles=("vanilla",))


def _guess(found: LessonRecordings) -> None:
    recording = found.ask
    question(recording)
    added(recording)
    vanilla = lesson.answer_of(recording, "vanilla").completion_tokens or 0
    st.markdown(t("Without the sentence it wrote **{n}** tokens.", n=f"{vanilla:,}"))
    lesson_player.mark(recording)
    key, revealed = f"guess_{recording.name}", f"revealed_{recording.name}"
    if revealed not in st.session_state:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.number_input(t("Your guess: tokens"), 1, 100_000, None, key=key, width=220)
            st.button(
                t("Reveal"), key="lesson_reveal", type="primary", icon=":material/visibility:", on_click=_reveal,
                args=(key, revealed),
            )  # fmt: skip
        st.caption(t("With a room, everybody guesses on their own screen and the class sees its histogram."))
        return
    guess, actual = st.session_state[revealed], lesson.guessed_tokens(recording)
    st.title(t("It wrote {n} tokens.", n=f"{actual:,}"), anchor=False)
    if guess:
        message = t("You guessed {n}: {score} of 100.", n=f"{guess:,}", score=guess_score(int(guess), actual))
        st.markdown(f"### {message}", anchors=False)


def _reveal(key: str, revealed: str) -> None:
    """Keep the guess: its box goes."""
    st.session_state[revealed] = st.session_state.get(key)


def added(recording: Recording) -> None:
    """The words that the second prompt adds for the budget, as the model read them."""
    st.markdown(t("Added to the prompt: **{words}**", words=literal(lesson.added_words(recording), 200)))


def _budget(found: LessonRecordings) -> None:
    question(found.ask)
    lesson_player.mark(found.ask)
    lesson_player.show(found.ask)


def _too_small(found: LessonRecordings) -> None:
    heading(literal(lesson.too_small_words(found.sweep), 600), 3)
    st.markdown(literal(lesson.rebound_words(found.sweep), 600))
    lesson_player.mark(found.sweep)
    lesson_player.show(found.sweep, ended=True, brief=True)
    st.caption(literal(found.sweep.reason, 700))


def _search(found: LessonRecordings) -> None:
    lesson_player.mark(found.search)
    lesson_player.probe_by_probe(found.search)


def _meaning(found: LessonRecordings) -> None:
    lines = lesson.summary(found)
    st.table(
        {
            "": [literal(line.what, 80) for line in lines],
            t("Output tokens"): [line.output_tokens for line in lines],
            t("All-in tokens"): [line.all_in_tokens for line in lines],
            t("Outcome"): [line.outcome for line in lines],
        },
        border="horizontal", alt=t("What the lesson's recordings measured"),
    )  # fmt: skip
    with st.container(horizontal=True):
        for made in {lesson.mark(recording): recording for recording in found}.values():
            lesson_player.mark(made)
    st.markdown(
        t(
            "**Output tokens** are what the model wrote. **All-in tokens** add the prompt that it read, which is paid "
            "for as well. **Right** compares with the known answer; an answer that was cut off is called cut off."
        )
    )


def _discussion() -> None:
    heading(t("To talk about"))
    st.markdown("\n".join(f"{n}. {t(question)}" for n, question in enumerate(lesson.DISCUSSION, start=1)))
