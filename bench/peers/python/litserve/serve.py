"""Hugging Face transformers behind LitServe with its dynamic batching."""

import os
import sys

import litserve as ls

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))


class Completions(ls.LitAPI):
    def setup(self, device):
        from hf_model import HfModel

        self.hf = HfModel()

    def decode_request(self, request):
        return request["prompt"], request["max_tokens"]

    def batch(self, inputs):
        return inputs

    def predict(self, inputs):
        return self.hf.answers([prompt for prompt, _ in inputs], [count for _, count in inputs])

    def unbatch(self, output):
        return output

    def encode_response(self, tokens):
        from hf_model import reply

        return reply(tokens)


if __name__ == "__main__":
    api = Completions(max_batch_size=int(os.environ["BATCH"]), batch_timeout=0.01, api_path="/v1/completions")
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=False)
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False, log_level="warning")
