"""A batched greedy decoder on ONNX Runtime: prefill prompts of equal or mixed length together, then decode together."""

from pathlib import Path

import numpy as np
import onnxruntime as ort

from tokenizer import END, PAD


class Decoder:
    """The exported model; every batch owns key-value buffers that the attention operator fills in place."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.caches = [i for i in self.session.get_inputs() if i.name.startswith("past_key_values")]
        self.outputs = [o.name for o in self.session.get_outputs()]

    def run(self, ids: np.ndarray, mask: np.ndarray, past: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        """One pass: logits `[batch, length, vocab]` and the present cache."""
        feeds = {"input_ids": ids, "attention_mask": mask}
        feeds |= {cache.name: value for cache, value in zip(self.caches, past, strict=True)}
        logits, *present = self.session.run(self.outputs, feeds)
        return logits, present

    def empty(self, batch: int) -> list[np.ndarray]:
        """A past of length zero."""
        return [np.zeros((batch, cache.shape[1], 0, cache.shape[3]), np.float32) for cache in self.caches]

    def generate(self, prompts: list[list[int]], limit: int) -> list[list[int]]:
        """Greedy continuations of at most `limit` tokens, without the end token."""
        batch, lengths = len(prompts), np.array([len(p) for p in prompts])
        width = lengths.max()
        ids = np.full((batch, width), PAD, np.int64)
        mask = np.zeros((batch, width), np.int64)
        for row, prompt in enumerate(prompts):
            ids[row, : len(prompt)] = prompt
            mask[row, : len(prompt)] = 1
        logits, past = self.run(ids, mask, self.empty(batch))
        past = [np.pad(p, ((0, 0), (0, 0), (0, limit), (0, 0))) for p in past]
        last = logits[np.arange(batch), lengths - 1].argmax(-1)
        produced: list[list[int]] = [[] for _ in prompts]
        running = np.ones(batch, bool)
        for step in range(limit):
            running &= last != END
            if not running.any():
                break
            for row in np.flatnonzero(running):
                produced[row].append(int(last[row]))
            lengths = lengths + 1
            mask = (np.arange(width + step + 1) < lengths[:, None]).astype(np.int64)
            logits, past = self.run(last[:, None], mask, past)
            last = logits[:, 0].argmax(-1)
        return produced
