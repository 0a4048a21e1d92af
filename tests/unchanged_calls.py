"""Cases of `unchanged.py` that call the other public functions and print all that they give."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from unchanged_case import Call, Case, Step, asked, cases, names, show, tell
from unchanged_plays import BYTES, SOME


def front_door() -> Iterator[Case]:
    packages = ("sim", "sim.search", "sim.planner", "sim.models", "sim.hardware", "backend",
                "validation")  # fmt: skip
    some: list[Step] = [Call(f"names of {each}", partial(signatures, each)) for each in packages]
    yield from cases("names", some)
    some = asked(
        "sim.KINDS", "list(sim.FAMILIES)", "set(sim.__all__) <= set(dir(sim))",
        "[(f.name, f.placement, f.passes, f.bubble, f.peak, f.source, f.clock, f.exact_when, "
        "f.options) for f in sim.FAMILIES.values()]", "sim.nothing", "sim.search.nothing",
        "__import__('backend').nothing", "__import__('validation').nothing",
    )  # fmt: skip
    yield from cases("front door", some, 8)


def signatures(package: str) -> None:
    """Print the public names of a package with their parameters and fields."""
    import importlib
    import inspect
    from dataclasses import fields, is_dataclass

    import sim

    home = getattr(sim, package.removeprefix("sim."), None) if "." in package else None
    module = home or importlib.import_module(package)
    for name in sorted(module.__all__):
        found = getattr(module, name)
        print(name, type(found).__name__)
        if is_dataclass(found):
            print(" ", [each.name for each in fields(found)])
        if inspect.isclass(found):
            print(" ", [base.__name__ for base in found.__mro__],
                  sorted(name for name in vars(found) if not name.startswith("_")))  # fmt: skip
        if inspect.isfunction(found) or (inspect.isclass(found) and "__init__" in vars(found)):
            for each in inspect.signature(found).parameters.values():
                print("   ", each.replace(annotation=inspect.Parameter.empty), each.kind.name)


CONFIGS = {
    "llama": '{"model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, '
    '"num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, '
    '"vocab_size": 128256, "tie_word_embeddings": false, "attention_dropout": 0.0}',
    "mixtral": '{"model_type": "mixtral", "hidden_size": 4096, "intermediate_size": 14336, '
    '"num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, '
    '"vocab_size": 32000, "num_local_experts": 8, "num_experts_per_tok": 2}',
    "deepseek": '{"model_type": "deepseek_v3", "hidden_size": 7168, "intermediate_size": 18432, '
    '"moe_intermediate_size": 2048, "num_hidden_layers": 61, "num_attention_heads": 128, '
    '"num_key_value_heads": 128, "vocab_size": 129280, "n_routed_experts": 256, '
    '"n_shared_experts": 1, "num_experts_per_tok": 8, "first_k_dense_replace": 3, '
    '"q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, '
    '"v_head_dim": 128}',
    "gpt2": '{"model_type": "gpt2", "n_layer": 12, "n_embd": 768, "n_head": 12, "vocab_size": '
    '50257, "n_positions": 1024, "attn_pdrop": 0.1}',
    "falcon": '{"model_type": "falcon", "hidden_size": 4544, "num_hidden_layers": 32, '
    '"num_attention_heads": 71, "num_kv_heads": 71, "multi_query": true, "vocab_size": 65024}',
    "mpt": '{"model_type": "mpt", "d_model": 4096, "n_heads": 32, "n_layers": 32, '
    '"expansion_ratio": 4, "vocab_size": 50432, "no_bias": true}',
    "opt": '{"model_type": "opt", "hidden_size": 2048, "ffn_dim": 8192, "num_hidden_layers": 24, '
    '"num_attention_heads": 32, "vocab_size": 50272, "max_position_embeddings": 2048, '
    '"word_embed_proj_dim": 2048}',
    "pictures": '{"model_type": "gemma3", "text_config": {"model_type": "gemma3_text", '
    '"num_hidden_layers": 34, "hidden_size": 2560, "num_attention_heads": 8, '
    '"num_key_value_heads": 4, "intermediate_size": 10240, "vocab_size": 262208, "head_dim": 256}}',
    "qwen moe": '{"model_type": "qwen2_moe", "num_hidden_layers": 24, "hidden_size": 2048, '
    '"num_attention_heads": 16, "num_key_value_heads": 16, "intermediate_size": 5632, '
    '"vocab_size": 151936, "num_experts": 60, "num_experts_per_tok": 4, "moe_intermediate_size": '
    '1408, "shared_expert_intermediate_size": 5632, "decoder_sparse_step": 1}',
}
SMALL = "sim.models.Model('small', 14, 512, 8, 32000, kv_heads=4)"


def models_and_machines() -> Iterator[Case]:
    looks = ("repr", "sim.models.parameters", "sim.models.active_parameters",
             "sim.models.layer_parameters", "sim.models.embedding_parameters",
             "sim.models.head_parameters")  # fmt: skip
    some = asked(*(f"{look}(sim.models.read_config('config.json'))" for look in looks))
    for name, config in CONFIGS.items():
        yield from cases(f"config of {name}", some, len(some), {"config.json": config})
    some = asked(
        "sim.models.MODELS",
        "sim.models.PUBLISHED_BILLIONS",
        "sim.models.ARCHITECTURES",
        "{name: sim.models.parameters(model) for name, model in sim.models.MODELS.items()}",
        "[sim.models.nearest_divisor(12, n) for n in (1, 5, 8, 100)]",
        "sim.hardware.DEVICES",
        "sim.hardware.WIRES",
        "sim.hardware.machine_of('64xh100')",
        "sim.hardware.machine_of('4 x 2 x H100')",
        "sim.hardware.machine_of('a100-80g', 2)",
        "sim.hardware.machine_of('32xh100', per_rack=16, across='roce')",
        "[sim.hardware.wire_between(sim.hardware.machine_of('32xh100', per_rack=16, across='roce'),"
        " 0, n).name for n in (1, 9, 17)]",
        "[sim.hardware.ring(sim.hardware.machine_of('32xh100'), sim.hardware.Group(a, b)) for a, b "
        "in ((1, 1), (8, 1), (4, 8), (16, 1), (2, 16))]",
        "sim.hardware.with_memory(sim.hardware.machine_of('8xb200'), 5)",
        "sim.hardware.read_machine('machine.json')",
        "sim.hardware.read_machine('machine.json', devices=16, inside='pcie5')",
    )
    yield from cases("models and machines", some, 4, {"machine.json": MACHINE})


MACHINE = json.dumps(
    {
        "devices": 64, "per_node": 8, "inside": "nvlink4",
        "device": {"name": "mine", "flops": 1e15, "memory": 8e10, "bandwidth": 3e12},
        "between": {"name": "mine", "bandwidth": 2.5e10, "latency": 1e-5},
    }
)  # fmt: skip


def plans() -> Iterator[Case]:
    some = asked(*(
        f"sim.plan({SMALL}, '8xh100', sequence=1024, batch=32, jobs=1, "
        f"space=sim.planner.Space({space}), {more})"
        for space, more in (
            ("", ""),
            ("schedules=('1f1b', 'interleaved', 'gpipe', 'eager-1f1b'), pipeline=(2, 4)",
            "top=None"),
            ("zero=(0, 1, 2, 3), schedules=('1f1b', 'zb-h1')", "clock='longest_stage'"),
            ("recompute=('selective',), attention='plain', tensor=(1, 2)", "cut='even'"),
            ("schedules=('v-half', 'v-min', 'zb-v', 'v-zb', '1f1b-v', 'dualpipe-v')", "reserve=0"),
            ("schedules=('1f1b',), recompute=('none',)", "cut='Ettt|(t*4|)*2tttL'"),
            ("schedules=('2bp-1f1b-2', 'gis', 'gis-h', 'looped-bfs'), virtual=(2, 3)", ""),
        )
    ))  # fmt: skip
    yield from cases("plan", some)
    yield from cases("plan", [Call("what a plan is good for", followed)])


def followed() -> None:
    """Print what can be done with the rows of a plan."""
    known = names()
    question = "sequence=1024, batch=32, jobs=1, top=None, space=sim.planner.Space("
    question += "schedules=('1f1b', 'interleaved', 'v-half', 'zb-v'), pipeline=(4,))"
    known["problem"] = eval(
        f"sim.planner.Problem({SMALL}, sim.hardware.machine_of('8xh100'), reserve=0)", known
    )
    kept = eval(f"sim.plan({SMALL}, '8xh100', {question})", known)
    known["kept"] = kept
    for schedule in ("1f1b", "interleaved", "v-half", "zb-v"):
        known["row"] = kept[kept["schedule"] == schedule].iloc[0]
        known["c"] = eval("sim.planner.configuration_of(row)", known)
        for expression in (
            "c", "sim.planner.key_of(c)", "sim.planner.megatron(problem, c)",
            "sim.planner.torchtitan(problem, c, csv_path='s.csv')",
            "str(sim.planner.schedule_of(c))",
            "sim.planner.estimate(problem, sim.planner.prepare(problem, c), sim.planner.Orders())",
            "sim.planner.cluster_of(problem, c, sim.planner.schedule_of(c))",
            "sim.makespan(sim.planner.timeline(problem, c))",
            "sim.peak_bytes(sim.planner.timeline(problem, c))",
            "sim.planner.rates(problem, c, row['seconds'])",
            "sim.planner.live_counts(sim.planner.schedule_of(c))",
        ):  # fmt: skip
            tell(expression, known)
    tell("problem", known)
    tell("sim.planner.robustness(problem, kept, rows=3, draws=20)", known)
    tell("sim.planner.replayed(problem, kept, rows=4)", known)


def backends() -> Iterator[Case]:
    some: list[Step] = [
        Call(f"backend.run {family} {options}", partial(ran, family, options))
        for family, options in (
            ("1f1b", "split='deferred'"), ("zb-h1", "split='native'"), ("v-half", ""),
            ("seq1f1b", ""), ("dualpipe-v", ""), ("2bp-gpipe", ""), ("interleaved", ""),
        )
    ]  # fmt: skip
    yield from cases("tensors", some, timed=True)
    some = [
        Call(expression, partial(tell_backend, expression))
        for expression in (
            "backend.even_layers(7, 3)", "small", "backend.transformer_stages(small)",
            "backend.estimated_passes(lambda: (backend.transformer_stages(small), "
            "*backend.tokens(small, 2)), n_slices=2).table",
            "[t.sum() for t in backend.tokens(small, 3)]",
            "[len(part) for part in backend.grouped([*backend.transformer_stages(small)] * 2, "
            "(1, 0, 3))]",
        )
    ]  # fmt: skip
    yield from cases("backend", some, 6)


def tell_backend(expression: str) -> None:
    """`tell` with `backend` and a small model of it."""
    import backend

    small = backend.Model(layers=(1, 1), width=16, heads=2, vocabulary=50, sequence=8)
    tell(expression, {"backend": backend, "small": small})


def ran(family: str, options: str) -> None:
    """Run a schedule on tensors, and print what no clock decides."""
    import backend
    import sim

    schedule = sim.FAMILIES[family](2, 4)
    model = backend.Model(
        layers=(1,) * schedule.n_stages, width=16, heads=2, vocabulary=50, sequence=8
    )
    batch, targets = backend.tokens(model, n_rows=8)
    stages = backend.transformer_stages(model)
    asked = eval(f"dict({options})")
    result = backend.run(schedule, stages, batch, targets=targets, **asked)
    print(f"{float(result.loss):.5g}", result.peak_bytes, result.static_bytes)
    frame = result.trace.ops.sort_values(["device", "position"])
    show(frame[["device", "position", "kind", "stage", "microbatch", "slice", "step"]])
    show(result.trace.memory.groupby("device")["change"].agg(["sum", "min", "max"]).reset_index())
    moved = result.trace.transfers.sort_values(["value", "stage", "microbatch", "slice"])
    show(moved[["value", "stage", "microbatch", "slice", "source", "destination", "bytes"]])
    gradients = [[weight.grad for weight in stage.parameters()] for stage in stages]
    plain = backend.plain_backward(backend.transformer_stages(model), batch, targets=targets)
    print(f"{float(plain.loss):.5g}", backend.gradient_error(gradients, plain.gradients) < 1e-5)


def validations() -> Iterator[Case]:
    some: list[Step] = [
        Call(f"a trace of {family} compared and replayed", partial(replayed, family))
        for family in SOME
    ]
    yield from cases("validation", some)


def replayed(family: str) -> None:
    """Write a trace as JSON, read it, compare it with another one, and replay it."""
    import validation

    known = names() | {"validation": validation}
    known["s"] = eval(f"fam('{family}', 2, 4)", known)
    known["one"] = eval(f"sim.simulate(s, unit(s, {BYTES}))", known)
    known["two"] = eval("sim.simulate(s, unit(s, forward=11, send=2), jitter=0.1)", known)
    for expression in (
        "validation.trace_to_json(one)",
        "validation.trace_from_json(validation.trace_to_json(one)).ops",
        "vars(validation.compare(one, two))['clocks']",
        "vars(validation.compare(one, two))['devices']",
        "vars(validation.compare(one, two))['passes']",
        "validation.costs_of(one)", "sim.makespan(validation.replay(one))",
        "validation.replay(two, latency=0, slowdown=(1, 2)).ops",
        "validation.profile_to_json(validation.Profile(unit(s), 0.5, math.inf, overhead=1e-6, "
        "neighbour_slowdown=1.5, spread={'F@0.0': 0.02}))",
        "validation.Profile(unit(s), 0.5, 100.0, neighbour_slowdown=1.5).predict(s).ops",
        "validation.Profile(unit(s), 0.5, 100.0).cluster(2)",
    ):  # fmt: skip
        tell(expression, known)


def streams() -> Iterator[Case]:
    some: list[Step] = [
        Call(f"stream {model}, {more}", partial(streamed, model, more))
        for model, more in (
            ("equal_layers(6, load=3, compute=1, layer_bytes=7, resident_bytes=5)", "loaders=2"),
            ("equal_layers(6, load=3, compute=1)", "loaders=3, disk=pipeload.Disk(1.5)"),
            ("equal_layers(5, load=0.1, compute=0.3, layer_bytes=7)", "memory_limit=14, loaders=4"),
            ("equal_layers(4, load=3, compute=1)", "strategy='load-all'"),
            ("equal_layers(4, load=3, compute=1)", "strategy='keep'"),
            ("shaped('bert-large', load=100, compute=3)", "loaders=2, memory_limit=400000000"),
            ("shaped('gpt-j', load=0.25, compute=1)", "loaders=6, disk=pipeload.Disk(4)"),
        )
    ]
    yield from cases("streaming", some)


def streamed(model: str, more: str) -> None:
    """Stream a model, and print all that is known of it."""
    from sim import pipeload

    known = names() | {"pipeload": pipeload}
    known["model"] = eval(f"pipeload.{model}", known)
    known["trace"] = eval(f"pipeload.stream(model, {more})", known)
    for expression in (
        "pipeload.latency(trace), pipeload.waiting_peak(trace), sim.peak_bytes(trace)",
        "dict(trace.notes)", "trace.ops", "trace.transfers", "trace.memory",
        "pipeload.model_to_json(model)", "model.smallest_limit, model.bytes",
        "pipeload.plans(model, [int(model.smallest_limit), int(model.bytes)], max_loaders=4)",
    ):  # fmt: skip
        tell(expression, known)


TABLES = (front_door, models_and_machines, plans, backends, validations, streams)
