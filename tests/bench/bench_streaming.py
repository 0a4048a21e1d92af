"""How far streamed runs are from their simulations, and how much they gain, on a throttled disk.

python tests/bench/bench_streaming.py [--layers 8] [--milliseconds 40] [--readers 4]

A throttle makes every layer take so many milliseconds to read, for up to so many readers at once.
"""

from __future__ import annotations

import argparse
import tempfile

import torch

from backend.pipeload.demo import demo_inputs, make_demo, skeletons
from backend.pipeload.profile import StreamOptions, measured_runs, profile_layers
from backend.pipeload.throttle import Throttle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--milliseconds", type=float, default=40)
    parser.add_argument("--readers", type=int, default=4)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        sizes = {"width": 64, "heads": 2, "vocabulary": 64, "sequence": 8}
        stored = make_demo(f"{folder}/demo", layers=args.layers, **sizes)
        modules, inputs = skeletons(stored), demo_inputs(stored)
        size = max(part.bytes for part in stored.parts if not part.resident)
        rate = size / args.milliseconds * 1e3
        throttle = Throttle(bandwidth=args.readers * rate, per_reader=rate)
        profile = profile_layers(stored, modules, inputs, readers=args.readers, throttle=throttle)
        runs = measured_runs(
            stored,
            modules,
            inputs,
            options={
                f"streamed, {args.readers} loaders": StreamOptions(loaders=args.readers),
                "one loader, all kept": StreamOptions(strategy="keep"),
                "all loaded first": StreamOptions(strategy="load-all"),
            },
            disk=profile.disk,
            throttle=throttle,
        )
    slowest = runs["all loaded first"].latency
    for name, run in runs.items():
        print(
            f"{name}: {run.latency:.3f} s, simulated {run.simulated / run.latency - 1:+.1%}, "
            f"{slowest / run.latency:.2f} times as fast as all loaded first"
        )


if __name__ == "__main__":
    main()
