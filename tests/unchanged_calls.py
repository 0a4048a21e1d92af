"""Cases of `unchanged.py` that call public functions and print all that they give."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from unchanged_case import Call, Case, Step, asked, cases, names, show, tell

FAMILIES = (
    "gpipe", "1f1b", "eager-1f1b", "interleaved", "looped-bfs", "zb-h1", "zb-h2", "zb-v", "1f1b-v",
    "v-min", "v-half", "v-zb", "gis", "gis-h", "dualpipe-v", "seq1f1b", "seq1f1b-interleaved",
    "seq1f1b-zb", "2bp-naive", "2bp-gpipe", "2bp-1f1b-1", "2bp-1f1b-2",
)  # fmt: skip
SOME = ("1f1b", "interleaved", "zb-h2", "v-half", "dualpipe-v", "seq1f1b", "2bp-gpipe")
"""One family of each kind."""
BYTES = "send=1, activation_bytes=1000, boundary_bytes=40, static_bytes=7000"
PAIRS = "[(a, b) for a in range(4) for b in range(4) if a != b]"
CLUSTERS = (
    "sim.Cluster(4, receives='early')",
    "sim.Cluster(4, receives='just-in-time')",
    "sim.Cluster(4, transfers='blocking')",
    "sim.Cluster(4, transfers='blocking', receives='early')",
    "sim.nodes(4, per_node=2, inside=sim.Link(0.5, 80), between=sim.Link(3, 9))",
    "sim.Cluster(4, links={'w': sim.Link(Fraction(1, 3), 16)}, "
    f"routes={{pair: ('w',) for pair in {PAIRS}}})",
    f"sim.Cluster(4, links={{str(p): sim.Link(2, 20) for p in {PAIRS}}}, "
    f"routes={{p: (str(p),) for p in {PAIRS}}})",
    "sim.Cluster(4, slowdown=(1, 1.2, Fraction(4, 3), 1))",
    "sim.Cluster(4, neighbour_slowdown=1.25)",
    "replace(sim.nodes(4, per_node=2, inside=sim.Link(0, 80), between=sim.Link(3, 9)), "
    "neighbour_slowdown=1.5, slowdown=(1, 1, 2, 1), receives='early')",
    "sim.Cluster(4, memory=(90000, 90000, None, 90000))",
    "sim.Cluster(4, memory=(12000, 12000, 12000, 12000), receives='just-in-time')",
)
MORE = (
    "jitter=0.1, seed=7",
    "iterations=3, optimizer=Fraction(5, 2)",
    "iterations=3, barrier=False, optimizer=1",
    "iterations=2, jitter=0.05, seed=1, barrier=False",
)
ODD = (
    "sim.Costs.of(s.n_stages, forward=[1 + i % 3 for i in range(s.n_stages)], backward=2.5, "
    "weight=Fraction(1, 3), send=[i % 2 for i in range(s.n_stages - 1)], "
    "activation_bytes=[9 + i for i in range(s.n_stages)], backward_bytes=-4, "
    "boundary_bytes=3, static_bytes=[i for i in range(s.n_stages)], pair_scale=0.9, "
    "group_scale=Fraction(2, 3))",
    "sim.Costs.of(s.n_stages, forward=0.1234567890123, backward=0.2345678901234, "
    "weight=0.1357924680135, fused_backward=0.3333333, send=0.0123456789012345, "
    "activation_bytes=7, backward_bytes=2)",
    "unit(s, forward=0, backward=0, weight=0, send=0)",
)


def plays() -> Iterator[Case]:
    """Every family with equal costs, some on every sort of cluster, and odd costs."""
    for family in FAMILIES:
        m = 10 if family == "dualpipe-v" else 9
        sizes = ((f"4, {m}", f"unit(s, {BYTES})"), ("3, 6", "unit(s, forward=0.1)"))
        some = [_play(f"fam('{family}', {size})", costs) for size, costs in sizes]
        yield from cases("play", some, 2)
    for family in SOME:
        schedule, costs = f"fam('{family}', 4, 10)", f"unit(s, {BYTES})"
        some = [_play(schedule, costs, cluster) for cluster in CLUSTERS]
        some += [_play(schedule, costs, more=more) for more in MORE]
        some.append(_play(schedule, costs, CLUSTERS[4], MORE[2]))
        some.append(_play(schedule, costs, CLUSTERS[0], MORE[1]))
        some += [_play(f"fam('{family}', 4, 6)", odd) for odd in ODD]
        yield from cases(f"play {family} oddly", some, 4)
    some = [
        _play("fam('seq1f1b', 3, 4, slices=3)",
              "sim.Costs.of(3, forward=[[1, 2, 3], [1], [2, 2, 2]], backward=[[3, 2, 1]] * 3, "
              "weight=1, send=1, boundary_bytes=[[1, 2, 3], [3]])",
              "sim.nodes(3, per_node=1, inside=sim.Link(), between=sim.Link(1, 2))"),
        _play("built('F1@0 F0@0 BW1@0 BW0@0', m=2)", "unit(s)"),
        _play("built('F0@0&F1@0 F2@0 BW1@0&BW2@0 BW0@0', m=3)", "unit(s)",
              more="iterations=2, optimizer=4"),
        _play("built('F0@0 F0@3 B0@3 W0@3 BW0@0', 'F0@1 F0@2 BW0@2 B0@1 W0@1', "
              "placement=(0, 1, 1, 0))", f"unit(s, {BYTES})"),
    ]  # fmt: skip
    yield from cases("play", some, 4)


def _play(schedule: str, costs: str, cluster: str = "None", more: str = "") -> Step:
    words = (schedule, costs, "" if cluster == "None" else cluster, more)
    function = partial(play, schedule, costs, cluster, more)
    return Call(", ".join(word for word in words if word), function)


def play(schedule: str, costs: str, cluster: str, more: str) -> None:
    """Play a schedule, and print all that can be read off the trace."""
    known = names()
    known["s"] = eval(schedule, known)
    try:
        trace = known["trace"] = eval(f"sim.simulate(s, {costs}, {cluster}, {more})", known)
    except ValueError as error:
        print(f"{type(error).__name__}: {error}")
        return
    for question in (
        "sim.makespan(trace), sim.longest_stage(trace)",
        "[sim.bubble(trace, clock) for clock in ('makespan', 'longest_stage')]",
        "sim.busy(trace)",
        "sim.peak_activations(s), sim.peak_bytes(trace)",
        "sim.iteration_times(trace)",
        "sim.idle_account(trace)",
        "[(leg.what, str(leg.op), *leg[2:]) for leg in sim.critical_path(trace)]",
        "trace.per_unit, trace.capacity, trace.iterations, trace.origin, dict(trace.notes)",
        "sorted({type(x).__name__ for x in trace.memory['live']})",
        "sorted({type(x).__name__ for x in trace.transfers['bytes']})",
    ):
        tell(question, known)
    for name in ("ops", "transfers", "memory"):
        print(name)
        show(getattr(trace, name))


def pictures() -> Iterator[Case]:
    some: list[Step] = [
        Call(f"pictures of {schedule}, {more}", partial(drawn, schedule, more))
        for schedule, more in (
            ("fam('1f1b', 4, 8)", ""), ("fam('v-half', 4, 8)", "iterations=2"),
            ("fam('dualpipe-v', 4, 10)", ""), ("fam('seq1f1b', 3, 4)", ""),
            ("fam('2bp-gpipe', 3, 4)", ""), ("fam('interleaved', 4, 8)", "jitter=0.1"),
            ("fam('zb-v', 12, 30)", ""),
        )
    ]  # fmt: skip
    yield from cases("pictures", some)
    front = "pd.DataFrame({'schedule': list('abc'), 'peak': [1.0, 2, 2], "
    front += "'bubble_makespan': [0.5, 0.1, 0.3], 'bubble_longest_stage': [0.4, 0.2, 0.3]})"
    some = asked(
        f"str(sim.comparison({front}, title='t').to_json(engine='json'))",
        f"str(sim.comparison({front}, clock='longest_stage', width=300).to_json(engine='json'))",
        "sim.chart_svg({'a<b': ([1, 2, 3], [4, 1, 2])}, points={'c': (2, 2)}, x='x', y='y')",
        "sim.chart_svg({'a': ([1, 2, 3], [4, 1, 2]), 'b': ([1, 3], [1, 1])}, shape='steps')",
        "sim.gantt_svg({name: sim.simulate(s, unit(s)) for name in ('1f1b', 'v-min') "
        "for s in [fam(name, 4, 8)]})",
        "str(sim.gantt(sim.simulate(fam('1f1b', 4, 8), unit(fam('1f1b', 4, 8))), "
        "window=(10**4, 10**4 + 1)).to_json(engine='json'))",
    )
    yield from cases("figures", some, 3)
    some = [
        Call(f"sim.explore({asked})", partial(explored, asked))
        for asked in ("'v-half', 4, 8", "'interleaved', 4, 8, v=3, forward=11, send=1",
                      "'dualpipe-v', 3, 5", "'seq1f1b', 2, 3, slices=3")
    ]  # fmt: skip
    yield from cases("explorer", some, 2)


def explored(words: str) -> None:
    """Turn knobs of the explorer, and print what it shows."""
    known = names()
    explorer = known["explorer"] = eval(f"sim.explore({words})", known)
    for turn in (
        lambda: None,
        lambda: explorer.controls["backward"].set_trait("value", 13),
        lambda: explorer.pin.set_trait("value", True),
        lambda: explorer.controls["m"].set_trait("value", 12),
    ):
        turn()
        for question in ("explorer.facts.value", "explorer.message.value", "explorer.code.value",
                         "explorer.pictures.figures", "sorted(explorer.figures)"):  # fmt: skip
            tell(question, known)


def drawn(schedule: str, more: str) -> None:
    """Play a schedule, and print the fingerprints of its pictures and files."""
    known = names()
    known["s"] = eval(schedule, known)
    known["trace"] = eval(f"sim.simulate(s, unit(s, {BYTES}), {more})", known)
    for question in (
        "sim.gantt(trace, unit='ms', title='t').to_json(engine='json')",
        "sim.gantt(trace, window=(20, 90), width=700).to_json(engine='json')",
        "sim.memory_curve(trace, unit='s').to_json(engine='json')",
        "sim.idle(sim.idle_account(trace)).to_json(engine='json')",
        "sim.gantt_svg({'one': trace, 'a < b': trace}, width=800)",
    ):
        tell(f"str({question})", known)
    for file, question in (
        ("perfetto.json", "sim.write_perfetto(trace, 'perfetto.json')"),
        ("torch.csv", "sim.write_torch_csv(s, 'torch.csv')"),
    ):
        tell(question, known)
        if Path(file).exists():
            show(Path(file).read_text())
            Path(file).unlink()


def schedules() -> Iterator[Case]:
    for family in FAMILIES:
        sizes = ("4, 8", "3, 6", "2, 1", "1, 3", "7, 15")
        some = [_build(f"fam('{family}', {size})") for size in sizes]
        yield from cases("build", some, 5)
    some = [_build(f"fam({words})") for words in (
        "'interleaved', 4, 6", "'interleaved', 4, 9, v=3, group_size=5", "'interleaved', 2, 4, v=1",
        "'interleaved', 3, 6, group_size=10**9", "'looped-bfs', 4, 6, v=3", "'gis', 4, 8, v=3",
        "'gis-h', 5, 9, v=3", "'seq1f1b', 4, 5, slices=4", "'seq1f1b-zb', 3, 5, slices=3",
        "'seq1f1b-interleaved', 3, 5, v=3, slices=2", "'seq1f1b-interleaved', 4, 8, group_size=8",
        "'v-half', 16, 20", "'dualpipe-v', 5, 12", "'1f1b-v', 6, 12", "'v-min', 9, 30",
    )]  # fmt: skip
    yield from cases("build with options", some, 3)


def _build(schedule: str) -> Step:
    return Call(schedule, partial(built, schedule))


def built(schedule: str) -> None:
    """Print a schedule in every way there is."""
    known = names()
    try:
        known["s"] = eval(schedule, known)
    except ValueError as error:
        print(f"{type(error).__name__}: {error}")
        return
    for question in (
        "str(s)", "sim.to_json(s)", "sim.from_json(sim.to_json(s)) == s", "sim.validate(s)",
        "s.placement, s.n_ops, s.n_slices, s.stages_of, len(s.fused)", "sim.peak_activations(s)",
        "[list(map(str, sim.reads(s, op))) for op in s.orders[-1][:9]]",
        "[list(map(str, sim.writes(s, op))) for op in s.orders[0][:9]]",
        "[len(list(sim.steps(s, d))) for d in range(s.n_devices)]", "sim.grid(s, mark=(0, 2))",
    ):  # fmt: skip
        tell(question, known)


def evaluations() -> Iterator[Case]:
    for family in FAMILIES:
        some: list[Step] = [
            Call(schedule, partial(evaluated, schedule))
            for schedule in (f"fam('{family}', 4, 8)", f"fam('{family}', 3, 5)")
        ]
        yield from cases("evaluate", some, 2)
    some = asked(*(
        f"[(b.interval, b.interval_bound, b.proven) for b in [sim.search.smallest_interval("
        f"({placement}), sim.Costs.of({placement.count(',') + 1}, forward=2, backward=4, "
        f"weight=2), memory_limit={limit}, time_limit=150)]]"
        for placement in ("0, 0", "0, 1", "0, 1, 1, 0", "0, 1, 0, 1", "0, 1, 2")
        for limit in (1, 2)
    ))  # fmt: skip
    yield from cases("interval", some, 2, timed=True)


def evaluated(schedule: str) -> None:
    """Print what the compiled evaluator and the bounds say."""
    known = names()
    known["s"] = eval(schedule, known)
    for costs in (
        f"unit(s, {BYTES})", "unit(s, forward=Fraction(1, 3), weight=0.1)",
        "sim.Costs.of(s.n_stages, forward=0.1234567890123, backward=[0.2345678901234 + i / 7 for i "
        "in range(s.n_stages)], weight=1, fused_backward=3, send=0.1, pair_scale=0.9)",
    ):  # fmt: skip
        known["c"] = eval(costs, known)
        tell("vars(sim.search.evaluate(s, c))", known)
        for clock in ("makespan", "longest_stage"):
            for limit in ("None", "1", "1.5", "3"):
                tell(f"sim.search.lower_bound(s, c, clock='{clock}', memory_limit={limit})", known)
        for limit in ("", "memory_limit=2", "memory_bytes=50000", "memory_limit=0.4"):
            tell(f"sim.search.steady_interval(s, c, {limit})", known)


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


TABLES = (
    schedules, plays, pictures, evaluations, front_door, models_and_machines, plans, backends,
    validations, streams,
)  # fmt: skip
