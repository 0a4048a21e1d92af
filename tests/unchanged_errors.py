"""Cases of `unchanged.py` that go wrong: every sentence, word for word."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from unchanged_calls import MACHINE, SMALL
from unchanged_case import Case, Content, Step, asked, cases

GOOD_CSV = "0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n"
GOOD: dict[str, Any] = {
    "format": "pipebubble.schedule/1", "name": "good", "placement": [0, 1], "n_microbatches": 2,
    "n_slices": 1,
    "orders": [["F0@0", "F1@0", "BW0@0", "BW1@0"], ["F0@1", "BW0@1", "F1@1", "BW1@1"]],
}  # fmt: skip
BAD_CSV = (
    GOOD_CSV.replace("1B0", "1B0garbage"), GOOD_CSV.replace("1B0", "1X0"),
    GOOD_CSV.replace("0F1", "0F"), GOOD_CSV.replace("0F1", "F1"),
    GOOD_CSV.replace("0F1", "0F1 0F1"), GOOD_CSV.replace("0F1", "-1F1"),
    GOOD_CSV.replace("0F1", "0F\u0661"), GOOD_CSV.replace("0F1", "0f1"),
    GOOD_CSV.replace("0F1", "F1@0"), GOOD_CSV.replace("0F1", "0F" + "9" * 50),
    GOOD_CSV.replace("0F1", "0SEND_F1"), GOOD_CSV.replace("0F1", "0UNSHARD"),
    GOOD_CSV.replace(",", ";"), "rank,step\n" + GOOD_CSV, GOOD_CSV.replace("1F0", "0F0"), "",
    " \n\n ", "\n" + GOOD_CSV, ",,\n" + GOOD_CSV, "1F0,1B0\n", "0F0,3F0,3B0,0B0\n", '0F0,"0B0',
    GOOD_CSV[:-5], GOOD_CSV[:-3], GOOD_CSV.replace("0B1", "0B0"),
    GOOD_CSV.replace("1B0,1F1", "1F1,1B0").replace("0F1,0B0", "0B0,0F1"), "0F1,0F0,0B0,0B1\n",
    "0F0,0W0,0I0\n", "0F0,0I0\n", "0F999999999,0B999999999\n", "999999999F0\n",
    "(0F0;0B0)OVERLAP_F_B\n", "()OVERLAP_F_B\n", "(0F0;)OVERLAP_F_B\n", "(0F0;0B0)\n",
    "0F0,0F1\n1F0,1F1\n", "0F0,0B0\n1B0,1F0\n", "\x00\x01\x02",
    "0F0,0B0,1REDUCE_GRAD\n1F0,1B0,1REDUCE_GRAD\n",
)  # fmt: skip
BAD_CHANGES: tuple[dict[str, Any], ...] = (
    {"format": "pipebubble.schedule/9"}, {"n_microbatches": True}, {"n_microbatches": "x" * 99},
    {"n_microbatches": 10**30}, {"n_microbatches": 3}, {"n_microbatches": 0}, {"n_microbatches": 1},
    {"placement": [10**30, 0]}, {"placement": [0, 2]}, {"placement": [1, 0]}, {"placement": [0, 0]},
    {"placement": []}, {"placement": "01"}, {"n_slices": None}, {"n_slices": 2}, {"name": 5},
    {"orders": "F0@0"}, {"orders": ["F0@0"]}, {"orders": [[{"kind": "F"}]]}, {"orders": []},
    {"orders": [["F0@0", "0F0"]]}, {"orders": [[], ["F0@0&"]]}, {"orders": [[], []]},
    {"orders": [GOOD["orders"][0], ["F0@1", "F1@1", "BW1@1", "BW0@1"]]},
    {"orders": [["F0@0", "BW0@0", "F1@0", "BW1@0"], ["F0@1", "F1@1", "BW0@1", "BW1@1"]]},
    {"orders": [["F1@0", "F0@0", "BW0@0", "BW1@0"], ["F1@1", "BW1@1", "F0@1", "BW0@1"]]},
    {"orders": [["F0@0&BW0@0", "F1@0", "BW1@0"], GOOD["orders"][1]]},
    {"orders": [GOOD["orders"][0], ["F0@1", "BW0@1&F1@1", "BW1@1"]], "name": "joined"},
)  # fmt: skip
BAD_TEXTS = (
    "", "{", "[1, 2", "null", "[]", '"text"', "7", "NaN", "[" * 100_000, '{"a": 1}',
    '{"format": "pipebubble.schedule/1", "name"', '{"format": "pipebubble.schedule/1", "name": 3}',
    json.dumps(GOOD).replace('"n_slices"', '"name": "other", "n_slices"'),
    json.dumps(GOOD).replace('"n_slices": 1', '"n_slices": ' + "1" * 5000),
)  # fmt: skip


def schedule_files() -> Iterator[Case]:
    yield from _damaged("CSV", "csv", BAD_CSV, "sim check {}")
    changed = [json.dumps({**GOOD, **change}) for change in BAD_CHANGES]
    lacking = [json.dumps({k: v for k, v in GOOD.items() if k != key}) for key in GOOD]
    yield from _damaged("JSON", "json", [*changed, *lacking, *BAD_TEXTS], "sim check {}")
    others = (*BAD_TEXTS[::3], *changed[4::6])
    yield from _damaged("JSON played", "json", others, "sim simulate {} --json")
    yield from _damaged("JSON exported", "json", others, "sim export {} --torch-csv a.csv")
    yield from _damaged("JSON run", "json", others, "backend run {}")
    yield from _damaged("CSV run", "csv", BAD_CSV[::9], "backend run {}")
    files: Content = {
        "picture.csv": b"\x89PNG\r\n\xff\xfe", "good.csv": GOOD_CSV, "folder.csv/x": "",
        "x.json": json.dumps(GOOD),
    }  # fmt: skip
    words: list[Step] = [
        "sim check picture.csv", "sim check missing.csv", "sim check folder.csv", "sim check ''",
        "sim check good.csv more", "sim check", "sim simulate good.csv -p 4",
        "sim simulate good.csv -m 3", "sim simulate good.csv --slices 2",
        "sim simulate x.json -p 3", "sim compare good.csv missing.json x.json picture.csv --json",
        "sim compare missing.json picture.csv", "backend run picture.csv",
        "backend run good.csv -m 3",
        "backend run missing.json", "sim export picture.csv", "sim export x.json --torch-csv no/a",
    ]  # fmt: skip
    yield from cases("errors of files", words, 4, files)


def _damaged(title: str, suffix: str, texts: Sequence[str], command: str) -> Iterator[Case]:
    """A case for every few damaged texts, each read from a file of its own by `command`."""
    for first in range(0, len(texts), 4):
        files = {f"{i}.{suffix}": text for i, text in enumerate(texts[first : first + 4])}
        yield Case(f"errors of {title} {first // 4 + 1}", tuple(map(command.format, files)), files)


BAD_OPTIONS = (
    "--forward -1", "--forward nan", "--forward inf", "--forward 1e999999999", "--forward 1/0",
    "--forward ''", "--forward 1e-400", "--forward 1e19", "--forward one", "--send x", "-m 0",
    "-p 0", "-p -3", "-p 2.5", "-m 1e3", "-v two", "-v 0", "--clock fast", "--transfers none",
    "--receives late", "--straggler 9", "--straggler 9=1.5", "--straggler 0=0",
    "--straggler 0=1,0=2", "--straggler x=1", "--neighbour-slowdown 0", "--bandwidth 0",
    "--jitter 1000", "--jitter -1", "--seed -1", "--seed 1.5", "--iterations 0",
    "--iterations 100000000", "--optimizer x", "--unit h", "--slices 2", "--slices 0",
    "--group-size 4", "-v 2", "--nosuch 1", "--iteration 3", "--memory 10 --activation-bytes 4",
    "--memory 3 --static-bytes 4", "--profile missing.json", "--profile ''",
    "--html nowhere/at/all.html", "--html ''", "--html .", "-m 100000000000", "-p 999999999",
    "--memory 10", "--bandwidth 10", "--memory 10 --boundary-bytes 1", "--memory -1",
    "--activation-bytes much", "-p", "--json=1", "--seed=x", "-px", "--no-barrier=1",
)  # fmt: skip
BAD_USAGE: tuple[Step, ...] = (
    "sim simulate 1f1c -p 4 -m 8", "sim simulate ZB_H1 -p 4 -m 8", "sim simulat 1f1b",
    "sim frobnicate",
    "sim compare 1f1b vhalf -p 4 -m 8", "sim simulate 1f1b -m 8", "sim simulate 1f1b -p 8",
    "sim compare -p 8", "sim compare -m 8", "sim simulate", "sim simulate 1f1b gpipe -p 4 -m 8",
    "sim simulate ZBVZeroBubble -p 4 -m 8", "sim simulate Interleaved1F1B -p 4 -m 8",
    "sim simulate zb-2p -p 4 -m 8", "sim simulate DualPipe -p 4 -m 8", "sim simulate '' -p 2 -m 2",
    "sim simulate xyzzy -p 2 -m 2", "sim simulate dapple -p 2 -m 2", "sim --nosuch", "sim --help x",
    "sim simulate interleaved -p 4 -m 8 --group-size 2", "sim simulate dualpipe-v -p 4 -m 7",
    "sim simulate interleaved -p 4 -m 8 -v 0", "sim simulate 1f1b-v -p 2 -m 8 --slices 3",
    "sim simulate gis -p 4 -m 8 --slices 2", "sim simulate seq1f1b -p 4 -m 8 -v 2",
    "sim simulate v-half -p 4 -m 8 -v 3", "sim families 1f1b", "sim families --html a",
    "sim export 1f1b -p 2 -m 2 --torch-csv a --perfetto a",
    "sim export 1f1b -p 2 -m 2 --torch-csv ''",
    "sim export 1f1b -p 2 -m 2 --torch-csv .", "sim export seq1f1b -p 4 -m 8 --torch-csv a.csv",
    "sim export 1f1b -p 4 -m 8 --memory 1 --activation-bytes 2 --perfetto a.json",
    "sim export 1f1b", "sim export",
    "sim compare 1f1b gpipe -p 4 -m 8 --memory 1 --activation-bytes 2",
    "sim compare 1f1b gpipe -p 4 -m 8 --memory 1 --activation-bytes 2 --json --html a.html",
    "sim simulate 1f1b -p 2 -m 8 --transfers blocking --receives just-in-time",
    "sim simulate v-half -p 4 -m 8 --transfers blocking --receives just-in-time",
    "sim simulate zb-h1 -p 3 -m 8 --transfers blocking --receives just-in-time --json",
    "sim simulate 1f1b -p 4 -m 8 --memory 5000000000 --activation-bytes 2e9 --static-bytes 1.5e9",
    "sim simulate interleaved -p 1000 -m 2501", "sim simulate seq1f1b -p 1 -m 999999999",
)  # fmt: skip
BAD_SEARCHES = (
    "search -p 4 -m 8 --memory-limit 0.5", "search -p 4 -m 8 --placement ring",
    "search -p 4 -m zero",
    "search -p 4 -m 8 --clock wall", "search -p 4", "search -m 4", "search -p 0 -m 4",
    "search -p 4 -m 8 -v 2", "search -p 4 -m 8 --placement loop -v 0", "search -p 400 -m 8000",
    "search -p 4 -m 8 --workers 0", "search -p 4 -m 8 --seed x", "search -p 4 -m 8 --time-limit -1",
    "search -p 4 -m 8 --memory-bytes 10 --activation-bytes 8 --static-bytes 50",
    "search -p 4 -m 8 --memory-limit 0", "search -p 4 -m 8 --output no/where.json",
    "search -p 4 -m 8 --profile costs.json --forward 3", "search -p 4 -m 8 --profile costs.json",
    "search -p 4 -m 8 --forward x", "search -p 4 -m 8 more", "pareto -p 2 -m 4 --limits 1,x",
    "pareto -p 2 -m 4 --limits ''", "pareto -p 2 -m 4 --limits 0.5", "pareto -p 2",
    "pareto -p 2 -m 4 --html no/a.html", "pareto -p 2 -m 4 --placement x",
)  # fmt: skip
BAD_PROFILES = (
    "{}",
    "[]",
    "3",
    "",
    "no json",
    '{"forward": 1}',
    '{"forward": [1]}',
    '{"forward": []}',
    '{"forward": [1, 1], "backward": [1], "weight": 1}',
    '{"forward": [1, 1], "backward": "x", "weight": 1}',
    '{"forward": [1, -1], "backward": 1, "weight": 1}',
    '{"forward": [1, NaN], "backward": 1, "weight": 1}',
    '{"forward": [1, 1], "backward": {"a": 1}, "weight": 1}',
    '{"forward": [[[1]], 1], "backward": 1, "weight": 1}',
    '{"forward": [null, 1], "backward": 1, "weight": 1}',
    '{"forward": [1, true], "backward": 1, "weight": 1}',
    '{"forward": [1, 1], "backward": [1, "1/0"], "weight": 1}',
    '{"forward": [1, 1], "backward": [[1], []], "weight": 1}',
    '{"forward": [1, 1], "backward": 1, "weight": 1, "send": [1, 1]}',
    '{"forward": [1, 1], "backward": 1, "weight": 1, "send": [-1]}',
    '{"forward": [1, 1], "backward": 1, "weight": 1, "activation_bytes": [1, -1]}',
    '{"forward": [1, 1], "backward": 1, "weight": 1, "backward_bytes": -3}',
    '{"forward": [1, 1], "backward": 1, "weight": 1, "pair_scale": -1}',
    '{"forward": [1, 1], "backward": 1, "weight": 1, "forward": [2, 2]}',
    '{"forward": [[1, 2], [1]], "backward": 1, "weight": 1}',
    '{"forward": [1, 1, 1], "backward": 1, "weight": 1}',
    '{"forward": [1e308, 1e308], "backward": 1, "weight": 1}',
)
BAD_PLANS = (
    "--model gpt-5 --cluster 8xh100", "--model llama3-70b --cluster 8xh100",
    "--model '' --cluster 8xh100",
    "--model llama-3-8b --cluster 8xabacus", "--model llama-3-8b --cluster h100",
    "--cluster 8xh100",
    "--model llama-3-8b", "--model llama-3-8b --cluster 12xh100",
    "--model llama-3-8b --cluster 8xa100",
    "--model llama-3-8b --cluster 8xh100 --devices 16", "--model llama-3-8b --cluster no.json",
    "--model no/config.json --cluster 8xh100", "--model llama-3-8b --cluster 2x8xh100 --per-node 4",
    "--model llama-3-405b --cluster 8xh100 --sequence 8192 --batch 64",
    *(f"--model llama-3-8b --cluster 8xh100 {more}" for more in (
        "--tensor two", "--tensor 3", "--tensor 0", "--pipeline 16", "--data 4 --batch 30",
        "--microbatch 7 --batch 64", "--tensor 4 --pipeline 4", "--expert 2 --tensor 8",
        "--clock sun", "--recompute half", "--recompute ''", "--rows -3", "--rows 0", "--replay -1",
        "--robust -1", "--html no/a.html", "--schedules 2f2b", "--schedules ''", "--zero 5",
        "--zero ''", "--attention none", "--cut odd", "--cut 'Et|tL'", "--reserve -1",
        "--reserve 1000", "--reserve nan", "--jobs 0", "--sequence 0", "--batch 0", "--top 0",
        "--inside string", "--between string", "--per-rack 16", "--across roce", "--per-rack 3 "
        "--across roce", "--devices=x", "--nosuch 1", "--virtual 1 --schedules interleaved",
        "--schedules seq1f1b", "--profile no.json", "--profile bad.json", "--profile list.json",
        "--profile text.json", "--results other", "--results binary", "--row 999 --batch 8",
        "--schedules v-half --tensor 1 --batch 16 --megatron-flags --jobs 1",
    )),
)  # fmt: skip
BAD_MACHINES: tuple[dict[str, Any], ...] = (
    {"devices": 0}, {"devices": 12}, {"devices": "x"}, {"device": "h900"}, {"device": {"flops": 1}},
    {"device": {"flops": 0, "memory": 1, "bandwidth": 1}}, {"inside": "string"}, {"colour": 1},
    {"between": {"bandwidth": -1, "latency": 0}}, {"per_node": 0},
    {"per_rack": 3, "across": "roce"},
    {"device": {"flops": True, "memory": 1, "bandwidth": 1}}, {"across": "roce"},
)  # fmt: skip
SHAPE = {"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "vocab_size": 1000,
         "num_key_value_heads": 4, "intermediate_size": 256}  # fmt: skip
BAD_CONFIGS = (
    "", "{", "[]", "{}", '{"num_hidden_layers": -2}',
    *(json.dumps({**SHAPE, **more}) for more in (
        {"model_type": "bert"}, {"model_type": 3}, {"is_encoder_decoder": True},
        {"num_local_experts": "8"}, {"num_experts": 8, "decoder_sparse_step": 2},
        {"num_experts": 8, "mlp_only_layers": [1]}, {"num_experts": 8, "moe_intermediate_size": -3},
        {"kv_lora_rank": 16}, {"word_embed_proj_dim": 32}, {"head_dim": 1.5}, {"vocab_size": True},
        {"num_attention_heads": 5}, {"num_key_value_heads": 3}, {"hidden_size": None},
        {"num_experts": 8, "num_experts_per_tok": 9, "moe_intermediate_size": 16},
    )),
)  # fmt: skip
TINY = "--width 8 --heads 2 --vocabulary 11 --sequence 6"
BAD_RUNS = (
    "run 1f1b -p 2", "run 1f1b -m 2", "run 1f1b -p 0 -m 2", "run 1f1b -p 2.5 -m 2",
    "run 1f1b -p 2 -m 2 -v 2", "run 1f1b -p 2 -m 10000000", "run 1f1b -p 1000 -m 2",
    "run 1f2b -p 2 -m 2", "run xyzzy -p 2 -m 2", "run 1f1b -p 2 -m 2 --engine megatron",
    "run 1f1b -p 2 -m 2 --device tpu", "run 1f1b -p 2 -m 2 --device cuda",
    "run 1f1b -p 2 -m 2 --split x", "run 1f1b -p 2 -m 2 --dtype int8",
    "run 1f1b -p 2 -m 2 --delay -1",
    "run 1f1b -p 2 -m 2 --timeout 0", "run 1f1b -p 2 -m 2 --layers 1,1,1",
    "run 1f1b -p 2 -m 2 --layers x", "run 1f1b -p 2 -m 2 --width 10",
    "run 1f1b -p 2 -m 2 --seed -1",
    "run 1f1b -p 2 -m 2 --partitions green", "run 1f1b -p 2 -m 2 --partitions x", "run",
    "run seq1f1b -p 2 -m 2 --split native", f"run seq1f1b -p 2 -m 2 --slices 9 {TINY}",
    "run 1f1b -p 2 -m 2 --engine torch", "run 1f1b -p 2 -m 2 --nonsense", "rum",
    "run 1f1b -p 2 -m 2 --steps 0",
    "pipeload missing", "pipeload d --batch 1e3", "pipeload d --loaders -1", "pipeload d --disk 0",
    "pipeload d --memory-limit lots", "pipeload d --make-demo --from x", "pipeload d --sequence 0",
    "pipeload d --per-reader -1", "pipeload d --html no/a.html", "pipeload folder",
    "pipeload listed",
    "pipeload d --from missing", "pipeload d --from folder", "pipeload checkpoint",
    "pipeload file.json",
    "pipeload d --make-demo --layers 0", "pipeload d --make-demo --width 30 --heads 4",
)  # fmt: skip
BAD_STREAMS = (
    "bert-large --memory-limit 4", "none.json", "none", "bert-large --memory-limit lots",
    "bert-large --memory-limit ''", "bert-large --memory-limit 1XB", "bert-large --load x",
    "bert-large --load -1", "bert-large --loaders x", "bert-large --loaders -1",
    "bert-large --max-loaders 0", "bert-large --saturation 0", "bert-large --html no/a.html",
    "bert-large --loaders 2 --memory-limit 4", "bad.json", "list.json", "empty.json", "half.json",
)  # fmt: skip
BAD_VALIDATIONS = (
    "compare v-halff", "report nope", "compare missing.json", "calibrate --width 30",
    "calibrate -p 0", "report -px", "calibrate --slices=99x", "compare bad.json",
    "compare list.json",
    "compare text.json", "compare v-half --profile bad.json", "compare v-half --profile list.json",
    "compare v-half --profile lacks.json", "nothing", "report --rounds 0", "report --nosuch",
)  # fmt: skip


def commands() -> Iterator[Case]:
    options = [f"sim simulate 1f1b -p 4 -m 8 {words}" for words in BAD_OPTIONS]
    yield from cases("errors of options", options, 4)
    yield from cases("errors of usage", BAD_USAGE, 4)
    costs: Content = {
        "costs.json": '{"forward": [1, 1], "backward": 1, "weight": 1}', "a.json": b"\xff\xfe"
    }  # fmt: skip
    more = ("sim simulate 1f1b -p 2 -m 2 --profile costs.json --forward 3",
            "sim simulate 1f1b -p 2 -m 2 --profile a.json")  # fmt: skip
    searches = [*(f"sim {words}" for words in BAD_SEARCHES), *more]
    yield from cases("errors of searches", searches, 4, costs)
    yield from _damaged("costs", "json", BAD_PROFILES, "sim simulate 1f1b -p 2 -m 2 --profile {}")
    damaged: Content = {
        "bad.json": '{"speed": 1}', "list.json": "[]", "text.json": "{", "other": "hello\n",
        "binary": b"\xff\xfe",
    }  # fmt: skip
    yield from cases("errors of plans", [f"sim plan {each}" for each in BAD_PLANS], 4, damaged)
    machines = [json.dumps({**json.loads(MACHINE), **change}) for change in BAD_MACHINES]
    machines += ["", "[]", "{}", '{"devices": 8}', '{"devices": 8, "device": "h100"}']
    plan = "sim plan --model {} --cluster {} --batch 8 --jobs 1"
    yield from _damaged("machines", "json", machines, plan.format("llama-3-8b", "{}"))
    yield from _damaged("configs", "json", BAD_CONFIGS, plan.format("{}", "8xh100"))
    folders = {
        "folder/a.safetensors": "", "listed/model.json": "{}", "checkpoint/config.json": "{}",
        "file.json": "{}",
    }  # fmt: skip
    yield from cases("errors of runs", [f"backend {each}" for each in BAD_RUNS], 4, folders)
    layers = {
        "bad.json": "{}", "list.json": "[]", "empty.json": "", "half.json":
        '{"format": "pipebubble.layers/1", "layers": [{"bytes": -1, "load": 1, "compute": 1}], '
        '"resident_bytes": 0, "name": "x"}',
    }  # fmt: skip
    yield from cases(
        "errors of streams", [f"sim pipeload {each}" for each in BAD_STREAMS], 4, layers
    )
    profiles = {
        "bad.json": '{"format": "pipebubble.trace/1"}', "list.json": "[]", "text.json": "{",
        "lacks.json": '{"forward": [1, 1], "backward": 1, "weight": 1}',
    }  # fmt: skip
    validations = [f"validation {words}" for words in BAD_VALIDATIONS]
    yield from cases("errors of validation", validations, 4, profiles)


TWO = "fam('1f1b', 2, 2)"
COSTS_2 = "sim.Costs.of(2, forward=1, backward=1, weight=1)"
TRACE = f"sim.simulate({TWO}, {COSTS_2})"
PLAN = "sim.plan({model}, '8xh100', sequence=1024, batch={batch}, jobs=1, {more})"
CALLS = (
    # families
    "fam('1f1b', 0, 1)", "fam('1f1b', 2, 0)", "fam('1f1b', 2.0, 2)", "fam('1f1b', True, 2)",
    "fam('1f1b', '2', 2)", "fam('1f1b', 2, 2, v=2)", "fam('interleaved', 4, 8, slices=2)",
    "fam('interleaved', 4, 8, v=0)", "fam('interleaved', 4, 8, group_size=0)",
    "fam('interleaved', 4, 8, group_size=2)", "fam('interleaved', 4, 8, group_size=1, v=3)",
    "fam('interleaved', 4, 8, v=None) == fam('interleaved', 4, 8)", "fam('dualpipe-v', 4, 7)",
    "fam('dualpipe-v', 4, 1)", "fam('seq1f1b-interleaved', 4, 8, slices=2, group_size=2)",
    "fam('gis', 4, 7)", "fam('gis-h', 4, 7, v=1)", "fam('looped-bfs', 4, 3)", "fam('v-min', 1, 1)",
    # what is no schedule, no trace, no costs
    *(f"sim.{ask}({thing})" for ask in ("validate", "Costs.uniform", "to_json", "grid",
      "peak_activations") for thing in ("None", "'1f1b'", "sim.FAMILIES['1f1b']", "4")),
    *(f"sim.{ask}({thing})" for ask in ("makespan", "bubble", "idle_account", "gantt", "peak_bytes",
      "memory_curve", "critical_path") for thing in ("None", TWO)),
    "sim.costs_to_json(None)", "sim.slower(None, [1])", f"sim.slower({COSTS_2}, [1, 2, 3])",
    f"sim.slower({COSTS_2}, [1, -1])", f"sim.clock_time({TRACE}, 'wall')",
    f"sim.bubble({TRACE}, clock='wall')", "sim.from_json(Path('a'))", "sim.from_json(b'{}')",
    "sim.parse_op('F')", "sim.parse_op('X0@0')", "sim.parse_op('')", "sim.parse_op('F-1@0')",
    "sim.write_torch_csv(fam('seq1f1b', 2, 2), 'a.csv')", "sim.read_torch_csv('missing.csv')",
    f"sim.write_torch_csv({TWO}, 'no/a.csv')", f"sim.write_perfetto({TRACE}, 'no/a.json')",
    f"sim.write_perfetto({TWO}, 'a.json')",
    f"sim.write_perfetto({TRACE}, 'a.json', microseconds=0)",
    f"sim.write_perfetto({TRACE}, 'a.json', microseconds=math.nan)",
    # costs
    "sim.Costs(forward=1, backward=1, weight=1)", "sim.Costs((), (), ())",
    "sim.Costs.of(1, forward=1, backward=1, weight=1, speed=9)",
    "sim.Costs.of('2', forward=1, backward=1, weight=1)",
    "sim.Costs.of(2, forward=[1, 2, 3], backward=1, weight=1)",
    "sim.Costs.of(2, forward=1, backward=[1], weight=1)",
    "sim.Costs.of(2, forward=1, backward=1, weight=-1)",
    "sim.Costs.of(2, forward=1, backward=1, weight=math.nan)",
    "sim.Costs.of(2, forward=1, backward=1, weight=1, send=[1, 1])",
    "sim.Costs.of(2, forward=1, backward=1, weight=1, backward_bytes=-3)",
    "sim.Costs.of(2, forward=1, backward=1, weight=1, group_scale=None)",
    "sim.Costs.of(2, forward=1, backward=[1, 10**400], weight=1)",
    f"sim.Costs.uniform({TWO}, forward=-1)", f"sim.Costs.uniform({TWO}, send=math.inf)",
    f"sim.Costs.uniform({TWO}, weight='1')", f"sim.Costs.uniform({TWO}, boundary_bytes=True)",
    "sim.Costs.uniform(sim.Schedule((), (), 1))",
    "sim.Costs.uniform(sim.Schedule((0,), ((),), 1, n_slices=0))",
    "sim.costs_from_json('[' * 100000)", "sim.costs_from_json(Path('a'))",
    # clusters
    *(f"sim.Cluster({words})" for words in (
        "0", "2.0", "2, memory=5", "2, memory=(5,)", "2, memory=(5, -1)", "2, memory=(5, math.nan)",
        "2, slowdown=(1, 0)", "2, slowdown=(1, -2)", "2, slowdown=(1,)", "2, neighbour_slowdown=0",
        "2, routes={(0, 1): ('wire',)}", "2, routes={(0, 2): ()}", "2, routes={(1, 1): ()}",
        "2, routes={0: ('a',)}", "2, links={'a': sim.Link()}, routes={(0, 1): 'a'}",
        "2, routes={(0, 1): 3}", "2, links={'a': (1, 2)}", "2, links=['a']", "2, routes=[(0, 1)]",
        "2, transfers='fast'", "2, receives='never'",
    )),
    "sim.Link(bandwidth=0)", "sim.Link(bandwidth=math.nan)", "sim.Link(latency=-1)",
    "sim.nodes(4, per_node=0, inside=sim.Link(), between=sim.Link())",
    "sim.nodes(0, per_node=1, inside=sim.Link(), between=sim.Link())",
    # plays
    *(f"sim.simulate({words})" for words in (
        f"{TWO}, None", f"{COSTS_2}, {TWO}", f"{TWO}, {COSTS_2}, 2", f"None, {COSTS_2}",
        f"{TWO}, {COSTS_2}, sim.Cluster(3)", f"{TWO}, {COSTS_2}, iterations=0",
        f"{TWO}, {COSTS_2}, iterations=2.0", f"{TWO}, {COSTS_2}, jitter=-1.0",
        f"{TWO}, {COSTS_2}, jitter=1000", f"{TWO}, {COSTS_2}, jitter=0.1, seed=-1",
        f"{TWO}, {COSTS_2}, seed=1.5", f"{TWO}, {COSTS_2}, optimizer=math.nan",
        f"{TWO}, {COSTS_2}, optimizer=-1", f"fam('1f1b', 3, 2), {COSTS_2}",
        f"{TWO}, sim.Costs.of(2, forward=[[1, 2], [1]], backward=1, weight=1)",
        f"{TWO}, sim.Costs.of(2, forward=1e308, backward=1e308, weight=1)",
        f"{TWO}, unit({TWO}, activation_bytes=10), sim.Cluster(2, memory=(19, 10))",
        f"{TWO}, unit({TWO}, activation_bytes=0.1), sim.Cluster(2, memory=(0.15, 1))",
        f"{TWO}, unit({TWO}, static_bytes=7), sim.Cluster(2, memory=(5, 10))",
        f"{TWO}, unit({TWO}, activation_bytes=2e9, static_bytes=7e9), "
        "sim.Cluster(2, memory=(8e9, 8e9))",
        "fam('1f1b', 2, 8), unit(fam('1f1b', 2, 8)), "
        "sim.Cluster(2, transfers='blocking', receives='just-in-time')",
        "fam('v-half', 4, 8), unit(fam('v-half', 4, 8)), "
        "sim.Cluster(4, transfers='blocking', receives='just-in-time')",
    )),
    # broken schedules
    *(f"sim.validate({words})" for words in (
        "sim.Schedule((), (), 1)", "sim.Schedule((), ((),), 1)", "built('', m=0)",
        "built('', m=-2)",
        "built('F0@0 BW0@0', k=0)", "sim.Schedule((0,), ((),), 1.5)",
        "sim.Schedule((0,), ((),), True)",
        "built('', placement=(0, 1))", "built('', placement=(-1,))", "built('', placement=(0.0,))",
        "built('', '', placement=(0,))", "sim.Schedule((0,), ((('F', 0, 0),),), 1)",
        "sim.Schedule((0,), ((None,),), 1)", "sim.Schedule((0,), ((sim.Op('I', 0, 0),),), 1)",
        "sim.Schedule((0,), ((sim.Op('F', 0, 0.0),),), 1)", "built('F0@0 F1@0 BW0@0')",
        "built('F0@0 F0@1 BW0@0')", "built('F0@0 F0.1@0')", "built('F0@0 F0@1 BW0@0', 'BW0@1')",
        "built('F0@0 F0@0 BW0@0')", "built('F0@0 BW0@0 B0@0')", "built('F0@0 B0@0 W0@0 BW0@0')",
        "built('F0@0 BW0@0 W0@0')", "built('')", "built('BW0@0')", "built('F0@0')",
        "built('F0@0 B0@0')", "built('F0@0 W0@0')", "built('F0@0 F1@0 BW0@0 BW1@0', m=3)",
        "built('F0@0 BW0@0', k=2)", "built('F0@0 W0@0 B0@0')", "built('BW0@0 F0@0')",
        "built('F0.1@0 F0@0 BW0.1@0 BW0@0', k=2)", "built('F0@0 F0.1@0 BW0@0 BW0.1@0', k=2)",
        "built('F0@1 F0@0 BW0@1 BW0@0', placement=(0, 0))", "built('F1@0 F0@0 BW0@0 BW1@0', m=2)",
        "built('F0@0&BW0@0')", "built('F0@0 B0@0&W0@0')", "built('F0@0 BW0@0', m=10**9)",
        "built('F0@0 BW0@0 F1@0 BW1@0', 'F0@1 F1@1 BW0@1 BW1@1', m=2)",
        "built('F0@0 BW0@0 F1@0 BW1@0', 'F0@1 BW0@1&F1@1 BW1@1', m=2)",
        "built('F0@0 F1@0 BW0@0 BW1@0', 'F0@1 BW0@1 F1@1 BW1@1', 'F0@2 F1@2 BW0@2 BW1@2', m=2)",
        "replace(built('F0@0 F1@0 BW0@0 BW1@0', m=2), fused=((),))",
        "replace(built('F0@0 F1@0 BW0@0 BW1@0', m=2), fused=((sim.Op('F', 0, 0),),))",
        "replace(built('F0@0 F1@0 BW0@0 BW1@0', m=2), "
        "fused=((sim.Op('F', 0, 0), sim.Op('F', 0, 7)),))",
        "replace(built('F0@0 F1@0 BW0@0 BW1@0', m=2), "
        "fused=((sim.Op('F', 0, 0), sim.Op('BW', 0, 1)),))",
    )),
    # pictures
    *(f"sim.gantt({TRACE}, window={window})" for window in ("(5, 1)", "(5,)", "5", "'ab'")),
    f"sim.gantt({TRACE}, width=-5)", f"sim.gantt_svg({TRACE})", "sim.gantt_svg({})",
    f"sim.idle({TRACE})", "sim.comparison(pd.DataFrame({'schedule': []}))",
    "sim.comparison(pd.DataFrame({'schedule': []}), clock='bubble')", "sim.chart_svg()",
    "sim.chart_svg({'a': ([1], [float('inf')])})",
    "sim.chart_svg({'a': ([1], [1])}, shape='round')",
    # search
    *(f"sim.search.evaluate({words})" for words in (
        f"{TWO}, None", f"None, {COSTS_2}", f"fam('1f1b', 3, 2), {COSTS_2}",
        "built('BW0@0 F0@0'), sim.Costs.of(1, forward=1, backward=1, weight=1)",
        "built('F3@0 BW0@0'), sim.Costs.of(1, forward=1, backward=1, weight=1)",
    )),
    f"sim.search.lower_bound({TWO}, {COSTS_2}, clock='wall')",
    f"sim.search.lower_bound({TWO}, {COSTS_2}, memory_limit=0.5)",
    f"sim.search.lower_bound({TWO}, {COSTS_2}, memory_bytes=[1, 2, 3])",
    f"sim.search.lower_bound({TWO}, unit({TWO}, activation_bytes=9), memory_bytes=8)",
    f"sim.search.lower_bound({TWO}, {COSTS_2}, memory_limit=-1)",
    f"sim.search.steady_interval({TWO}, {COSTS_2}, memory_limit=0.5)",
    *(f"sim.search.search(2, 4, {COSTS_2}{more})" for more in (
        ", placement='ring'", ", placement='straight', clock='wall'", "", ", workers=0",
        ", placement='straight', workers=0", ", placement='straight', time_limit=-1",
        ", placement='straight', memory_limit=0.5", ", placement='straight', memory_bytes=[1]",
    )),
    f"sim.search.search(0, 4, {COSTS_2})", f"sim.search.search(2, True, {COSTS_2})",
    f"sim.search.pareto(2, 4, {COSTS_2}, placement='straight', limits=[])",
    *(f"sim.search.smallest_interval({words})" for words in (
        f"(0, 2), {COSTS_2}", f"(), {COSTS_2}", f"(0, 1, 2), {COSTS_2}",
        f"(0, 1), {COSTS_2}, memory_limit=0.5", f"(0, 1), {COSTS_2}, microbatches_per_period=0",
        "(0, 1), sim.Costs.of(2, forward=1, backward=1, weight=1, activation_bytes=10, "
        "static_bytes=100), memory_bytes=105",
    )),
    # models, machines, plans
    "sim.models.Model('odd', 2, 64, 7, 100)", "sim.models.Model('odd', 2, 64, 8, 100, kv_heads=5)",
    "sim.models.Model('odd', 0, 64, 8, 100)",
    "sim.models.Model('odd', 2, 64, 8, 100, experts=sim.models.Experts(8, 9, 64))",
    "sim.models.read_config('missing.json')", "sim.hardware.machine_of('h900', 8)",
    "sim.hardware.machine_of('8xa100')", "sim.hardware.machine_of('8xh100', 16)",
    "sim.hardware.machine_of('h100')", "sim.hardware.machine_of('h100', 12)",
    "sim.hardware.machine_of('2x8xh100', per_node=4)",
    "sim.hardware.machine_of('8xh100', inside='x')",
    "sim.hardware.machine_of('32xh100', per_rack=16)", "sim.hardware.read_machine('missing.json')",
    "sim.hardware.Device('mine', 0, 1, 1)", "sim.planner.Space(schedules=())",
    "sim.planner.Space(recompute=())", "sim.planner.Space(zero=())",
    "sim.planner.Space(tensor=(0,))",
    "sim.planner.Space(schedules=('interleaved',), virtual=(1,))",
    "sim.planner.Space(schedules=('2f2b',))", "sim.planner.Space(schedules=('seq1f1b',))",
    *(f"sim.planner.Problem({SMALL}, sim.hardware.machine_of('8xh100'), {more})" for more in (
        "reserve=-1", "reserve=1e12", "reserve=math.nan", "cut='odd'", "clock='wall'", "cut='E|tL'",
    )),
    *(PLAN.format(model=SMALL, batch=64, more=f"space=sim.planner.Space({space})") for space in (
        "tensor=(3,)", "microbatch=(7,)", "tensor=(4,), pipeline=(4,)", "tensor=(8,), expert=(2,)",
    )),
    PLAN.format(model=SMALL, batch=30, more="space=sim.planner.Space(data=(4,))"),
    PLAN.format(model=SMALL, batch=0, more=""), PLAN.format(model="'llama-9'", batch=8, more=""),
    PLAN.format(model="'llama3-70b'", batch=8, more=""),
    PLAN.format(model=SMALL, batch=8, more="top=0"),
    PLAN.format(model=SMALL, batch=8, more="cut='x'"),
    "sim.planner.model_of('gpt-9')", "sim.planner.virtual_stages('nothing')",
)  # fmt: skip
STREAM_CALLS = (
    "stream(pipeload.equal_layers(2), loaders=0)",
    "stream(pipeload.equal_layers(2), strategy='all')",
    "stream(pipeload.equal_layers(2), memory_limit=math.nan)", "StreamedModel(())",
    "Layer(-1, 1, 1, 'x')",
    "Disk(0)", "disk_of(0, 1)", "shaped('bert', load=1, compute=1)", "model_from_json('{}')",
    "stream(pipeload.equal_layers(3, layer_bytes=5, resident_bytes=2), memory_limit=6)",
    "stream(pipeload.equal_layers(3, layer_bytes=5), memory_limit=6, strategy='keep')",
    "best_plan(pipeload.plans(pipeload.equal_layers(3, layer_bytes=5), [5, 15]), 4)",
    "plans(pipeload.equal_layers(3, layer_bytes=5), [3, 4])",
)  # fmt: skip
BACKEND = (
    "backend.Model((1, 1), width=30, heads=4)", "backend.Model(())", "backend.even_layers(-1, 2)",
    "backend.even_layers(3, 0)", "backend.grouped([1, 2], (1,))", "validation.trace_from_json('{')",
    "validation.trace_from_json('[]')", "validation.profile_from_json('{}')",
    "validation.trace_from_json('{\"format\": \"pipebubble.trace/1\"}')",
    f"validation.compare({TRACE}, sim.simulate(fam('gpipe', 2, 2), {COSTS_2}))",
    f"validation.replay({TRACE}, schedule=fam('1f1b', 3, 2))",
    f"validation.Profile({COSTS_2}, 0.0, math.inf, neighbour_slowdown=0).predict({TWO})",
)  # fmt: skip


def calls() -> Iterator[Case]:
    yield from cases("errors of calls", asked(*CALLS), 6)
    streams = asked(*(f"pipeload.{expression}" for expression in STREAM_CALLS))
    yield from cases("errors of streaming", streams, 7)
    yield from cases("errors of backend and validation", asked(*BACKEND), 7)


TABLES = (schedule_files, commands, calls)
