"""What both instrumentors are: `BaseInstrumentor`s, for `opentelemetry-instrument` or three lines.

Every process may be instrumented at its start, and most of them never see a task: helpers of
multiprocessing, shells, web servers that seldom publish. So instrumenting opens no port. A worker
does when it starts, and any other process once it has sent a task.
"""

import logging
import sys
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from instrumentation import live
from instrumentation.wrap import Undo, undo_all

if TYPE_CHECKING:
    from instrumentation.telemetry import Telemetry

_log = logging.getLogger(__name__)


class TaskQueueInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Instruments the producers and workers of this process; `uninstrument` takes it all back."""

    #: What the spans name as `messaging.system`.
    system: ClassVar[str]
    #: The framework's versions, as a requirement.
    requirement: ClassVar[str]
    #: Another instrumentor of the same framework: module, class, and the name to disable it by.
    rival: ClassVar[tuple[str, str, str] | None] = None

    _undo: Undo | None = None

    def instrumentation_dependencies(self) -> tuple[str]:
        return (self.requirement,)

    def instrument(self, **kwargs: Any) -> None:
        """Instrument, unless the framework's version is one that this does not know.

        `opentelemetry-instrument` asks to skip that check, after having looked at what the whole
        distribution requires: which is neither framework.
        """
        super().instrument(**kwargs | {"skip_dep_check": False})

    @abstractmethod
    def _wrap(self, telemetry: "Telemetry") -> Undo:
        """Wrap the framework's calls."""

    @abstractmethod
    def _when_a_worker_starts(self, call: Callable[[], None]) -> Undo:
        """Have `call` called in the main process of a worker, before it takes a task."""

    def _instrument(self, **kwargs: Any) -> None:
        """Instrument; all arguments are optional.

        `tracer_provider`: spans go through it. `registry`: a `CollectorRegistry` to serve beside
        the task metrics. `telemetry`: one of your own, which you close yourself.
        """
        # A process pool's child imports this module too, without any use for numpy and the rest.
        from instrumentation.telemetry import Telemetry  # noqa: PLC0415

        provider = kwargs.get("tracer_provider")
        own = kwargs.get("telemetry") is None
        telemetry: Telemetry = kwargs.get("telemetry") or Telemetry(
            self.system, registry=kwargs.get("registry"), tracer_provider=provider
        )
        steps = [telemetry.close] if own else []
        steps += [live.use(provider)] if provider else []
        try:
            steps.append(self._wrap(telemetry))
            steps.append(self._when_a_worker_starts(telemetry.serve))
        except BaseException:  # a version of the framework that is not as expected
            undo_all(steps)()
            raise
        self._undo = undo_all(steps)
        telemetry.start(serving=self._warn_of_rival)

    def _uninstrument(self, **_kwargs: Any) -> None:
        if self._undo:
            self._undo()
        self._undo = None

    def _warn_of_rival(self) -> None:
        """Say when another instrumentor traces the same tasks: now, when all have been loaded."""
        if self.rival is None:
            return
        module, name, entry = self.rival
        rival = getattr(sys.modules.get(module), name, None)
        if rival is not None and rival().is_instrumented_by_opentelemetry:
            _log.warning(
                "every task is traced twice, by taskqueue_%s and by %s.%s: disable one of them, "
                "with OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=%s or =taskqueue_%s",
                *(self.system, module, name, entry, self.system),
            )


@contextmanager
def extra(name: str, *others: str) -> Iterator[None]:
    """Say which extra brings the framework, if importing it, or what comes with it, fails."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in {name, *others}:
            raise
        raise ModuleNotFoundError(
            f"{name} is not installed: pip install {name}", name=name
        ) from None
