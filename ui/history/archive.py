"""Sessions to another machine and from there: one file out, one file in, with a look before anything comes."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

import streamlit as st

from tale_core.history.filters import Filters
from tale_core.history.text import KINDS
from tale_core.i18n import N_, t, tn
from tale_core.runs.archive_jobs import ArchiveJob, ArchiveView, start_archive
from tale_core.settings import PROGRAM
from tale_core.store import Contents, History, export_archive
from ui.common import state
from ui.common.text import literal

UPLOAD_MB = 200
MOST = 20_000
"""Sessions that the page writes into a file; more take minutes, and the command line shows how far it is."""
POLL_S = 0.5
_JOB, _FILE = "hist_archive_job", "hist_archive_file"
EXISTING = {
    "skip": N_("Leave those here as they are"),
    "replace": N_("Replace those here by the archive's"),
}


def draw(asked: Filters, chosen: Mapping[str, str]) -> None:
    """Both ways, folded away until wanted or while something happens."""
    st.space("small")
    with st.expander(t("Export and import"), icon=":material/swap_horiz:", expanded=_JOB in st.session_state):
        left, right = st.columns(2, gap="large")
        with left:
            st.markdown(t("**Export**"))
            _export(asked, chosen)
        with right:
            st.markdown(t("**Import**"))
            _import()


def _export(asked: Filters, chosen: Mapping[str, str]) -> None:
    st.caption(t("One file with questions, answers, searches, sweeps and experiments. It holds no key."))
    total = state.store().count_sessions()
    choices = {"all": tn("Everything: {n:,} session", "Everything: {n:,} sessions", total)}
    if asked.many:
        choices["filter"] = t("What the filters leave")
    if chosen:
        choices["chosen"] = tn("The {n} chosen session", "The {n} chosen sessions", len(chosen))
    what = st.radio(
        t("What"), list(choices), key="hist_export_what", format_func=choices.__getitem__, index=len(choices) - 1,
        label_visibility="collapsed",
    )  # fmt: skip
    if not total:
        return
    if _many(what, asked, total):
        st.caption(t("That is much for a page: the command line writes it and shows how far it is."))
        st.code(f"{PROGRAM} export sessions.tale.zip", language=None)
        return
    st.download_button(
        t("Save as a file"), partial(written, what, asked, tuple(chosen)), mime="application/zip", on_click="ignore",
        file_name=f"tale-{datetime.now():%Y-%m-%d}.tale.zip", icon=":material/download:", key="hist_export",
    )  # fmt: skip


def _many(what: str | None, asked: Filters, total: int) -> bool:
    if what == "chosen" or total <= MOST:
        return False
    return what == "all" or len(History(state.store()).ids(asked.session_filter(), limit=MOST + 1)) > MOST


def written(what: str | None, asked: Filters, chosen: tuple[str, ...]) -> bytes:
    """The archive's bytes, made when they are asked for."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sessions.zip"
        wanted = asked.session_filter() if what == "filter" else None
        export_archive(state.store(), path, wanted=wanted, ids=chosen if what == "chosen" else None)
        return path.read_bytes()


def _import() -> None:
    st.caption(t("An archive from here or another machine. It is checked first; nothing comes before you say so."))
    file = st.file_uploader(
        t("Archive"), type=["zip"], key="hist_upload", max_upload_size=UPLOAD_MB, label_visibility="collapsed"
    )
    job: ArchiveJob | None = st.session_state.get(_JOB)
    if file is None and (job is None or not job.view().running):
        st.session_state.pop(_JOB, None)
        st.session_state.pop(_FILE, None)
        return
    if file is not None:
        data = file.getvalue()
        name = hashlib.sha256(data).hexdigest()
        if st.session_state.get(_FILE) != name and (job is None or not job.view().running):
            st.session_state[_FILE] = name
            st.session_state[_JOB] = job = start_archive(state.store(), file.name, data)
    if job is None:
        return
    view = job.view()
    if view.running:
        st.fragment(_follow, run_every=POLL_S)(job)
    elif view.step == "checked" and view.contents is not None and file is not None:
        _offer(view.contents, file.name, file.getvalue())
    else:
        _ended(view)


def _follow(job: ArchiveJob) -> None:
    """Say how far it is, until it has ended; leaving the page leaves it alone."""
    view = job.view()
    if not view.running:
        st.rerun()
    share = min(1.0, view.sessions / view.total) if view.total else 0.0
    words = {
        "waiting": t("Waiting for another archive…"),
        "checking": t("Checking: {n:,} of {total:,} sessions", n=view.sessions, total=view.total),
        "bringing": t("Importing: {n:,} of {total:,} sessions", n=view.sessions, total=view.total),
    }
    st.progress(share, text=words[view.step])
    st.button(t("Stop"), key="hist_archive_stop", icon=":material/stop_circle:", on_click=job.cancel)


def _offer(found: Contents, name: str, data: bytes) -> None:
    """What would come, and the button that brings it."""
    kinds = t(", ").join(f"{t(KINDS[kind])} {n:,}" for kind, n in found.sessions.items())  # type: ignore[index]
    said = tn("{n:,} session", "{n:,} sessions", found.total)
    st.markdown(t("**The archive is whole:** {sessions} ({kinds}).", sessions=said, kinds=kinds))
    if found.here:
        st.markdown(
            t("{new:,} are new. {here:,} are here already, {changed:,} of them changed later in the archive.",
              new=found.new, here=found.here, changed=found.changed)
        )  # fmt: skip
        st.radio(
            t("Sessions that are here already"), list(EXISTING), key="hist_existing",
            format_func=lambda x: t(EXISTING[x]),
        )  # fmt: skip
        if found.running:
            st.caption(tn("{n:,} of them is running here and stays as it is.",
                          "{n:,} of them are running here and stay as they are.", found.running))  # fmt: skip
    replace = st.session_state.get("hist_existing") == "replace" and bool(found.here)
    coming = found.new + (found.here - found.running if replace else 0)
    st.button(
        tn("Import {n:,} session", "Import {n:,} sessions", coming), key="hist_import", type="primary",
        icon=":material/upload:", disabled=not coming, on_click=_start, args=(name, data, replace),
    )  # fmt: skip
    if not coming:
        st.caption(t("Everything in it is here already."))


def _start(name: str, data: bytes, replace: bool) -> None:
    st.session_state[_JOB] = start_archive(state.store(), name, data, "replace" if replace else "skip")


def _ended(view: ArchiveView) -> None:
    if view.imported is not None:
        done = view.imported
        words = t("Imported: {new:,} new, {replaced:,} replaced, {skipped:,} left as they were.",
                  new=done.new, replaced=done.replaced, skipped=done.skipped)  # fmt: skip
        st.success(words, icon=":material/check_circle:")
    else:
        st.error(literal(view.error, 800), icon=":material/error:")
