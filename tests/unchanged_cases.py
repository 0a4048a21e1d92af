"""The cases of `unchanged.py`, made from tables; here those of commands that end well."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import unchanged_calls
import unchanged_errors
import unchanged_plays
from unchanged_calls import CONFIGS, MACHINE
from unchanged_case import Call, Case, Step, cases
from unchanged_errors import GOOD, GOOD_CSV, TINY
from unchanged_plays import FAMILIES, SOME

WARM_UP: tuple[Step, ...] = (
    "sim simulate v-half -p 2 -m 4 --json --html warm.html",
    "sim compare 1f1b zb-h1 -p 2 -m 4",
    "sim export 1f1b -p 2 -m 2 --perfetto warm.json",
    "sim search -p 2 -m 2 --time-limit 1 --json",
    "sim plan --model llama-3-8b --cluster 8xh100 --batch 8 --schedules 1f1b --tensor 8 --jobs 1",
    "sim pipeload bert-large",
)
"""What imports and compiles most of what there is."""
TIMES = "--forward 10 --backward 12 --weight 8 --send 1"
BYTES = "--activation-bytes 1000 --boundary-bytes 40 --static-bytes 7000"
CLUSTERS = (
    "--straggler 2=1.2", "--straggler 0=1.1,3=3/2", "--bandwidth 20", "--bandwidth 3 --send 2",
    "--receives early", "--receives just-in-time", "--transfers blocking", "--transfers blocking "
    "--receives early", "--neighbour-slowdown 1.1", "--jitter 0.1 --seed 3", "--iterations 3",
    "--iterations 3 --no-barrier --optimizer 5", "--memory 50000",
    "--bandwidth 9 --straggler 1=2 --iterations 2 --neighbour-slowdown 1.5 --receives early",
)  # fmt: skip
PROFILES = {
    "two.json": '{"forward": [1, 2], "backward": [3, 1], "weight": 1, "send": 0}',
    "four.json": '{"forward": [1, "1/3", 0.25, 2], "backward": 2, "weight": "0.5", "send": 1, '
    '"fused_backward": [3, 3, 3, 3], "activation_bytes": [5, 6, 7, 8], "backward_bytes": -2, '
    '"boundary_bytes": 3, "static_bytes": [1, 2, 3, 4], "pair_scale": 0.9, "host": "here"}',
}


def simulations() -> Iterator[Case]:
    for family in FAMILIES:
        words = [f"sim simulate {family} {asked} --json" for asked in (
            "-p 4 -m 8", f"-p 3 -m 6 {TIMES} --clock longest-stage", f"-p 5 -m 1 {TIMES}",
            f"-p 8 -m 16 --forward 1/3 --backward 0.7 --weight 0.25 --send 0.1 {BYTES}",
        )]  # fmt: skip
        words.append(f"sim simulate {family} -p 4 -m 8 {TIMES} {BYTES} --unit ms")
        yield from cases("simulate", words, 5)
    words = [f"sim simulate {asked} {TIMES} --json" for asked in (
        "interleaved -p 4 -m 12 -v 3 --group-size 6", "interleaved -p 4 -m 8 -v 4",
        "interleaved -p 2 -m 8 -v 2 --group-size 4", "looped-bfs -p 4 -m 8 -v 4",
        "gis -p 4 -m 8 -v 3", "gis-h -p 6 -m 12 -v 2", "seq1f1b -p 4 -m 8 --slices 4",
        "seq1f1b-zb -p 4 -m 8 --slices 3", "seq1f1b-interleaved -p 4 -m 8 --slices 2 -v 2",
        "seq1f1b-interleaved -p 4 -m 8 --slices 4 --group-size 8 -v 3", "zb-v -p 4 -m 8 -v 2",
        "v-half -p 16 -m 64", "1f1b -p 32 -m 64", "zb-h1 -p 1 -m 1", "dualpipe-v -p 8 -m 20",
    )]  # fmt: skip
    yield from cases("simulate with options", words, 3)
    for family in SOME:
        words = [
            f"sim simulate {family} -p 4 -m 8 {TIMES} {BYTES} {cluster} --json"
            for cluster in CLUSTERS
        ]
        yield from cases(f"simulate {family} on clusters", words, 5)
    words = [f"sim simulate {asked}" for asked in (
        "1f1b -p 4 -m 8 --iterations 2 --optimizer 1/2", "v-half -p 4 -m 8 --bandwidth 20 "
        "--boundary-bytes 40 --unit s", "zb-h2 -p 8 -m 32 --iterations 4 --no-barrier",
        "1f1b -p 4 -m 8 --activation-bytes 5e9 --static-bytes 20123456789", "1f1b -p 20 -m 40",
        "1f1b -p 2 -m 3 --forward 0.1 --backward 0.2 --weight 0.3 --send 0.1", "v-half -p 3 -m 5 "
        "--forward 0 --backward 0 --weight 0", "1f1b -p 4 -m 8 --clock longest-stage --unit us",
        "1f1b -p 4 -m 8 --jitter 0.05", "zb-h1 -p 2 -m 4 --profile two.json",
        "1f1b -p 4 -m 8 --profile four.json --json",
        "zb-v -p 2 -m 4 --profile four.json --bandwidth 2 --memory 40 --json",
    )]  # fmt: skip
    yield from cases("tables of simulate", words, 3, PROFILES)


def comparisons() -> Iterator[Case]:
    for words in (
        "-p 4 -m 8", f"-p 8 -m 32 {TIMES}", f"-p 3 -m 1 {TIMES}",
        f"-p 4 -m 8 {TIMES} {BYTES} --memory "
        "12000", "interleaved 1f1b -p 4 -m 8 --group-size 2", "1f1b interleaved -p 2 -m 4 -v 3",
        "1f1b 1f1b gpipe -p 2 -m 4", "-p 4 -m 8 --slices 4 -v 4", "-p 2 -m 4 --profile two.json",
        "-p 2 -m 4 --profile four.json --clock longest-stage", "a/x.json b/x.json gpipe -p 2 -m 2",
        "good.csv 1f1b", "[x].json 1f1b -p 2 -m 2", f"-p 4 -m 8 {TIMES} --jitter 0.1 --seed 5",
    ):  # fmt: skip
        files = PROFILES | {"a/x.json": json.dumps(GOOD), "good.csv": GOOD_CSV,
                            "b/x.json": json.dumps(GOOD)}  # fmt: skip
        yield Case(
            f"sim compare {words}", (f"sim compare {words} --json",
            f"sim compare {words} --unit ms"),
            files,
        )  # fmt: skip


def files() -> Iterator[Case]:
    for family in FAMILIES:
        sizes = f"{family} -p 3 -m 6"
        yield Case(
            f"sim export and check {sizes}",
            (
                f"sim export {sizes}", f"sim export {sizes} --json",
                f"sim export {sizes} {TIMES} --unit ms --schedule-json a.json --perfetto b.json",
                f"sim export {sizes} --torch-csv c.csv", "sim check a.json", "sim check c.csv",
                "sim check c.csv --json", "sim simulate a.json --json", "sim simulate c.csv --json",
            ),
        )  # fmt: skip
    good = {"good.csv": GOOD_CSV, "good.json": json.dumps(GOOD), "idle.csv":
            " 0F0,, 0F1 ,0B0,0B1\r\n1F0,1B0,1F1,1B1\r\n\r\n", "torch.csv":
            "0F0,(0F1;0B0)OVERLAP_F_B,0B1,0REDUCE_GRAD\n", "v.csv":
            "\ufeff0F0,3F0,3I0,3W0,0B0\n1F0,2F0,2B0,1B0\n", "mixed.csv": "0F0,0I0,0W0\n1F0,1B0\n",
            "[red].json": json.dumps({**GOOD, "name": "[/red]"})}  # fmt: skip
    for name in good:
        yield Case(
            f"sim check {name}",
            tuple(f"sim {words}" for words in (
                f"check {name}", f"check {name} --json", f"simulate {name} {TIMES}",
                f"export {name} --schedule-json out.json --torch-csv out.csv --json",
                f"export {name} --perfetto out.trace --receives early --boundary-bytes 3 "
                "--bandwidth 2 --unit us",
            )),
            good,
        )  # fmt: skip


def pages() -> Iterator[Case]:
    words = [f"sim {asked} --html page.html" for asked in (
        f"simulate 1f1b -p 4 -m 8 {TIMES} --note 'a < b' --unit ms",
        "simulate dualpipe-v -p 3 -m 8",
        f"simulate v-half -p 4 -m 8 {TIMES} {BYTES} --iterations 2 --bandwidth 9 --json",
        "simulate good.csv", f"compare -p 4 -m 8 {TIMES} {BYTES}",
        "compare 1f1b zb-h1 interleaved -p 2 -m 3 --clock longest-stage --straggler 1=2",
        "pipeload bert-large --memory-limit 400MB --memory-limit 200MB",
        "pipeload gpt-j --loaders 3 --saturation 2 --json",
        "plan --model llama-3-8b --cluster 8xh100 --batch 16 --schedules v-half,1f1b --tensor 2 "
        "--pipeline 4 --jobs 1 --rows 2 --row 2",
    )]  # fmt: skip
    yield from cases("page", words, 1, {"good.csv": GOOD_CSV})


def helps() -> Iterator[Case]:
    for package, names in {
        "sim": ("simulate", "compare", "search", "pareto", "plan", "export", "check", "families",
                "pipeload"),
        "backend": ("run", "pipeload"), "validation": ("calibrate", "compare", "report"),
    }.items():  # fmt: skip
        words = [package, f"{package} --help", f"{package} -h", f"{package} --version"]
        yield from cases("help", words, 4)
        yield from cases("help", [f"{package} {name} --help" for name in names])
    yield from cases("families", ["sim families", "sim families --json"], 2)


SEARCH = ("devices", "microbatches", "stages", "placement", "clock", "memory_limit", "memory_bytes",
          "value", "makespan", "bubble_makespan", "lower_bound", "gap", "proven_optimal",
          "interval", "interval_bound")  # fmt: skip


def searches() -> Iterator[Case]:
    """Those that end with a proof within a second or two, and of these what a proof fixes."""
    words = [f"sim search {asked} --time-limit 150 --json" for asked in (
        "-p 4 -m 8 --placement straight --memory-limit 4", "-p 1 -m 3",
        "-p 2 -m 2 --placement loop",
        "-p 4 -m 8 --forward 2 --backward 2 --weight 2 --memory-limit 3",
        "-p 4 -m 8 --forward 2 --backward 2 --weight 2 --memory-limit 4",
        "-p 2 -m 4 --forward 2 --backward 4 --weight 2 --send 1 --memory-limit 1",
        "-p 2 -m 8 --activation-bytes 8 --static-bytes 100 --memory-bytes 120",
        "-p 8 -m 16 --placement straight", "-p 3 -m 3 --placement loop -v 3",
        "-p 4 -m 8 --clock longest-stage",
    )]  # fmt: skip
    yield from cases("search", words, 1, keep=SEARCH, timed=True)
    yield from cases(
        "pareto", ["sim pareto -p 2 -m 4 --limits 1,2 --time-limit 300 --json"],
        keep=("limit", "makespan", "lower_bound", "proven_optimal", "family"), timed=True,
    )  # fmt: skip


def plans() -> Iterator[Case]:
    small = "--batch 16 --jobs 1 --rows 5"
    for words in (
        "--model llama-3-8b --cluster 8xh100 --schedules 1f1b,zb-v --pipeline 4",
        "--model llama-3-8b --cluster 8xh100 --schedules 1f1b,interleaved --zero 0,1,2,3 "
        "--tensor 2",
        "--model llama-2-7b --cluster 8xa100-80g --schedules 1f1b --recompute none,selective,full",
        "--model mixtral-8x7b --cluster 16xh100 --schedules 1f1b --tensor 2 --pipeline 4",
        "--model gpt-1.5b --cluster 8xrtx4090 --schedules v-half,v-min --pipeline 2,4",
        "--model llama-3-70b --cluster 64xh200 --schedules interleaved --tensor 8 --virtual 2,4",
        "--model llama-3-8b --cluster 8xb200 --schedules zb-h1,zb-h2 --clock longest-stage",
        "--model llama-3-8b --cluster 8xh100 --schedules 1f1b --cut even --reserve 8 --tensor 2",
        "--model llama-3-8b --cluster 8xh100 --schedules 1f1b --cut 'Et*7|(t*8|)*2t*9L'",
        "--model llama-3-8b --cluster 8xh100 --schedules 1f1b --profile mine.json --tensor 1,2",
        "--model llama-3-8b --cluster machine.json --schedules 1f1b --tensor 4 --sequence 8192",
        "--model llama-3-8b --cluster machine.json --devices 16 --schedules 1f1b --inside nvlink3",
        "--model llama-3-8b --cluster h100 --devices 32 --per-rack 16 --across roce "
        "--schedules 1f1b --tensor 8 --attention plain",
        "--model llama-3-8b --cluster 2x4xh100 --schedules gpipe,eager-1f1b --between ethernet-25",
        "--model llama-3-8b --cluster 8xh100 --schedules 1f1b,v-half --pipeline 4 --robust 5 "
        "--replay 2",
        *(f"--model '{name}/config.json' --cluster 16xh100 --schedules 1f1b --tensor 1 --top 3"
          for name in ("llama", "mixtral", "gpt2", "falcon", "qwen moe")),
    ):  # fmt: skip
        configs = {f"{name}/config.json": config for name, config in CONFIGS.items()}
        more = {"machine.json": MACHINE, "mine.json": '{"matmul": 0.6, "source": "ours"}'}
        yield Case(
            f"sim plan {words}",
            (f"sim plan {words} {small} --json", f"sim plan {words} {small} --results rows.jsonl",
             f"sim plan {words} {small} --results rows.jsonl"),
            configs | more,
        )  # fmt: skip
    exports = [f"sim plan --model llama-3-8b --cluster 8xh100 {small} {words}" for words in (
        "--schedules 1f1b --pipeline 4 --megatron-flags --torchtitan-dir titan",
        "--schedules interleaved --pipeline 2 --megatron-flags --torchtitan-dir titan --json",
        "--schedules v-half --pipeline 4 --torchtitan-dir titan --row 2",
        "--schedules 1f1b --tensor 8 --torchtitan-dir titan --megatron-flags --zero 2",
    )]  # fmt: skip
    yield from cases("plan for others", exports)


LAYERS = json.dumps(
    {"format": "pipebubble.layers/1", "resident_bytes": 7, "name": "mine", "layers": [
        {"bytes": 3, "load": 0.25, "compute": 1, "name": "a"},
        {"bytes": 4, "load": 1, "compute": 2, "name": ""},
        {"bytes": 9, "load": 2, "compute": 0.5, "name": "c"}]}
)  # fmt: skip


def streams() -> Iterator[Case]:
    for words in (
        "bert-large --memory-limit 400000000", "gpt-j --memory-limit 4GB --memory-limit 2.5GiB",
        "bert-large --memory-limit 400MB --memory-limit 1kB", "bert-large --loaders 2",
        "bert-large --loaders 4 --saturation 2.5 --memory-limit 300MB --load 3 --compute 2",
        "gpt-j --max-loaders 3 --load 0.5", "layers.json", "layers.json --loaders 2 --saturation 1",
        "layers.json --memory-limit 16 --memory-limit 17 --memory-limit 20",
    ):  # fmt: skip
        steps = (f"sim pipeload {words} --json", f"sim pipeload {words}")
        yield Case(f"sim pipeload {words}", steps, {"layers.json": LAYERS})


CLOCKS = ("makespan", "longest_stage", "fastest_makespan", "slowest_makespan", "torch", "hardware",
          "transit_bytes", "max_gradient_error")  # fmt: skip


def runs() -> Iterator[Case]:
    words = [f"backend run {asked} {TINY} --json" for asked in (
        "1f1b -p 2 -m 3", "v-half -p 2 -m 3 --dtype float64 --steps 2",
        "zb-h1 -p 2 -m 3 --split native",
        "interleaved -p 2 -m 4 -v 3 --group-size 2", "seq1f1b -p 2 -m 3 --slices 3",
        "1f1b -p 2 -m 3 --layers 3,0 --checkpoint", "1f1b -p 2 -m 3 --layers 5 --delay 0.001",
        "1f1b -p 1 -m 1 --warmup 0", "dualpipe-v -p 2 -m 6", "2bp-1f1b-1 -p 2 -m 4 --seed 3",
        "good.json", "good.csv --rows 1",
    )]  # fmt: skip
    schedules = {"good.json": json.dumps(GOOD), "good.csv": GOOD_CSV}
    yield from cases("run", words, 1, schedules, drop=CLOCKS, digits=4, timed=True)
    seconds = (
        "latency", "simulated_latency", "simulated_error", "disk_saturation", "load_all_latency",
        "load_all_simulated", "one_loader_latency", "one_loader_simulated", "peak_bytes",
    )  # fmt: skip
    demo = "--layers 3 --width 16 --heads 2 --vocabulary 32 --sequence 8"
    yield Case(
        "backend pipeload demo",
        (
            f"backend pipeload demo --make-demo {demo} --json",
            f"backend pipeload demo --make-demo {demo}",
            "backend pipeload demo --memory-limit 1MB --loaders 2 --repeats 1 --json",
            "backend pipeload demo --memory-limit 10 --loaders 2", "backend pipeload demo",
        ),
        drop=seconds, timed=True,
    )  # fmt: skip
    yield Case(
        "backend pipeload of a checkpoint",
        (
            Call("a checkpoint is written", write_checkpoint),
            "backend pipeload stored --from checkpoint --json",
            "backend pipeload stored --memory-limit 1MB --loaders 2 --repeats 1 --json",
            "backend pipeload stored --memory-limit 1 --loaders 2", "backend pipeload checkpoint",
        ),
        drop=seconds, timed=True,
    )  # fmt: skip


def write_checkpoint() -> None:
    """A small Llama with weights from fixed numbers, as its publishers leave it."""
    import torch
    from safetensors.torch import save_file

    width, inner, words = 12, 20, 17
    shapes = {
        "model.embed_tokens": (words, width),
        "model.norm": (width,),
        "lm_head": (words, width),
    }
    for i in range(2):
        at = f"model.layers.{i}"
        shapes |= {
            f"{at}.{name}": (width,) for name in ("input_layernorm", "post_attention_layernorm")
        }
        shapes |= {f"{at}.self_attn.{name}_proj": (rows, width) for name, rows in
                   (("q", 24), ("k", 8), ("v", 8))}  # fmt: skip
        shapes |= {f"{at}.self_attn.o_proj": (width, 24), f"{at}.mlp.gate_proj": (inner, width),
                   f"{at}.mlp.up_proj": (inner, width),
                   f"{at}.mlp.down_proj": (width, inner)}  # fmt: skip
    weights = {
        f"{name}.weight": torch.sin(torch.arange(math.prod(shape)) + 1.0).reshape(shape)
        for name, shape in shapes.items()
    }
    config = {"model_type": "llama", "hidden_size": width, "intermediate_size": inner,
              "num_hidden_layers": 2, "num_attention_heads": 6, "num_key_value_heads": 2,
              "head_dim": 4, "vocab_size": words, "rms_norm_eps": 1e-5, "rope_theta": 100.0,
              "tie_word_embeddings": False}  # fmt: skip
    Path("checkpoint").mkdir()
    Path("checkpoint/config.json").write_text(json.dumps(config))
    save_file(weights, "checkpoint/model.safetensors", metadata={"format": "pt"})


TABLES = (
    simulations, comparisons, files, pages, helps, searches, plans, streams, runs,
    *unchanged_plays.TABLES, *unchanged_calls.TABLES, *unchanged_errors.TABLES,
)  # fmt: skip
CASES = [case for table in TABLES for case in table()]
