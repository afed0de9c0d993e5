"""PyTorch transformers on the CPU, as the peers that batch around it use it."""

import json
import os

import torch
from transformers import LlamaConfig, LlamaForCausalLM


class HfModel:
    """The same architecture as the served ONNX model, with random weights: what a step costs does not depend on them."""

    def __init__(self) -> None:
        torch.set_num_threads(int(os.environ["INTRA_OP_THREADS"]))
        with open(os.path.join(os.environ["MODEL"], "config.json")) as file:
            fields = json.load(file)
        fields.pop("transformers.js_config", None)
        torch.manual_seed(1)
        self.model = LlamaForCausalLM(LlamaConfig(**fields, pad_token_id=0)).eval()

    @torch.inference_mode()
    def answers(self, prompts: list[list[int]], max_tokens: list[int]) -> list[list[int]]:
        """One batch, padded on the left with its mask, run until the longest answer is complete."""
        width = max(len(prompt) for prompt in prompts)
        ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        count = max(max_tokens)
        out = self.model.generate(
            input_ids=ids,
            attention_mask=mask,
            do_sample=False,
            min_new_tokens=count,
            max_new_tokens=count,
        )
        return [row[width : width + own].tolist() for row, own in zip(out, max_tokens)]


def reply(tokens: list[int]) -> dict:
    return {"token_ids": tokens, "usage": {"completion_tokens": len(tokens)}}
