"""Hugging Face transformers behind Ray Serve with @serve.batch."""

import os
import signal
import sys
import threading

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


@serve.deployment(max_ongoing_requests=10_000, ray_actor_options={"num_cpus": 1})
class Completions:
    def __init__(self):
        sys.path.insert(0, HERE)
        from hf_model import HfModel

        self.hf = HfModel()

    @serve.batch(max_batch_size=int(os.environ["BATCH"]), batch_wait_timeout_s=0.01)
    async def generate(self, bodies: list[dict]) -> list[list[int]]:
        return self.hf.answers([body["prompt"] for body in bodies], [body["max_tokens"] for body in bodies])

    async def __call__(self, request: Request):
        from hf_model import reply

        if request.method == "GET":
            return JSONResponse({"ok": True})
        return JSONResponse(reply(await self.generate(await request.json())))


if __name__ == "__main__":
    names = ("MODEL", "INTRA_OP_THREADS", "BATCH")
    ray.init(
        num_cpus=int(os.environ["INTRA_OP_THREADS"]),
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {name: os.environ[name] for name in names}},
    )
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])})
    serve.run(Completions.bind(), route_prefix="/")
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    stop.wait()
    serve.shutdown()
    ray.shutdown()
