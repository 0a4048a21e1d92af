"""`python -m sim machine`: what a machine is made of, and files to fill in."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from ..cli.renamed import renamed
from ..cli.simulate import Json
from ..show.table import facts_table, print_table
from .cost_model import efficiency_of
from .hardware import NODES, Machine, machine_of, machine_template, read_machine

GIB = 2**30


def machine_command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|PATH",
            help="A cluster, e.g. 64xh100, a device (a node of them), or a machine's JSON file.",
        ),
    ],
    template: Annotated[
        bool, typer.Option("--template", help="The machine as a JSON file to fill in.")
    ] = False,
    efficiencies_template: Annotated[
        bool, typer.Option("--efficiencies-template", help="Its efficiencies as a JSON file.")
    ] = False,
    profile_template: Annotated[bool, typer.Option("--profile-template", hidden=True)] = False,
    as_json: Json = False,
) -> None:
    """Show what plans know of a machine; or print a file to fill in, for --cluster, --efficiencies.

    Example:  python -m sim machine 64xh100 --template > machine.json
    """
    node = NODES[name.lower()].devices if name.lower() in NODES else None
    machine = read_machine(name) if name.endswith(".json") else machine_of(name, node)
    of_efficiencies = renamed("--profile-template", profile_template,
                              "--efficiencies-template", efficiencies_template)  # fmt: skip
    if template and of_efficiencies:
        raise ValueError("--template and --efficiencies-template are two files: ask for one")
    if template:
        print(json.dumps(machine_template(machine), indent=1))
    elif of_efficiencies:
        print(json.dumps(asdict(efficiency_of(machine.device.name)), indent=1))
    elif as_json:
        print(json.dumps(facts_of_machine(machine)))
    else:
        title = f"{machine.name}: {machine.n_nodes} x {machine.per_node} devices"
        print_table(facts_table(title, _facts(machine).items()))
        for note in machine.notes:
            print_table(f"note: {note}")


def facts_of_machine(machine: Machine) -> dict[str, Any]:
    """The machine written out, where its efficiencies come from, and what was taken."""
    return {
        **machine_template(machine),
        "nodes": machine.n_nodes,
        "efficiencies": asdict(efficiency_of(machine.device.name)),
        "notes": list(machine.notes),
    }


def _facts(machine: Machine) -> dict[str, str]:
    """What there is to say of a machine, by name."""
    device, efficiency = machine.device, efficiency_of(machine.device.name)
    rates = ", ".join(
        f"{rate / 1e12:,.0f} in {bits} bits"
        for bits, rate, wider in (
            (16, device.flops, 0.0),
            (8, device.fp8, device.flops),
            (4, device.fp4, device.fp8),
        )
        if rate > wider
    )
    wires = {"inside": machine.inside, "between": machine.between, "across": machine.across}
    return {
        "TFLOP/s": f"{rates} (dense)",
        "memory": f"{device.memory / GIB:.1f} GiB at {device.bandwidth / 1e9:,.0f} GB/s",
        "source": device.source,
        **{
            key: f"{wire.name}: {wire.bandwidth / 1e9:g} GB/s, {wire.latency * 1e6:g} us"
            for key, wire in wires.items()
            if wire
        },
        "efficiencies": efficiency.source,
    }
