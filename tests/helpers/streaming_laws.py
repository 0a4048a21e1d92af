"""Closed forms of streamed inference, for equal layers on a disk that never saturates.

n_layers L, loaders n, seconds to load t_l and to compute t_c one layer. Without a memory limit
agents never wait, so round r of n layers is there at r t_l:

    n t_c <= t_l   the disk decides: ceil(L/n) rounds, then the layers of the last one
    n t_c >= t_l   the computation decides: the first load, then all layers without a gap
"""

from __future__ import annotations

from sim.base.numbers import Number


def streamed_latency(n_layers: int, loaders: int, load: Number, compute: Number) -> Number:
    """Seconds of PIPELOAD without a memory limit; with one loader, of PipeSwitch too.

    >>> streamed_latency(24, 6, 10, 1)
    46
    """
    rounds = -(-n_layers // loaders)
    if loaders * compute <= load:
        return rounds * load + (n_layers - (rounds - 1) * loaders) * compute
    return load + n_layers * compute


def limited_latency(n_layers: int, loaders: int, load: Number, compute: Number) -> Number:
    """Seconds of PIPELOAD with room for exactly as many layers as loaders, which divide L.

    An agent's next load begins when the layer it loaded before has been computed and freed. So a
    round takes load and compute, unless computing n layers takes longer than one of each. The
    paper does not give this one.

    >>> limited_latency(24, 6, 10, 1)
    49
    """
    rounds = n_layers // loaders
    return (
        rounds * (load + compute)
        + (loaders - 1) * compute
        + max(0, (rounds - 1) * ((loaders - 1) * compute - load))
    )


def load_all_latency(n_layers: int, load: Number, compute: Number) -> Number:
    """Seconds of loading everything with one loader, then computing."""
    return n_layers * (load + compute)


def waiting_memory(resident: Number, layer: Number, loaders: int) -> Number:
    """Bytes by the paper's account, while the disk decides: n layers come at once, the first goes
    straight to the inference agent, n-1 wait. These are the published memory ratios."""
    return resident + (loaders - 1) * layer


def reserved_memory(resident: Number, layer: Number, loaders: int, n_layers: int) -> Number:
    """Bytes that must really be there for `streamed_latency`, while the disk decides: n layers
    loaded and waiting, and the next n being loaded."""
    return resident + min(2 * loaders, n_layers) * layer
