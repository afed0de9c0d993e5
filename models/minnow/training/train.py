"""Train Minnow on generated questions: `python train.py --out DIR --minutes 60`. One thread is fastest at this size."""

import argparse
import json
import math
import random
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from model import Config, Minnow
from tasks import CHAT, Sample, training_samples
from tokenizer import END, PAD, encode, encode_prompt

Row = tuple[list[int], list[bool]]
"""Token ids, and for each whether it is to be learned (answers and their end token)."""


def encode_turn(sample: Sample) -> Row:
    """One question and its answer."""
    prompt, answer = encode_prompt(sample.form, sample.prompt), [*encode(sample.answer), END]
    return prompt + answer, [False] * len(prompt) + [True] * len(answer)


def rows(seed: int, weights: dict[str, float], max_length: int) -> Iterator[Row]:
    """Samples as rows; one chat in eight goes on for a few turns."""
    rng = random.Random(seed + 1)
    samples = training_samples(seed, weights)
    while True:
        sample = next(samples)
        ids, learned = encode_turn(sample)
        if sample.form == CHAT and rng.random() < 0.12:
            for _ in range(rng.choice([1, 1, 1, 2, 2, 3, 6])):
                turn = next(samples)
                while turn.form != CHAT:
                    turn = next(samples)
                more_ids, more_learned = encode_turn(turn)
                if len(ids) + len(more_ids) > max_length:
                    break
                ids, learned = ids + more_ids, learned + more_learned
        yield ids, learned


def batches(source: Iterator[Row], tokens: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and targets `[batch, length]` of about `tokens` tokens; targets that are not to be learned are -100.

    Rows wait in buckets until one is full, so that few shapes occur: each new one costs the CPU kernels a compilation.
    """
    waiting: dict[int, list[Row]] = {}
    for row in source:
        size = len(row[0]) - 1
        length = -(-size // 8) * 8 if size <= 64 else -(-size // 32) * 32
        bucket = waiting.setdefault(length, [])
        bucket.append(row)
        if len(bucket) == tokens // length:
            yield fill(bucket, length)
            bucket.clear()


def fill(bucket: list[Row], length: int) -> tuple[Tensor, Tensor]:
    """The rows as one batch, padded to `length`."""
    inputs = [ids[:-1] + [PAD] * (length - len(ids) + 1) for ids, _ in bucket]
    targets = [
        [token if keep else -100 for token, keep in zip(ids[1:], learned[1:], strict=True)]
        + [-100] * (length - len(ids) + 1)
        for ids, learned in bucket
    ]
    return torch.tensor(inputs), torch.tensor(targets)


def answer_loss(model: Minnow, inputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy over the tokens to be learned; only those reach the output layer."""
    hidden = model.hidden(inputs).flatten(0, 1)
    wanted = targets.flatten()
    at = (wanted >= 0).nonzero().squeeze(1)
    return F.cross_entropy((hidden[at] @ model.embed_tokens.weight.T).float(), wanted[at])


def schedule(progress: float, warmup: float = 0.02, floor: float = 0.02) -> float:
    """Learning-rate factor: linear warm-up, then a cosine down to `floor`."""
    if progress < warmup:
        return progress / warmup
    t = min(1.0, (progress - warmup) / (1 - warmup))
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * t))


def optimizers(model: Minnow, muon_lr: float, adam_lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for the embedding and the norms."""
    matrices = [p for p in model.layers.parameters() if p.dim() == 2]
    others = [p for p in model.parameters() if not any(p is m for m in matrices)]
    return [
        torch.optim.Muon(matrices, lr=muon_lr, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=adam_lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="directory for checkpoints and the log")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=6000, help="tokens in a batch, padding included")
    parser.add_argument("--muon-lr", type=float, default=4e-3)
    parser.add_argument("--adam-lr", type=float, default=3e-3)
    parser.add_argument("--resume", type=Path, help="checkpoint to start from")
    parser.add_argument("--compile", action="store_true", help="compile the model: a third faster after a minute")
    parser.add_argument("--no-bf16", action="store_true")
    parser.add_argument("--weights", type=json.loads, default={}, help='family shares, such as {"add": 6}')
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)
    model = Minnow(Config())
    seen = 0
    if arguments.resume:
        checkpoint = torch.load(arguments.resume)
        model.load_state_dict(checkpoint["model"])
        seen = checkpoint["tokens"]
    loss_of = torch.compile(answer_loss, dynamic=True) if arguments.compile else answer_loss
    pair = optimizers(model, arguments.muon_lr, arguments.adam_lr)
    rates = [optimizer.param_groups[0]["lr"] for optimizer in pair]
    source = rows(arguments.seed + seen, arguments.weights, model.config.max_positions)
    begin = saved = time.monotonic()
    recent, before = [], seen
    for step, (inputs, targets) in enumerate(batches(source, arguments.tokens), 1):
        now = time.monotonic()
        progress = (now - begin) / (60 * arguments.minutes)
        done = progress >= 1
        if done or now - saved > 60:
            saved = now
            torch.save({"model": model.state_dict(), "tokens": seen}, arguments.out / "part.pt")
            (arguments.out / "part.pt").rename(arguments.out / "last.pt")
        if done:
            break
        for optimizer, rate in zip(pair, rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * schedule(progress)
        with torch.autocast("cpu", torch.bfloat16, enabled=not arguments.no_bf16):
            loss = loss_of(model, inputs, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in pair:
            optimizer.step()
            optimizer.zero_grad()
        seen += inputs.numel()
        recent.append(loss.item())
        if step % 50 == 0:
            rate = (seen - before) / (time.monotonic() - begin)
            print(
                f"{step} {progress:.3f} loss {sum(recent) / len(recent):.4f} tokens {seen} ({rate:.0f}/s)", flush=True
            )
            recent = []


if __name__ == "__main__":
    main()
