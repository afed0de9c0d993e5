"""Write the held-out questions: `python held_out.py HELD_OUT.jsonl [--seed 2026] [--count 1000]`."""

import argparse
import json
import random
from pathlib import Path

from tasks import FAMILIES, Family, Sample, draw

TRIES = 20_000


def questions_of(rng: random.Random, family: Family, count: int) -> list[Sample]:
    """Up to `count` different held-out questions of one family."""
    found: dict[tuple[str, str], Sample] = {}
    for _ in range(TRIES):
        sample = draw(rng, family, held_out=True)
        found.setdefault((sample.form, sample.prompt), sample)
        if len(found) == count:
            break
    return list(found.values())


def record(sample: Sample, number: int) -> dict:
    """One line of the file."""
    answer = {"expected": sample.answer} if sample.pattern is None else {"pattern": sample.pattern}
    return {
        "id": f"{sample.family}-{number:03}",
        "family": sample.family,
        "form": sample.form,
        "prompt": sample.prompt,
        **answer,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--count", type=int, default=1000)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    share, extra = divmod(arguments.count, len(FAMILIES))
    lines = []
    for i, family in enumerate(FAMILIES):
        for number, sample in enumerate(questions_of(rng, family, share + (i < extra)), 1):
            lines.append(json.dumps(record(sample, number), ensure_ascii=False))
    arguments.file.write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} questions")


if __name__ == "__main__":
    main()
