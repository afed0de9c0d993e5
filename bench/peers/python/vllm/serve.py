"""vLLM's own OpenAI-compatible server on the CPU: the same architecture, dummy weights."""

import json
import os
import shutil
import sys
import tempfile

source = os.environ["MODEL"]
folder = tempfile.mkdtemp(prefix="vllm-")
with open(os.path.join(source, "config.json")) as file:
    fields = json.load(file)
fields.pop("transformers.js_config", None)
with open(os.path.join(folder, "config.json"), "w") as file:
    json.dump(fields, file)
for name in ("tokenizer.json", "tokenizer_config.json"):
    shutil.copy(os.path.join(source, name), folder)
os.execv(
    os.path.join(os.path.dirname(sys.executable), "vllm"),
    [
        "vllm",
        "serve",
        folder,
        "--served-model-name=bench",
        "--load-format=dummy",
        "--dtype=float32",
        "--host=127.0.0.1",
        f"--port={os.environ['PORT']}",
        f"--max-model-len={os.environ['LENGTH']}",
        f"--max-num-seqs={os.environ['BATCH']}",
    ],
)
