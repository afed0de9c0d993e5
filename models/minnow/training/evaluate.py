"""Measure the exported model on the held-out questions: `python evaluate.py MODEL.onnx HELD_OUT.jsonl`."""

import argparse
import json
import re
from collections import Counter
from pathlib import Path

from decoder import Decoder
from story import in_grammar
from tasks import is_right
from tokenizer import decode, encode_prompt

BATCH = 50


def answer_all(decoder: Decoder, questions: list[dict]) -> list[str]:
    """Greedy answers, in order; questions of similar length share a batch."""
    prompts = [encode_prompt(q["form"], q["prompt"]) for q in questions]
    order = sorted(range(len(questions)), key=lambda i: ("pattern" in questions[i], len(prompts[i])))
    answers = [""] * len(questions)
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        limit = 400 if any("pattern" in questions[i] for i in chosen) else 128
        for i, ids in zip(chosen, decoder.generate([prompts[i] for i in chosen], limit), strict=True):
            answers[i] = decode(ids)
    return answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--wrong", type=int, default=3, help="wrong answers to print per family")
    arguments = parser.parse_args()
    questions = [json.loads(line) for line in arguments.questions.read_text().splitlines()]
    answers = answer_all(Decoder(arguments.model), questions)
    asked, right, shown = Counter(), Counter(), Counter()
    for question, answer in zip(questions, answers, strict=True):
        family = question["family"]
        asked[family] += 1
        if is_right(answer, question.get("expected"), question.get("pattern")):
            right[family] += 1
        elif shown[family] < arguments.wrong:
            shown[family] += 1
            print(f"wrong: {question['prompt']!r} -> {answer!r}, expected {question.get('expected', 'a story')!r}")
    stories = [(q["pattern"], answer.strip()) for q, answer in zip(questions, answers, strict=True) if "pattern" in q]
    strict = sum(in_grammar(story, *re.findall(r"\\b(\w+)\\b", pattern)) for pattern, story in stories)
    for family in asked:
        print(f"{family:14} {right[family]:4}/{asked[family]:<4} {100 * right[family] / asked[family]:6.1f} %")
    print(f"{'all':14} {right.total():4}/{asked.total():<4} {100 * right.total() / asked.total():6.1f} %")
    print(f"stories that follow the training grammar: {strict}/{len(stories)}")


if __name__ == "__main__":
    main()
