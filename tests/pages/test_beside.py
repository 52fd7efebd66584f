"""Every point of a search or sweep opens its answer beside the vanilla one; a rebound shows what was said besides."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from tale_core.charts import elasticity, search
from tale_core.lessons.recorded import bundled
from tale_core.lessons.replay import whole
from tests.pages.app_page import opened, store, words
from ui.ask.beside import marked, under_budgets


def shown(page: str, name: str) -> tuple[AppTest, str]:
    session = store().create_session(bundled()[name].session)
    return opened(f"pages/{page}.py", session=session.id), session.id


@pytest.mark.parametrize(("page", "name"), [("Search", "search-en"), ("Elasticity", "sweep-rebound")])
def test_a_chosen_answer_stands_beside_the_vanilla_one_with_both_prompts(page, name):
    at, session = shown(page, name)
    assert not at.exception and "The two prompts" not in words(at.main)
    at.selectbox(key=f"opened_{session}").select_index(1).run()
    view = whole(bundled()[name])
    call = under_budgets(view)[1].record
    assert not at.exception and "The two prompts, what differs marked" in words(at.main)
    assert f"budget {call.requested_budget}" in words(at.main) and f"{call.completion_tokens:,} output tokens" in words(
        at.main
    )


def test_a_rebound_offers_why_it_cost_more_and_a_sweep_without_one_does_not():
    assert "Why did it cost more?" in words(shown("Elasticity", "sweep-rebound")[0].main)
    assert "Why did it cost more?" not in words(shown("Elasticity", "sweep-zh")[0].main)


@pytest.mark.parametrize(
    ("text", "other", "expected"),
    [
        ("Add 3.5 to 4. So 7.5.", "So 7.5.", r":blue-background[Add 3\.5 to 4\.] So 7\.5\."),
        ("先算 2。再算 3。", "再算 3。", r":blue-background[先算 2。]再算 3。"),
        ("same", "Same!", "same"),
        ("", "x", ""),
    ],
)
def test_the_sentences_that_the_other_does_not_say_are_marked(text, other, expected):
    assert marked(text, other) == expected


def test_every_point_of_the_curve_names_its_budget_and_every_probe_its_column():
    view = whole(bundled()["sweep-rebound"])
    named = [trace.customdata for trace in elasticity.curve(view).data if trace.customdata is not None]
    assert [list(one) for one in named] == [sorted(view.plan.budgets)]
    steps = whole(bundled()["search-en"]).steps
    columns = {
        x
        for trace in search.search_chart(steps).data
        if trace.type == "scatter" and trace.mode == "markers"
        for x in trace.x
    }
    assert columns == {s.index for s in steps}
