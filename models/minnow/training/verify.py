"""Compare the exported graph with PyTorch: `python verify.py CHECKPOINT MODEL.onnx`.

Prefill alone, right-padded batched prefill, and ragged decoding into a shared buffer longer than the text.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from decoder import Decoder
from model import Config, Minnow
from tokenizer import PAD, encode_prompt

TEXTS = [
    "What is 47 + 38?Reverse the word lantern.",
    "Tell me a story about a fox and a lantern, and make it a long one, please. " * 3,
    "Sort 42, 7, 19.",
    "Hello",
]
TOLERANCE = 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("model", type=Path)
    arguments = parser.parse_args()
    reference = Minnow(Config())
    reference.load_state_dict(torch.load(arguments.checkpoint)["model"])
    decoder = Decoder(arguments.model)
    rows = [encode_prompt("chat", text) for text in TEXTS]
    with torch.no_grad():
        expected = [reference(torch.tensor([row]))[0].numpy() for row in rows]
    worst = {}

    alone = []
    for row in rows:
        logits, _ = decoder.run(np.array([row]), np.ones((1, len(row)), np.int64), decoder.empty(1))
        alone.append(logits[0])
    worst["prefill alone"] = max(np.abs(a - e).max() for a, e in zip(alone, expected, strict=True))

    lengths = np.array([len(row) for row in rows])
    width = lengths.max()
    ids = np.array([row + [PAD] * (width - len(row)) for row in rows])
    mask = (np.arange(width) < lengths[:, None]).astype(np.int64)
    logits, _ = decoder.run(ids, mask, decoder.empty(len(rows)))
    worst["padded prefill"] = max(np.abs(logits[i, : len(e)] - e).max() for i, e in enumerate(expected))

    cut = 5  # Prefill all but the last tokens of each row, then decode those, each row at its own position.
    starts = lengths - cut
    ids = np.array([row[:n] + [PAD] * (starts.max() - n) for row, n in zip(rows, starts, strict=True)])
    mask = (np.arange(starts.max()) < starts[:, None]).astype(np.int64)
    _, past = decoder.run(ids, mask, decoder.empty(len(rows)))
    room = Config().max_positions - starts.max()
    past = [np.pad(p, ((0, 0), (0, 0), (0, room), (0, 0))) for p in past]
    decoded = 0.0
    for step in range(cut):
        at = starts + step
        mask = (np.arange(at.max() + 1) <= at[:, None]).astype(np.int64)
        ids = np.array([[row[n]] for row, n in zip(rows, at, strict=True)])
        logits, past = decoder.run(ids, mask, past)
        assert past[0].shape[2] == Config().max_positions, "the past buffer keeps its length"
        decoded = max(decoded, *(np.abs(logits[i, 0] - expected[i][n]).max() for i, n in enumerate(at)))
    worst["ragged decode"] = decoded

    for name, difference in worst.items():
        print(f"{name:16} {difference:.1e}")
    if max(worst.values()) > TOLERANCE:
        raise SystemExit("the exported model differs from PyTorch")


if __name__ == "__main__":
    main()
