"""The split on transformers' own modules, random and small; skipped where it is not installed."""

from __future__ import annotations

import copy
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from backend.stages.split_backward import deferred, unsplit  # noqa: E402
from backend.stages.weight_gradients import accumulate  # noqa: E402

SMALL = {
    "vocab_size": 50, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 2, "bos_token_id": 0, "eos_token_id": 0,
}  # fmt: skip


def gpt2() -> Any:
    config = transformers.GPT2Config(
        vocab_size=50, n_positions=16, n_embd=16, n_layer=2, n_head=2, resid_pdrop=0,
        embd_pdrop=0, attn_pdrop=0, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config)


def llama() -> Any:
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(**SMALL, tie_word_embeddings=True)
    )


def qwen2_moe(experts: str) -> Any:
    config = transformers.Qwen2MoeConfig(
        **SMALL, moe_intermediate_size=16, shared_expert_intermediate_size=16, num_experts=4,
        num_experts_per_tok=2, decoder_sparse_step=1,
    )  # fmt: skip
    made = transformers.Qwen2MoeForCausalLM(config)
    made.set_experts_implementation(experts)
    return made


@pytest.mark.parametrize("name", ["gpt2", "llama", "eager", "batched_mm", "grouped_mm"])
def test_every_matrix_of_a_real_model_gets_its_gradient_in_w(name: str) -> None:
    made = {"gpt2": gpt2, "llama": llama}.get(name, lambda: qwen2_moe(name))()
    module = made if name == "grouped_mm" else made.double()  # which knows no float64
    twin, words = copy.deepcopy(module), torch.randint(50, (2, 8))
    twin(words).logits.square().mean().backward()
    with deferred(module) as deferral:
        module(words).logits.square().mean().backward()
        assert all(p.grad is None for p in module.parameters() if p.ndim > 1)
        assert unsplit(module, deferral) == ()
        accumulate(deferral.take())
    for found, wanted in zip(module.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(found.grad, wanted.grad, rtol=1e-5, atol=1e-7)
