"""Cases of `unchanged.py` that build, play, draw and evaluate schedules and print all there is."""

from __future__ import annotations

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


TABLES = (schedules, plays, pictures, evaluations)
