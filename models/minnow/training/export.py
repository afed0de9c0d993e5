"""Write a checkpoint as a Hugging Face model directory: `python export.py CHECKPOINT DIRECTORY`.

The ONNX graph is built by hand around `com.microsoft.GroupQueryAttention`, with the input and output names of
onnxruntime-genai and onnx-community models. Past and present may share one buffer that is longer than the length in
use: nothing but the attention operator touches them, and it takes lengths from the attention mask.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

import tokenizer
from model import Config, Minnow, rotary_tables

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


class Graph:
    """Nodes and initialisers of the graph under construction."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: np.ndarray) -> str:
        """Add an initialiser and return its name."""
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, op: str, inputs: list[str], outputs: str | list[str], domain: str = "", **attributes) -> str:
        """Add a node, named after its first output, and return that output."""
        outputs = [outputs] if isinstance(outputs, str) else outputs
        self.nodes.append(
            helper.make_node(op, inputs, outputs, name=f"/{outputs[0]}/{op}", domain=domain, **attributes)
        )
        return outputs[0]


def build(model: Minnow) -> onnx.ModelProto:
    """The decoder as an ONNX model in single precision."""
    c = model.config
    weights = {name: tensor.detach().float().numpy() for name, tensor in model.state_dict().items()}
    g = Graph()

    def norm(x: str, name: str) -> str:
        scale = g.constant(f"{name}.weight", weights[f"{name}.weight"])
        return g.add(
            "SimplifiedLayerNormalization", [x, scale], f"{name}.output", axis=-1, epsilon=c.rms_norm_eps, stash_type=1
        )

    def linear(x: str, name: str) -> str:
        return g.add("MatMul", [x, g.constant(f"{name}.weight", weights[f"{name}.weight"].T)], f"{name}.output")

    cos, sin = rotary_tables(c)
    g.constant("cos_cache", cos.numpy())
    g.constant("sin_cache", sin.numpy())
    one = g.constant("one", np.array([1], np.int64))
    g.add("ReduceSum", ["attention_mask", one], "lengths", keepdims=0)
    g.add("Sub", ["lengths", one], "last_positions")
    g.add("Cast", ["last_positions"], "seqlens_k", to=TensorProto.INT32)
    g.add("Shape", ["attention_mask"], "mask_shape")
    g.add("Gather", ["mask_shape", g.constant("width_axis", np.array(1, np.int64))], "mask_width", axis=0)
    g.add("Cast", ["mask_width"], "total_sequence_length", to=TensorProto.INT32)

    g.constant("embed_tokens.weight", weights["embed_tokens.weight"])
    x = g.add("Gather", ["embed_tokens.weight", "input_ids"], "embed_tokens.output", axis=0)
    for i in range(c.layers):
        at = f"layers.{i}"
        h = norm(x, f"{at}.input_layernorm")
        q, k, v = (linear(h, f"{at}.self_attn.{name}_proj") for name in "qkv")
        past = [f"past_key_values.{i}.key", f"past_key_values.{i}.value"]
        present = [f"present.{i}.key", f"present.{i}.value"]
        attended = g.add(
            "GroupQueryAttention",
            [q, k, v, *past, "seqlens_k", "total_sequence_length", "cos_cache", "sin_cache"],
            [f"{at}.self_attn.output", *present],
            domain="com.microsoft",
            num_heads=c.heads,
            kv_num_heads=c.kv_heads,
            scale=c.head_dim**-0.5,
            do_rotary=1,
            rotary_interleaved=0,
        )
        x = g.add("Add", [x, linear(attended, f"{at}.self_attn.o_proj")], f"{at}.attention_residual")
        h = norm(x, f"{at}.post_attention_layernorm")
        gate = linear(h, f"{at}.mlp.gate_proj")
        sigmoid = g.add("Sigmoid", [gate], f"{at}.mlp.sigmoid")
        silu = g.add("Mul", [gate, sigmoid], f"{at}.mlp.silu")
        product = g.add("Mul", [silu, linear(h, f"{at}.mlp.up_proj")], f"{at}.mlp.product")
        x = g.add("Add", [x, linear(product, f"{at}.mlp.down_proj")], f"{at}.output")
    head = g.constant("lm_head.weight", weights["embed_tokens.weight"].T)
    g.add("MatMul", [norm(x, "norm"), head], "logits")

    def cache(kind: str, length: str) -> list[onnx.ValueInfoProto]:
        shape = ["batch_size", c.kv_heads, length, c.head_dim]
        names = [f"{kind}.{i}.{part}" for i in range(c.layers) for part in ("key", "value")]
        return [helper.make_tensor_value_info(name, FLOAT, shape) for name in names]

    graph = helper.make_graph(
        g.nodes,
        "minnow",
        [
            helper.make_tensor_value_info("input_ids", INT64, ["batch_size", "sequence_length"]),
            helper.make_tensor_value_info("attention_mask", INT64, ["batch_size", "total_sequence_length"]),
            *cache("past_key_values", "past_sequence_length"),
        ],
        [
            helper.make_tensor_value_info("logits", FLOAT, ["batch_size", "sequence_length", c.vocab_size]),
            *cache("present", "total_sequence_length"),
        ],
        g.initializers,
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="minnow")


def configuration(c: Config) -> dict:
    """The contents of config.json."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": None,
        "eos_token_id": tokenizer.END,
        "pad_token_id": tokenizer.PAD,
        "head_dim": c.head_dim,
        "hidden_act": "silu",
        "hidden_size": c.hidden_size,
        "initializer_range": 0.02,
        "intermediate_size": c.intermediate_size,
        "max_position_embeddings": c.max_positions,
        "mlp_bias": False,
        "num_attention_heads": c.heads,
        "num_hidden_layers": c.layers,
        "num_key_value_heads": c.kv_heads,
        "rms_norm_eps": c.rms_norm_eps,
        "rope_scaling": None,
        "rope_theta": c.rope_theta,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
        "use_cache": True,
        "vocab_size": c.vocab_size,
        "transformers.js_config": {"dtype": "fp32", "use_external_data_format": False},
    }


def generation_configuration(c: Config) -> dict:
    """The contents of generation_config.json: greedy unless the caller says otherwise."""
    return {
        "do_sample": False,
        "eos_token_id": tokenizer.END,
        "pad_token_id": tokenizer.PAD,
        "max_length": c.max_positions,
    }


def write_json(path: Path, value: dict) -> None:
    """Write readable JSON with a final newline."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("directory", type=Path)
    arguments = parser.parse_args()
    model = Minnow(Config())
    model.load_state_dict(torch.load(arguments.checkpoint)["model"])
    directory = arguments.directory
    (directory / "onnx").mkdir(parents=True, exist_ok=True)
    onnx.save(build(model), directory / "onnx" / "model.onnx")
    write_json(directory / "config.json", configuration(model.config))
    write_json(directory / "generation_config.json", generation_configuration(model.config))
    write_json(directory / "tokenizer.json", tokenizer.tokenizer_json())
    write_json(directory / "tokenizer_config.json", tokenizer.tokenizer_config())


if __name__ == "__main__":
    main()
