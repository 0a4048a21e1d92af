"""torch's pipeline stage, with names of ours for what it does by names of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.distributed.pipelining import PipelineStage


class OpenStage(PipelineStage):
    """torch's stage. What may be changed:

    forward_trial, backward_trial: run the pass by which torch finds out shapes. as_example: what a
    target becomes for it.
    """

    def forward_trial(self, run: Callable[[], Any]) -> Any:
        return run()

    def backward_trial(self, run: Callable[[], Any]) -> Any:
        return run()

    def as_example(self, value: Any) -> Any:
        return super()._to_tensor(value)

    def set_crossing(self, metadata: Any) -> None:
        """From now on this crosses the boundaries: see `boundaries.prepare_boundaries`."""
        self._stage_meta = metadata

    def _compute_outputs(self, *args: Any, **kwargs: Any) -> Any:
        torchs = super()._compute_outputs
        return self.forward_trial(lambda: torchs(*args, **kwargs))

    def _compute_input_grads(self, *args: Any, **kwargs: Any) -> Any:
        torchs = super()._compute_input_grads
        return self.backward_trial(lambda: torchs(*args, **kwargs))

    def _to_tensor(self, arg: Any) -> Any:
        return self.as_example(arg)
