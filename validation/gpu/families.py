"""Every family calibrated for, simulated and run: how far the simulator is from this machine."""

from __future__ import annotations

from typing import Any

from ..experiment import experiment
from .setting import Place, Setting

BEGUN = 0.6
"""Share of the time after which no further round is begun."""


def every_family(setting: Setting, place: Place) -> Any:
    """The `Experiment`, with as many rounds as there is time for.

    On a GPU the pipeline devices are parts of it, and passes are calibrated on those parts.
    """
    streams = None
    if setting.device != "cpu":
        from backend.threads.sm_groups import sm_groups

        streams = [group.stream for group in sm_groups(setting.n_devices)]
    return experiment(
        setting.workload,
        n_devices=setting.n_devices,
        n_microbatches=setting.n_microbatches,
        families=setting.families,
        rounds=setting.rounds,
        seconds=BEGUN * place.seconds,
        partitions=streams,
    )
