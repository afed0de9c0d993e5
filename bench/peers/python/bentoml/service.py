"""Hugging Face transformers behind BentoML with adaptive batching."""

import os
import sys

import bentoml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

MINUTES = 60_000


@bentoml.service(workers=1, traffic={"timeout": 600, "max_concurrency": 10_000})
class Model:
    def __init__(self) -> None:
        from hf_model import HfModel

        self.hf = HfModel()

    @bentoml.api(batchable=True, max_batch_size=int(os.environ.get("BATCH", "16")), max_latency_ms=10 * MINUTES)
    def generate(self, bodies: list[dict]) -> list[list[int]]:
        return self.hf.answers([body["prompt"] for body in bodies], [body["max_tokens"] for body in bodies])


@bentoml.service(workers=1, traffic={"timeout": 600, "max_concurrency": 10_000})
class Completions:
    model = bentoml.depends(Model)

    @bentoml.api(route="/v1/completions")
    async def completions(self, prompt: list[int], max_tokens: int) -> dict:
        from hf_model import reply

        [tokens] = await self.model.to_async.generate([{"prompt": prompt, "max_tokens": max_tokens}])
        return reply(tokens)
