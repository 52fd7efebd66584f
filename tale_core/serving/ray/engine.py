"""`RayEngine`: joins a cluster or starts one on this machine, puts workers on it, and hands out clients.

The only importer of Ray, beside the client's error types; where it is missing the error names the command that
installs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
import uuid
from collections.abc import Iterator
from typing import Any, Self

from tale_core.errors import InputError, TaleError
from tale_core.i18n import joined, t
from tale_core.logs import set_up_logs
from tale_core.models.choice import EMBEDDED, ModelChoice, price_of
from tale_core.models.groups.config import Group, group
from tale_core.serving.ray.client import RayClient
from tale_core.serving.ray.gates import ClusterGates, Keeper
from tale_core.serving.ray.worker import Target, Worker
from tale_core.settings import APP_ROOT, INSTALLED, REPO_ROOT, install_command

MOST_WORKERS = 256
CALLS_EACH = 1000
"""Calls at the same time in one worker, at most; how many there really are the plan decides."""
NAMESPACE, KEEPER = "tale", "tale-keeper"
START_S = 120.0
_LEFT_OUT = (".venv*", ".env*", ".git", ".streamlit", "tests", "docs", "benchmarks", "**/__pycache__", "*.db", "*.gguf")
"""Not sent to a cluster's nodes; `.env` and `.streamlit` may hold keys."""


class RayEngine:
    """A connection to a cluster. Use it as a context: at its end the workers go, and a cluster of our own ends.

    Args:
        address: Of a running cluster ("10.0.0.1:6379", "auto"); None starts one on this machine.
        workers: Processes that ask; None takes one for each processor of the cluster, 32 at most.

    Raises:
        InputError: Ray is not installed, nothing answers at the address, or a number is wrong.
    """

    def __init__(self, *, address: str | None = None, workers: int | None = None) -> None:
        if workers is not None and not 1 <= workers <= MOST_WORKERS:
            raise InputError(
                t("{n} workers were asked for.", n=workers),
                t("Give a whole number from 1 to {most}.", most=MOST_WORKERS),
            )
        self._address, self._wanted = address, workers
        self._workers: dict[tuple[Target, bool], list[Any]] = {}
        self._keeper: Any = None
        self._opening = asyncio.Lock()
        self._ray: Any = _ray()
        self._ours = not self._ray.is_initialized()
        if self._ours:
            self._connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def workers(self) -> int:
        """How many workers a model gets."""
        if self._wanted is not None:
            return self._wanted
        return max(1, min(32, int(self._ray.cluster_resources().get("CPU", 1))))

    async def open(self, choice: ModelChoice, *, patient: bool = False) -> RayClient:
        """A client for this model, asked from the workers of the cluster.

        Args:
            choice: The model.
            patient: The workers try again what may pass; an experiment does that itself, with fewer calls at a time.

        Raises:
            InputError: See `check_choice`; or the workers did not start.
            TaleError: A worker cannot ask it: a key is missing there, say.
        """
        check_choice(choice)
        target: Target = group(choice.model) if choice.kind == "group" else choice
        async with self._opening:
            if (target, patient) not in self._workers:
                self._workers[target, patient] = await self._started(target, patient)
        price = price_of(choice) if choice.kind != "endpoint" else await asyncio.to_thread(_known_price, choice)
        return RayClient(self._workers[target, patient], model=choice.model, endpoint=choice.endpoint, price=price)

    def close(self) -> None:
        """End the workers; end the cluster if it was started here."""
        for workers in self._workers.values():
            for worker in workers:
                self._ray.kill(worker)
        self._workers.clear()
        if self._ours:
            self._ray.shutdown()

    def _connect(self) -> None:
        options: dict[str, Any] = {"namespace": NAMESPACE, "log_to_driver": False, "logging_level": logging.ERROR}
        if self._address is None:
            # Ray would run its workers at niceness 15: on a busy machine they would get no processor.
            os.environ.setdefault("RAY_worker_niceness", "0")
            # Workers on this machine find this very code.
            paths = os.pathsep.join(filter(None, (str(REPO_ROOT), os.environ.get("PYTHONPATH"))))
            runtime: dict[str, Any] = {"env_vars": {"PYTHONPATH": paths}}
            options |= {"include_dashboard": False, "address": "local", "num_cpus": max(2, os.cpu_count() or 2)}
        else:
            runtime = {**_program(), "excludes": list(_LEFT_OUT)}
            options["address"] = self._address
        try:
            with _our_signals():
                self._ray.init(runtime_env=runtime, **options)
        except Exception as e:
            raise InputError(
                t(
                    "The Ray cluster at {where} cannot be used: {problem}.",
                    where=self._address or "localhost",
                    problem=str(e).strip()[:300].rstrip("."),
                ),
                t("Check the address (--ray-address), and that its Ray is of this version."),
            ) from e

    async def _started(self, target: Target, patient: bool) -> list[Any]:
        limited = isinstance(target, Group) and any(m.most or m.per_minute for m in target.endpoints)
        made = self._ray.remote(_RemoteWorker).options(
            num_cpus=0.25,
            max_restarts=-1,
            max_task_retries=0,  # A call is never made again behind the plan's back.
            max_concurrency=CALLS_EACH,
            scheduling_strategy="SPREAD",
        )
        workers: list[Any] = []
        try:
            async with asyncio.timeout(START_S):
                if limited and self._keeper is None:
                    keeper = self._kept()
                    await keeper.sign.remote("")  # It is there, and found by its name, before anybody asks for it.
                    self._keeper = keeper
                workers += [made.remote(target, limited, uuid.uuid4().hex, patient) for _ in range(self.workers)]
                await asyncio.gather(*(worker.ready.remote() for worker in workers))
        except Exception as e:
            for worker in workers:
                self._ray.kill(worker)
            raise _why(e) from e
        return workers

    def _kept(self) -> Any:
        """The cluster's keeper of limits: one for everybody who uses the cluster."""
        lifetime = None if self._ours and self._address is None else "detached"
        options = {"name": KEEPER, "namespace": NAMESPACE, "get_if_exists": True, "num_cpus": 0, "max_restarts": -1}
        return self._ray.remote(Keeper).options(**options, lifetime=lifetime).remote()


class _RemoteWorker(Worker):
    """A `Worker` whose gates are the cluster's, where its endpoints have limits."""

    def __init__(self, target: Target, limited: bool, holder: str, patient: bool = False) -> None:
        set_up_logs(level=logging.WARNING)  # Ray keeps what a worker writes: without keys, as everywhere.
        gates = ClusterGates(_ray().get_actor(KEEPER, namespace=NAMESPACE), holder) if limited else None
        super().__init__(target, gates, patient=patient)


def check_choice(choice: ModelChoice) -> None:
    """Whether the workers of a cluster can ask this model.

    Raises:
        InputError: It is embedded: it answers on this machine alone, and no faster for many who ask.
    """
    if choice.kind == EMBEDDED:
        raise InputError(
            t(
                "The embedded model {model!r} answers on this machine only; the engine ray asks endpoints.",
                model=choice.model,
            ),
            t("Leave --engine out, or name an endpoint: --model NAME --base-url URL."),
        )


@contextlib.contextmanager
def _our_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself, and would end this process before the run has written its end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _program() -> dict[str, Any]:
    """This very program for nodes elsewhere: the checkout, or the package without its neighbours."""
    return {"py_modules": [str(APP_ROOT.parent)]} if INSTALLED else {"working_dir": str(REPO_ROOT)}


def _ray() -> Any:
    # It reports to nobody how it is used, and leaves the workers' sight of accelerators alone.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as e:
        raise InputError(
            t("The engine ray needs Ray, which is not installed."), t("Run: {command}", command=install_command("ray"))
        ) from e
    return ray


def _known_price(choice: ModelChoice) -> Any:
    try:
        return price_of(choice)
    except TaleError:
        return None  # The key is where the workers are, not here.


def _why(error: Exception) -> TaleError:
    cause = getattr(error, "cause", None)
    if isinstance(cause, TaleError):
        return cause
    if isinstance(error, TaleError):
        return error
    if isinstance(error, TimeoutError):
        return InputError(
            t("The cluster's workers did not start within {seconds:.0f} s.", seconds=START_S),
            t("Look at its free processors: ray status."),
        )
    return InputError(
        joined(t("The cluster's workers did not start."), str(error).strip()[-300:]),
        t("Look at its free processors: ray status."),
    )
