"""Exports that start: Megatron-LM's flags against its checks, written down here; torchtitan's
command line against its own parser where it is installed."""

from __future__ import annotations

import argparse
import json
import math
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import sim
from sim.planner import (
    Problem,
    Space,
    configurations,
    megatron,
    megatron_environment,
    prepare,
    schedule_of,
    torchtitan,
)
from sim.planner.cost_model import Configuration, refusal
from sim.planner.hardware import machine_of
from sim.planner.models import MODELS, Model
from sim.schedule.torch_csv import from_torch_csv

SMALL = Model("small", 14, 512, 8, 32000, kv_heads=4)
MACHINE = machine_of("8xh100")
PROBLEM = Problem(SMALL, MACHINE, reserve=0)


def configuration(schedule: str, p: int, m: int, *, v: int = 2, **more: Any) -> Configuration:
    family = sim.FAMILIES[schedule]
    virtual = v if "v" in family.options else 2 if family.placement == "V" else 1
    return Configuration(
        1024, m * (8 // p), pipeline=p, data=8 // p, schedule=schedule, virtual=virtual, **more
    )


# Megatron-LM


def parsed_by_megatron(flags: list[str]) -> argparse.Namespace:
    """Its flags, with the types and choices of megatron/training/arguments.py."""
    parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
    for name in (
        "tensor-model-parallel-size", "pipeline-model-parallel-size", "micro-batch-size",
        "global-batch-size", "seq-length", "expert-model-parallel-size", "recompute-num-layers",
        "num-layers-per-virtual-pipeline-stage", "mtp-num-layers",
        "microbatch-group-size-per-virtual-pipeline-stage", "context-parallel-size",
        "expert-tensor-parallel-size",
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int)
    for name in ("sequence-parallel", "use-distributed-optimizer", "use-megatron-fsdp"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--no-gradient-accumulation-fusion", action="store_true")
    parser.add_argument("--ckpt-format", choices=["torch", "torch_dist", "fsdp_dtensor"])
    parser.add_argument(
        "--data-parallel-sharding-strategy",
        choices=["no_shard", "optim", "optim_grads", "optim_grads_params"],
    )
    parser.add_argument("--cp-comm-type", nargs="+", choices=["p2p", "a2a", "allgather", "a2a+p2p"])
    parser.add_argument("--fp8-format", choices=["e4m3", "hybrid"])
    parser.add_argument("--fp8-recipe", choices=["tensorwise", "delayed", "mxfp8", "blockwise"])
    parser.add_argument("--recompute-granularity", choices=["full", "selective"])
    parser.add_argument("--recompute-method", choices=["uniform", "block"])
    parser.add_argument("--attention-backend", choices=["flash", "fused", "unfused", "auto"])
    parser.add_argument("--pipeline-model-parallel-layout", type=str)
    return parser.parse_args(shlex.split(" ".join(flags)))


def stages_in(layout: str) -> list[str]:
    """`parse_str_to_list` of pipeline_parallel_layer_layout.py: brackets first, then letters."""
    text = layout.replace(",", "")
    for pattern in (r"\(([^)]+)\)\*(\d+)", r"(.)\*(\d+)"):
        text = re.sub(pattern, lambda found: found[1] * int(found[2]), text)
    return text.split("|")


def megatron_runs(flags: list[str], *, layers: int, data: int) -> int:
    """The size of its groups (0 without) after every check of `validate_args`, of the layout and of
    the schedule that these flags can fail; AssertionError where one does."""
    args = parsed_by_megatron(flags)
    p = args.pipeline_model_parallel_size
    per_step = args.micro_batch_size * data
    assert args.global_batch_size % per_step == 0
    m = args.global_batch_size // per_step
    layout, per_stage = (
        args.pipeline_model_parallel_layout,
        (args.num_layers_per_virtual_pipeline_stage),
    )
    assert not (layout and per_stage)
    virtual = 1
    if layout:
        stages = stages_in(layout)
        flat = "".join(stages)
        assert re.fullmatch(r"Et*m*L", flat)
        assert flat.count("t") == layers
        assert flat.count("m") == (args.mtp_num_layers or 0)
        assert len(stages) % p == 0
        virtual = len(stages) // p
    elif per_stage:
        assert layers % p == 0
        assert layers // p % per_stage == 0
        virtual = layers // p // per_stage
    else:
        assert layers % p == 0
    if args.context_parallel_size and args.context_parallel_size > 1:
        assert args.seq_length % (2 * args.context_parallel_size) == 0
    if args.recompute_granularity == "selective":
        assert args.recompute_method is None
    if args.use_megatron_fsdp:
        assert args.ckpt_format == "fsdp_dtensor"
    if virtual == 1:
        return 0
    size = args.microbatch_group_size_per_virtual_pipeline_stage or p
    assert p > 1
    assert p <= size <= m  # schedules.py: "should range in [PP=..., M=...]"
    assert not 0 < m % size < p  # schedules.py: "The remainder of M ... divided by N"
    return int(size)


def test_every_configuration_that_megatron_has_a_schedule_for_starts() -> None:
    space = Space(schedules=("1f1b", "interleaved"), tensor=(1, 2), recompute=("none",))
    sizes = set()
    for c in configurations(SMALL, MACHINE, space, sequence=1024, batch=72):
        if not refusal(SMALL, c):
            size = megatron_runs(megatron(PROBLEM, c), layers=14, data=c.data)
            sizes.add((c.pipeline, c.n_microbatches, size))
    assert {(4, 18, 6), (2, 18, 2), (8, 9, 9), (4, 36, 4), (8, 18, 9)} <= sizes


@pytest.mark.parametrize("zero", [0, 1, 2, 3])
@pytest.mark.parametrize("recompute", ["none", "selective", "full"])
def test_sharding_and_recompute_start_in_megatron(zero: int, recompute: Any) -> None:
    c = configuration("interleaved", 4, 18, zero=zero, recompute=recompute)
    assert megatron_runs(megatron(PROBLEM, c), layers=14, data=2) == 6


@pytest.mark.parametrize("by", ["ring", "all-to-all", "all-gather"])
def test_shared_sequences_and_fewer_bits_start_in_megatron(by: Any) -> None:
    c = Configuration(1024, 18, pipeline=4, context=2, context_by=by, precision="fp8", virtual=2,
                      schedule="interleaved")  # fmt: skip
    assert megatron_runs(megatron(PROBLEM, c), layers=14, data=1) == 6


def test_megatron_interleaves_only_with_a_microbatch_for_every_device() -> None:
    with pytest.raises(ValueError, match=r"microbatches as devices .* here 3 meet 4"):
        megatron(PROBLEM, configuration("interleaved", 4, 3))
    assert megatron(PROBLEM, configuration("1f1b", 4, 3))


@pytest.mark.parametrize(("p", "m"), [(4, 18), (2, 9), (8, 17)])
def test_the_groups_that_are_written_are_the_ones_that_were_priced(p: int, m: int) -> None:
    c = configuration("interleaved", p, m)
    size = megatron_runs(megatron(PROBLEM, c), layers=14, data=c.data)
    assert schedule_of(c) == sim.FAMILIES["interleaved"](p, m, group_size=size)
    assert prepare(PROBLEM, c).shape.group == size


def test_groups_of_the_pipelines_size_would_not_start() -> None:
    flags = megatron(PROBLEM, configuration("interleaved", 4, 18))
    assert flags[-1] == "--microbatch-group-size-per-virtual-pipeline-stage 6"
    assert megatron_runs(flags, layers=14, data=2) == 6
    with pytest.raises(AssertionError):
        megatron_runs([*flags[:-1]], layers=14, data=2)


def test_megatrons_flags_for_a_plan_of_eighteen_microbatches(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from sim.cli.commands import main

    code = main([
        "plan", "--model", "llama-3-8b", "--cluster", "8xh100", "--batch", "36", "--pipeline", "4",
        "--data", "2", "--microbatch", "1", "--virtual", "2", "--schedules", "interleaved",
        "--recompute", "none", "--jobs", "1", "--megatron-flags",
    ])  # fmt: skip
    out = capsys.readouterr().out
    assert code == 0
    flags = out[out.index("--tensor-model") :].replace(" \\\n", "\n").splitlines()
    assert megatron_runs(flags, layers=32, data=2) == 6


def test_prediction_layers_are_flags_and_an_m_beside_the_head() -> None:
    problem = replace(PROBLEM, model=replace(SMALL, mtp_layers=1))
    c = configuration("interleaved", 4, 18)
    flags = megatron(problem, c)
    assert "--mtp-num-layers 1" in flags
    layout = parsed_by_megatron(flags).pipeline_model_parallel_layout
    assert stages_in(layout)[-1].endswith("mL")
    assert megatron_runs(flags, layers=14, data=2) == 6
    # torchtitan/models/deepseek_v3/mtp.py: "MTP does not support pipeline parallelism yet."
    with pytest.raises(ValueError, match="refuses layers for predicting further tokens with a pip"):
        torchtitan(problem, c)
    assert torchtitan(problem, Configuration(1024, 8, data=8)).arguments


def test_a_layout_says_where_prediction_layers_are() -> None:
    model = replace(SMALL, mtp_layers=1)
    apart = replace(PROBLEM, model=model, cut="Et*5|t*5|t*4m|L")
    beside = replace(apart, cut="Et*5|t*5|t*4|mL")
    silent = replace(apart, cut="Et*5|t*5|t*4|L")
    c = configuration("1f1b", 4, 8)
    stages = {name: prepare(problem, c).stages for name, problem in
              (("apart", apart), ("beside", beside), ("silent", silent))}  # fmt: skip
    assert stages["beside"] == stages["silent"]
    plain = prepare(replace(PROBLEM, cut="Et*5|t*5|t*4|L"), c).stages
    costs = stages["apart"][2].seconds.total - plain[2].seconds.total
    assert costs > 0
    assert stages["beside"][3].seconds.total - plain[3].seconds.total == pytest.approx(costs)
    assert stages["apart"][3].seconds == plain[3].seconds
    # Words and head, 32,000 by 512 each, are copied to the third stage; beside the head it is the
    # words alone.
    whole = {name: sum(stage.held.total for stage in each) for name, each in stages.items()}
    assert whole["apart"] - whole["beside"] == 32000 * 512
    wrong = [("Et*5|t*5|t*4|mmL", model, "has 2"), ("Et*5|t*5|t*4m|L", SMALL, "has 1")]
    for cut, own, words in wrong:
        with pytest.raises(ValueError, match=rf"{words} .*layers? \(m\)"):
            prepare(replace(apart, model=own, cut=cut), c)


def test_megatrons_flags_name_what_is_not_there() -> None:
    with pytest.raises(ValueError, match="Megatron-LM has no schedule v-half: plan with 1f1b"):
        megatron(PROBLEM, configuration("v-half", 4, 8))


def test_megatron_wants_one_connection_with_tensor_parallelism_and_not_with_sharding() -> None:
    # arguments.py: asserted before Blackwell with a tensor parallel size above 1, and the contrary
    # of it with --use-megatron-fsdp.
    one = Configuration(1024, 8, tensor=2, data=4)
    assert megatron_environment(one) == "export CUDA_DEVICE_MAX_CONNECTIONS=1"
    assert megatron_environment(replace(one, zero=2)) == "unset CUDA_DEVICE_MAX_CONNECTIONS"
    assert megatron_environment(replace(one, tensor=1)) == ""


# torchtitan


def words_after(arguments: tuple[str, ...], name: str) -> list[str]:
    at = arguments.index(f"--{name}") + 1
    end = next(
        i for i in range(at, len(arguments) + 1)
        if i == len(arguments) or arguments[i].startswith(("--", "activation_checkpoint:"))
    )  # fmt: skip
    return list(arguments[at:end])


@pytest.mark.parametrize(
    ("schedule", "name"),
    [
        ("1f1b", "1F1B"), ("zb-h1", "1F1B"), ("interleaved", "Interleaved1F1B"),
        ("gis", "Interleaved1F1B"), ("v-half", "ZBVZeroBubble"), ("v-min", "ZBVZeroBubble"),
        ("zb-v", "ZBVZeroBubble"), ("dualpipe-v", "ZBVZeroBubble"),
    ],
)  # fmt: skip
def test_torchtitans_arguments_and_csv_describe_one_run(schedule: str, name: str) -> None:
    c = configuration(schedule, 4, 8)
    found = torchtitan(PROBLEM, c, csv_path="s.csv")
    modules = words_after(found.arguments, "parallelism.module_fqns_per_model_part")
    assert len(modules) == c.n_stages
    flat = ",".join(modules).split(",")
    assert flat == ["tok_embeddings", *(f"layers.{i}" for i in range(14)), "norm", "lm_head"]
    assert words_after(found.arguments, "training.local_batch_size") == ["8"]
    assert from_torch_csv(found.csv).orders == schedule_of(c).orders
    assert words_after(found.arguments, "parallelism.pipeline_parallel_schedule") == [name]
    assert [
        words_after(found.arguments, f"parallelism.{degree}_degree")
        for degree in ("tensor_parallel", "pipeline_parallel", "data_parallel_shard")
    ] == [["1"], ["4"], ["2"]]
    assert "--training.disable_cuda_graphs" in found.arguments
    assert found.arguments[-1] == "activation_checkpoint:none"
    assert found.command.startswith("torchrun --nproc_per_node=8 -m torchtitan.train --module")


def test_torchtitans_own_configurations_are_named_where_it_has_one() -> None:
    problem = Problem(MODELS["llama-3-70b"], machine_of("64xh100"))
    c = Configuration(8192, 64, pipeline=8, data=8, zero=2)
    found = torchtitan(problem, c)
    assert found.arguments[:4] == ("--module", "llama3", "--config", "llama3_70b")
    assert "--nnodes=8" in found.launcher
    assert [note.split(":")[0] for note in found.notes] == [
        "HEAD_NODE",
        "gradients are summed up over data parallelism once an iteration, not in every pass",
    ]
    assert "MODULE and CONFIG" in torchtitan(PROBLEM, configuration("1f1b", 4, 8)).notes[0]


def test_torchtitan_refuses_tied_weights_only_with_a_pipeline() -> None:
    problem = replace(PROBLEM, model=replace(SMALL, tied=True))
    with pytest.raises(ValueError, match=r"refuses tied weights with a pipeline: untie them \(tie"):
        torchtitan(problem, configuration("1f1b", 4, 8))
    assert not torchtitan(problem, Configuration(1024, 8, data=8)).csv


def test_torchtitan_shares_sequences_that_it_can_cut() -> None:
    c = Configuration(1024, 8, tensor=2, context=2, data=2, sequence_parallel=True)
    found = torchtitan(PROBLEM, c)
    assert words_after(found.arguments, "parallelism.context_parallel_degree") == ["2"]
    assert "how devices share a sequence is its own choice; planned was ring" in found.notes
    # trainer.py: the sequence must be divisible by tensor times twice the context parallel size.
    with pytest.raises(ValueError, match=r"a sequence into 8 pieces, .* and 1020 tokens"):
        torchtitan(PROBLEM, replace(c, sequence=1020))


def test_torchtitan_cuts_no_key_value_head() -> None:
    with pytest.raises(ValueError, match="8 does not divide 4: plan with a smaller --tensor"):
        torchtitan(PROBLEM, Configuration(1024, 8, tensor=8))


def test_what_one_program_cannot_run_does_not_keep_the_other_from_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from sim.cli.commands import main

    ask = ["plan", "--model", "llama-3-8b", "--cluster", "8xh100", "--batch", "32", "--pipeline",
           "4", "--tensor", "1", "--recompute", "none", "--jobs", "1", "--torchtitan-dir",
           str(tmp_path / "titan"), "--megatron-flags"]  # fmt: skip
    code = main([*ask, "--schedules", "v-half"])
    said = capsys.readouterr()
    assert code == 1
    assert said.err.startswith("not written: Megatron-LM has no schedule v-half")
    written = (tmp_path / "titan" / "torchtitan.sh").read_text()
    assert "# for torchtitan 0.3.0" in written
    assert f"--parallelism.pipeline_parallel_schedule_csv {tmp_path / 'titan'}" in written
    config = tmp_path / "config.json"
    config.write_text(json.dumps({
        "model_type": "llama", "num_hidden_layers": 8, "hidden_size": 512,
        "num_attention_heads": 8, "vocab_size": 1000, "tie_word_embeddings": True,
    }))  # fmt: skip
    ask[2], ask[ask.index(str(tmp_path / "titan"))] = str(config), str(tmp_path / "tied")
    code = main([*ask, "--schedules", "1f1b"])
    said = capsys.readouterr()
    assert code == 1
    assert "not written: torchtitan 0.3.0 refuses tied weights" in said.err
    assert "--tensor-model-parallel-size 1" in said.out
    assert not list((tmp_path / "tied").iterdir())


@pytest.mark.torchtitan
@pytest.mark.parametrize("schedule", ["1f1b", "zb-h1", "interleaved", "zb-v", "v-half", "v-min"])
@pytest.mark.parametrize("recompute", ["none", "selective", "full"])
def test_torchtitans_own_parser_and_placement_take_the_export(
    schedule: str, recompute: Any, tmp_path: Path
) -> None:
    """Run with torchtitan 0.3.0 installed: `pytest -m torchtitan tests/sim/planner`."""
    manager = pytest.importorskip("torchtitan.config.manager")
    parallel = pytest.importorskip("torchtitan.distributed.pipeline_parallel")
    c = Configuration(
        1024, 8, pipeline=4, context=2, schedule=schedule, recompute=recompute,
        virtual=2 if sim.FAMILIES[schedule].placement != "straight" else 1,
    )  # fmt: skip
    problem = replace(PROBLEM, model=MODELS["llama-3-8b"])
    found = torchtitan(problem, c, csv_path=str(tmp_path / "schedule.csv"))
    config = manager.ConfigManager().parse_args(list(found.arguments))
    parallelism = config.parallelism
    assert config.training.disable_cuda_graphs
    assert (config.training.seq_len, config.training.global_batch_size) == (1024, 8)
    assert parallelism.context_parallel_degree == 2
    assert parallelism.pipeline_parallel_schedule_csv == str(tmp_path / "schedule.csv")
    kind = type(config.activation_checkpoint).__qualname__
    assert kind == {"none": "NoneType", "selective": "SelectiveAC.Config",
                    "full": "FullAC.Config"}[recompute]  # fmt: skip
    placement = schedule_of(c).placement
    n_stages = len(parallelism.module_fqns_per_model_part)
    for rank in range(4):
        mine = parallel._get_pp_rank_to_stage_indices_mapping(
            rank, 4, parallelism.pipeline_parallel_schedule, n_stages
        )
        assert set(mine) == {s for s, device in enumerate(placement) if device == rank}
    held = [name for part in parallelism.module_fqns_per_model_part for name in part]
    import torch

    with torch.device("meta"):
        model = config.model_spec.model.build()
    assert sorted(held) == sorted(
        name
        for name, _ in model.named_modules()
        if re.fullmatch(r"tok_embeddings|norm|lm_head|layers\.\d+", name)
    )
    parts = [
        parallel._split_module(model, names) for names in parallelism.module_fqns_per_model_part
    ]
    weights = sum(math.prod(w.shape) for part in parts for w in part.parameters())
    assert weights == sum(math.prod(w.shape) for w in model.parameters())
