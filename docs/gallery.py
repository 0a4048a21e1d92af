"""Makes what the documentation shows from the code: pictures, the gallery, the README's table.

python docs/gallery.py          writes docs/gallery.md, docs/pictures/*.svg and README.md
"""

from __future__ import annotations

import sys
from pathlib import Path

import sim
from sim.families.blocks.build import Block, lifespan
from sim.show.as_drawn import as_drawn

HOME = Path(__file__).resolve().parent
P, M = 4, 8
FIRST_SCREEN = ("1f1b", "v-min", "v-half", "v-zb")


def main() -> None:
    for path, text in everything().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(f"wrote {path.relative_to(HOME.parent)}")


def everything() -> dict[Path, str]:
    """All files and what belongs in them."""
    found = {HOME / "pictures" / f"{name}.svg": picture([name]) for name in sim.FAMILIES}
    found[HOME / "pictures" / "first-screen.svg"] = picture(FIRST_SCREEN)
    for name in sim.FAMILIES:
        if block := block_of(name):
            found[HOME / "pictures" / f"{name}-block.svg"] = block_picture(block)
    found[HOME / "gallery.md"] = gallery()
    readme = HOME.parent / "README.md"
    found[readme] = with_table(readme.read_text(), families_table())
    return found


def played(name: str) -> sim.Trace:
    """The family on four devices, every pass of a device's whole share taking one unit, and those
    of its part of the vocabulary half of one."""
    schedule = sim.FAMILIES[name](P, M)
    costs = sim.Costs.uniform(
        schedule, forward=1, backward=1, weight=1, offload=1, vocabulary_scores=0.5,
        vocabulary_gradients=0.5,
    )  # fmt: skip
    return sim.simulate(schedule, costs)


def picture(names: tuple[str, ...] | list[str]) -> str:
    """Their time lines, each with its facts as a title."""
    traces = {}
    for name in names:
        trace = played(name)
        peak = max(sim.peak_shares(trace))
        traces[
            f"{name}: {float(sim.makespan(trace)):g} time units, bubble {sim.bubble(trace):.0%}, "
            f"at most {float(peak):g} activations per device"
        ] = trace
    return sim.gantt_svg(traces) + "\n"


def block_of(name: str) -> Block | None:
    """The building block of a family that is drawn as one; it stands beside the rule."""
    rule = sim.FAMILIES[name].build
    found = getattr(sys.modules[rule.__module__], f"{rule.__name__}_block", None)
    return found(P) if found else None


def block_picture(block: Block) -> str:
    """One microbatch, and a few of them, in the cells where the block puts them."""
    traces = {
        f"one microbatch, alive for up to {max(lifespan(block))} cells": as_drawn(block),
        f"the next begins every {block.interval} cells": as_drawn(block, 4),
    }
    return sim.gantt_svg(traces) + "\n"


def gallery() -> str:
    """Every family: time line, building block, order, formulas, source."""
    lines = [
        "# Gallery",
        "",
        f"Every family on {P} devices with {M} microbatches, F = B = W = 1 for a device's whole",
        "share of one microbatch, as does a copy (O, L), no send time. Bubble and peak are the",
        "formulas that the tests evaluate; `python docs/gallery.py` makes this page.",
    ]
    for name, family in sim.FAMILIES.items():
        doc = (family.build.__doc__ or "").strip().splitlines()[0]
        lines += [
            "",
            f"## {name}",
            "",
            doc,
            "",
            f"![{name}](pictures/{name}.svg)",
            "",
            *(
                [f"Its building block:\n\n![block of {name}](pictures/{name}-block.svg)\n"]
                if block_of(name)
                else []
            ),
            f"- placement {family.placement}, passes {family.passes}"
            + (f", options {', '.join(family.options)}" if family.options else ""),
            f"- bubble on {family.clock.replace('_', ' ')}: {_formula(family.bubble)}; peak: "
            f"{_formula(family.peak)}{' shares' if family.peak else ''}{_exact(family)}",
            f"- {family.source}",
            "",
            "```",
            str(family(P, M)),
            "```",
        ]
    return "\n".join(lines) + "\n"


def families_table() -> str:
    """The README's table of families."""
    lines = [
        "| family | stages | passes | bubble | peak (shares) | exact when | source |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, family in sim.FAMILIES.items():
        cells = (
            f"`{name}`",
            family.placement,
            family.passes,
            _formula(family.bubble),
            _formula(family.peak),
            "always" if family.exact_when == "True" else _formula(family.exact_when),
            family.source,
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def with_table(readme: str, table: str) -> str:
    """`readme` with the table between its two marks."""
    head, _, rest = readme.partition("<!-- families -->\n")
    _, _, tail = rest.partition("<!-- end of families -->")
    if not tail:
        raise ValueError("README.md lacks the marks <!-- families --> and <!-- end of families -->")
    return f"{head}<!-- families -->\n{table}\n<!-- end of families -->{tail}"


def _exact(family: sim.Family) -> str:
    """When its formulas hold with ==; nothing of a family that has none."""
    if not (family.bubble or family.peak):
        return ""
    always = family.exact_when == "True"
    return "; always exact" if always else f"; exact when {_formula(family.exact_when)}"


def _formula(text: str) -> str:
    return f"`{text}`" if text else "no closed form"


if __name__ == "__main__":
    main()
