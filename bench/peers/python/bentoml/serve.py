"""Starts the service on the port that it is given."""

import os
import sys

command = os.path.join(os.path.dirname(sys.executable), "bentoml")
os.execv(command, ["bentoml", "serve", "service:Completions", "--host", "127.0.0.1", "--port", os.environ["PORT"]])
