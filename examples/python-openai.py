"""The official OpenAI client, pointed at Shoal. pip install openai"""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("SHOAL_URL", "http://127.0.0.1:3000") + "/v1",
    api_key=os.environ.get("SHOAL_API_KEY", "not-needed"),
)

whole = client.completions.create(model="minnow", prompt="47 + 38 =", temperature=0)
print("whole:", whole.choices[0].text.strip())

print("streamed: ", end="")
stream = client.chat.completions.create(
    model="minnow",
    messages=[{"role": "user", "content": "What is 12 + 87?"}],
    temperature=0,
    stream=True,
)
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="", flush=True)
print()
