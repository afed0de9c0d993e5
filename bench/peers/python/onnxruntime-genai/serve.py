"""ONNX Runtime GenAI's engine on the same files, behind Starlette, tokens streamed.

Its dynamic batching fails every request of a model without paged attention, which these files do not have, so its
static batches it is: they start when the engine is free and run until their longest answer is complete.
"""

import asyncio
import json
import os
import queue
import tempfile
import threading

import numpy as np
import onnxruntime_genai as og
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route


def model_folder() -> str:
    """The served directory as the engine wants it: the same files, beside a description of its own kind."""
    source = os.environ["MODEL"]
    folder = tempfile.mkdtemp(prefix="genai-")
    for base in (source, os.path.join(source, "onnx")):
        for name in os.listdir(base):
            if os.path.isfile(os.path.join(base, name)):
                os.symlink(os.path.join(base, name), os.path.join(folder, name))
    with open(os.path.join(source, "config.json")) as file:
        config = json.load(file)
    length = int(os.environ["LENGTH"])
    decoder = {
        "session_options": {"intra_op_num_threads": int(os.environ["INTRA_OP_THREADS"]), "provider_options": []},
        "filename": "model.onnx",
        "head_size": config["head_dim"],
        "hidden_size": config["hidden_size"],
        "num_attention_heads": config["num_attention_heads"],
        "num_hidden_layers": config["num_hidden_layers"],
        "num_key_value_heads": config["num_key_value_heads"],
        "inputs": {
            "input_ids": "input_ids",
            "attention_mask": "attention_mask",
            "past_key_names": "past_key_values.%d.key",
            "past_value_names": "past_key_values.%d.value",
        },
        "outputs": {
            "logits": "logits",
            "present_key_names": "present.%d.key",
            "present_value_names": "present.%d.value",
        },
    }
    # No answer ends early: min_generated_tokens keeps the end-of-sequence token away.
    model = {"type": "llama", "vocab_size": config["vocab_size"], "context_length": length, "decoder": decoder}
    model |= {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
    search = {"max_length": length, "do_sample": False, "past_present_share_buffer": True}
    engine = {"static_batching": {"max_batch_size": int(os.environ["BATCH"])}}
    with open(os.path.join(folder, "genai_config.json"), "w") as file:
        json.dump({"model": model, "search": search, "engine": engine}, file)
    return folder


class EngineLoop(threading.Thread):
    """Runs the engine while it has requests; tokens go to the event loop that asked."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.arrived: queue.Queue = queue.Queue()
        self.counted = {"runs": 0, "sequences": 0}

    def run(self) -> None:
        # Its owner is the thread that makes it: no other may call it.
        engine = og.Engine(og.Model(model_folder()))
        buffer = engine.create_event_buffer(1024)
        asked: dict = {}
        while True:
            # Waits only when there is nothing to compute.
            while not self.arrived.empty() or not engine.has_pending_requests():
                prompt, count, put = self.arrived.get()
                request = engine.create_request()
                options = og.TurnOptions(request)
                options.set_do_sample(False)
                options.set_min_generated_tokens(count)
                options.set_max_generated_tokens(count)
                request.begin_turn(np.array(prompt, dtype=np.int32), options)
                asked[request] = put
            events = list(engine.run(buffer))
            self.counted["runs"] += 1
            self.counted["sequences"] += len(events)
            for event in events:
                put = asked[event.request]
                flags = int(event.flags)
                if flags & int(og.EngineEventFlags.FAILED):
                    put(RuntimeError(str(event.error_code)))
                elif event.token is not None:
                    put(event.token)
                if flags & (int(og.EngineEventFlags.TURN_FINISHED) | int(og.EngineEventFlags.FAILED)):
                    put(None)
                    del asked[event.request]
                    event.request.close()


loop = EngineLoop()


async def completions(request: Request) -> StreamingResponse:
    body = await request.json()
    tokens: asyncio.Queue = asyncio.Queue()
    here = asyncio.get_running_loop()
    loop.arrived.put((body["prompt"], body["max_tokens"], lambda item: here.call_soon_threadsafe(tokens.put_nowait, item)))

    async def events():
        count = 0
        while (token := await tokens.get()) is not None:
            if isinstance(token, Exception):
                yield f"data: {json.dumps({'error': str(token)})}\n\n"
                continue
            count += 1
            text = json.dumps({"text": f"w{token}"}, separators=(",", ":"))
            yield f"data: {text}\n\n"
        yield f"data: {json.dumps({'usage': {'completion_tokens': count}})}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


async def runs(_: Request) -> JSONResponse:
    return JSONResponse(loop.counted)


if __name__ == "__main__":
    loop.start()
    app = Starlette(routes=[Route("/v1/completions", completions, methods=["POST"]), Route("/runs", runs)])
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
