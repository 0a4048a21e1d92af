"""Runs the simulator's schedules on real tensors with torch, and measures what happened.

    import backend, sim
    model = backend.Model(layers=(1, 1))
    batch, targets = backend.tokens(model, n_rows=8)
    schedule = sim.FAMILIES["1f1b"](2, 4)
    result = backend.run(schedule, backend.transformer_stages(model), batch, targets=targets)
    result.loss, result.trace, result.peak_bytes

For a training loop of your own there is `backend.torch_schedule`.

torch is imported at the first use of a name, not by `import backend`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .measure.estimate import estimated_passes
    from .measure.passes import Passes, measured_passes
    from .ranks.faults import Mismatch, PipelineFault
    from .stages.frozen import adapted
    from .stages.reference import PlainResult, gradient_error, plain_backward
    from .stages.transformer import (
        Model,
        even_layers,
        grouped,
        next_token_loss,
        tokens,
        transformer_stages,
    )
    from .threads.result import RunResult
    from .threads.run import run
    from .training.schedule import TorchSchedule, torch_schedule

_HOMES = {
    "Mismatch": "ranks.faults",
    "Model": "stages.transformer",
    "Passes": "measure.passes",
    "PipelineFault": "ranks.faults",
    "PlainResult": "stages.reference",
    "RunResult": "threads.result",
    "TorchSchedule": "training.schedule",
    "adapted": "stages.frozen",
    "estimated_passes": "measure.estimate",
    "even_layers": "stages.transformer",
    "gradient_error": "stages.reference",
    "grouped": "stages.transformer",
    "measured_passes": "measure.passes",
    "next_token_loss": "stages.transformer",
    "plain_backward": "stages.reference",
    "run": "threads.run",
    "tokens": "stages.transformer",
    "torch_schedule": "training.schedule",
    "transformer_stages": "stages.transformer",
}
__all__ = [
    "Mismatch",
    "Model",
    "Passes",
    "PipelineFault",
    "PlainResult",
    "RunResult",
    "TorchSchedule",
    "adapted",
    "estimated_passes",
    "even_layers",
    "gradient_error",
    "grouped",
    "measured_passes",
    "next_token_loss",
    "plain_backward",
    "run",
    "tokens",
    "torch_schedule",
    "transformer_stages",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'backend' has no attribute {name!r}")
    from sim.base.extras import imported

    return getattr(imported(f"{__name__}.{_HOMES[name]}", f"backend.{name}"), name)
