"""Pick demo prompts that the model answers rightly: `python samples.py MODEL.onnx HELD_OUT.jsonl SAMPLES.json`."""

import argparse
import json
import random
from pathlib import Path

from decoder import Decoder
from evaluate import answer_all
from tasks import is_right
from tokenizer import encode

COUNTS = {"story": 5, "add": 2, "subtract": 2, "sort-numbers": 2, "help": 1}
"""Prompts per family, where not `USUAL`."""
USUAL = 2
FIELDS = ("family", "form", "prompt", "expected", "pattern")


def pick(rng: random.Random, decoder: Decoder, questions: list[dict]) -> list[dict]:
    """The chosen questions with a token limit, long and short ones mixed."""
    chosen = []
    for family in dict.fromkeys(q["family"] for q in questions):
        count = COUNTS.get(family, USUAL)
        candidates = rng.sample([q for q in questions if q["family"] == family], 3 * count)
        forms = {form: [q for q in candidates if q["form"] == form] for form in ("chat", "completion")}
        mixed = forms["chat"][: -(-count // 2)] + forms["completion"] + forms["chat"][-(-count // 2) :]
        answers = answer_all(decoder, mixed)
        right = [
            is_right(answer, q.get("expected"), q.get("pattern")) for q, answer in zip(mixed, answers, strict=True)
        ]
        chosen += [q for q, ok in zip(mixed, right, strict=True) if ok][:count]
    rng.shuffle(chosen)
    return [
        {field: q[field] for field in FIELDS if field in q}
        | {"maxTokens": 400 if "pattern" in q else len(encode(q["expected"])) + 8}
        for q in chosen
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("questions", type=Path)
    parser.add_argument("samples", type=Path)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    questions = [json.loads(line) for line in arguments.questions.read_text().splitlines()]
    samples = pick(random.Random(arguments.seed), Decoder(arguments.model), questions)
    arguments.samples.write_text(json.dumps(samples, indent=2, ensure_ascii=False) + "\n")
    print(f"{len(samples)} prompts")


if __name__ == "__main__":
    main()
