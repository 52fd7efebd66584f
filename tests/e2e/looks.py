"""What every state of every page is looked at for: nothing wider than the screen, nothing that shuts people out.

Charts must have words and a table, controls be reached by Tab. The other rules of accessibility are axe-core's: a state
fails for a violation that axe calls serious or critical. The finding names the rule, the element and the reason; the
picture of the state lies in `shots/`.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe

from tests.e2e.app_process import Viewer, until

SHOTS = Path(__file__).with_name("shots")
SIZES = {"desk": (1440, 900), "phone": (390, 844)}
TALL = {"desk": 1300, "phone": 1900}
"""The pages scroll inside of the window: for a picture of the whole page the window grows."""
LOOKS = [("desk", "light"), ("phone", "dark")]
"""Every size and every colour scheme once: width does not depend on colours, nor contrast on width."""

_OVERFLOWING = """
() => [...document.querySelectorAll("[data-testid=stMain], [data-testid=stMainBlockContainer]")]
    .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => `${e.dataset.testid} ${e.scrollWidth} > ${e.clientWidth}`)
"""
_SIZE = "[document.scrollingElement.scrollWidth, innerWidth]"
# A box or table that scrolls is reached by Tab in Chromium and Firefox without any mark-up, which is all that this rule
# reads; `unreached` sees for itself that it is.
_AXE = {"resultTypes": ["violations"], "rules": {"scrollable-region-focusable": {"enabled": False}}}
# Streamlit fades the hint of a button's key ("Ctrl + Enter") to 60 %, and no theme can change that.
_CONTEXT = {"exclude": [["button kbd"]]}
_CONTROLS = """
() => {
    const shown = e => e.checkVisibility({opacityProperty: true, visibilityProperty: true})
        && e.getBoundingClientRect().width > 1
        && !e.closest("[inert], [aria-hidden=true], :disabled, [aria-disabled=true]");
    const over = (style, inner, outer) => ["auto", "scroll"].includes(style) && inner > outer + 1;
    const scrolls = e => over(getComputedStyle(e).overflowX, e.scrollWidth, e.clientWidth)
        || over(getComputedStyle(e).overflowY, e.scrollHeight, e.clientHeight);
    const named = "button, a[href], input, textarea, select, summary, [tabindex='0'], [role=button], [role=combobox]";
    const boxes = [...document.querySelectorAll(".stTable div, [data-testid=stVerticalBlock]")].filter(scrolls);
    window.__controls = [...document.querySelectorAll(named), ...boxes].filter(shown);
    window.__reached = new Set();
    document.activeElement?.blur();
    return window.__controls.length;
}
"""
_STEP = """
() => {
    const e = document.activeElement;
    const again = window.__reached.has(e);
    window.__reached.add(e);
    return again && e !== document.body;  // From the page's end the focus goes on at its beginning.
}
"""
# Of a group that arrow keys move in, one member is enough; of what stands inside of a reached control, the control.
_LEFT = """
() => {
    const grouped = ["radiogroup", "tablist", "toolbar", "grid", "listbox"].map(r => `[role=${r}]`).join(", ");
    const reached = [...window.__reached].filter(e => e && e !== document.body);
    const near = e => reached.some(r => r === e || r.contains(e) || e.contains(r)
        || (e.closest(grouped) && e.closest(grouped) === r.closest(grouped)));
    return window.__controls.filter(e => e.isConnected && !near(e))
        .map(e => `${e.tagName} ${e.getAttribute("aria-label") || e.innerText || e.className}`.slice(0, 120));
}
"""
# A chart that still waits for its first point has nothing to put into a table.
_CHARTS = """
() => {
    const charts = [...document.querySelectorAll("[data-testid=stPlotlyChart]")].filter(e => e.checkVisibility());
    const mute = charts.filter(e => e.getAttribute("role") !== "figure" || !e.getAttribute("aria-label"));
    const table = document.querySelector(".stTable table, [data-testid=stDataFrame]");
    const points = e => (e.querySelector(".js-plotly-plot")?._fullData ?? []).flatMap(d => Array.from(d.x ?? []));
    const told = charts.filter(e => points(e).some(x => x != null));
    return [...mute.map(() => "a chart without words"), ...(told.length && !table ? ["charts without a table"] : [])];
}
"""


class Looks:
    """One person's screen, whose states are looked at one after the other.

    Args:
        viewer: Whose page it is.
        size: A key of SIZES; the viewer's window has that size.
        scheme: "light" or "dark"; only names the picture.
        area: Begins the pictures' names.
    """

    def __init__(self, viewer: Viewer, size: str, scheme: str, area: str = "") -> None:
        self._viewer, self._size, self._scheme, self._area = viewer, size, scheme, area
        self._findings: list[str] = []

    def __call__(self, state: str, *, open_box: bool = False) -> None:
        """Look at the page as it stands and take its picture; `check` tells what was found.

        Args:
            state: Names the picture.
            open_box: A box lies over the page, and the focus stays inside of it, as it should.
        """
        page, (width, height) = self._viewer.page, SIZES[self._size]
        with contextlib.suppress(AssertionError):  # A page draws its tables last.
            until(lambda: not page.evaluate(_CHARTS), "every chart to have its table", seconds=10)
        inner = page.evaluate(_SIZE)
        if inner[0] > inner[1]:
            self._findings.append(f"{state}: {inner[0]} px wide on a screen of {inner[1]}")
        self._findings += [f"{state}: {wide}" for wide in page.evaluate(_OVERFLOWING)]
        self._findings += [f"{state}: {mute}" for mute in page.evaluate(_CHARTS)]
        page.set_viewport_size({"width": width, "height": TALL[self._size]})
        page.wait_for_timeout(300)  # Let transitions end: half a colour is no contrast.
        page.screenshot(path=SHOTS / f"{self._size}-{self._scheme}-{self._area}{state}.png")
        self._findings += [f"{state}: {violation}" for violation in violations(self._viewer)]
        page.set_viewport_size({"width": width, "height": height})
        if self._size == "desk" and not open_box:
            self._findings += [f"{state}: no Tab reaches {control}" for control in unreached(self._viewer)]

    def check(self) -> None:
        """Nothing was found in any state, and the page complained of nothing."""
        assert self._findings == [], "\n".join(["", *self._findings])
        self._viewer.check()


def violations(viewer: Viewer) -> list[str]:
    """Serious and critical violations of axe-core's rules on the page as it stands, in words."""
    found: dict[str, Any] = Axe().run(viewer.page, context=_CONTEXT, options=_AXE).response
    return [
        f"{v['id']} ({v['impact']}): {node['target']} {node['html'][:160]} {node['failureSummary'][:300]}"
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
        for node in v["nodes"]
    ]


def unreached(viewer: Viewer) -> list[str]:
    """Controls and scrolling boxes that pressing Tab does not come to, in words. The focus goes round once."""
    page = viewer.page
    for _ in range(20 + 2 * int(page.evaluate(_CONTROLS))):
        page.keyboard.press("Tab")
        if page.evaluate(_STEP):
            break
    left: list[str] = page.evaluate(_LEFT)
    return left
