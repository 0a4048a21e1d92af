"""What FSDP2 does with the weights of a module."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.distributed.fsdp import FSDPModule

from .versions import require, require_attributes

require({"torch.distributed.fsdp.FSDPModule": "_get_fsdp_state"})


def reshards(stage: nn.Module) -> bool:
    """Whether weights inside are sharded again when their forward is over, and so are elsewhere
    than in its graph."""
    for module in stage.modules():
        if isinstance(module, FSDPModule):
            state: Any = module._get_fsdp_state()
            groups = getattr(state, "_fsdp_param_groups", None)
            if groups is None:
                require_attributes(state, "_fsdp_param_group")
            if groups is None:
                groups = [one for one in [state._fsdp_param_group] if one is not None]
            kept = module is stage and getattr(state, "_auto_reshard_after_forward", False)
            if not kept and any(one.post_forward_mesh_info is not None for one in groups):
                return True
    return False
