"""BullMQ's official Python package: a job in, its return value out. pip install bullmq"""

import asyncio
import os
import sys

from bullmq import Job, Queue


async def main() -> int:
    prefix = os.environ.get("QUEUE_PREFIX", "shoal")
    queue = Queue(
        "minnow",
        {
            "connection": os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"),
            "prefix": "{%s:minnow}" % prefix,
        },
    )
    try:
        request = {"v": 1, "prompt": "47 + 38 =", "params": {"temperature": 0, "maxTokens": 16}}
        # BullMQ's priorities begin at 1: Shoal's default of 5 is 6 here.
        job = await queue.add("generate", request, {"priority": 6})
        for _ in range(600):
            state = await queue.getJobState(job.id)
            if state in ("completed", "failed"):
                break
            await asyncio.sleep(0.05)
        job = await Job.fromId(queue, job.id)
        if state != "completed":
            print(f"{state}: {job.failedReason}", file=sys.stderr)
            return 1
        print("answer:", job.returnvalue["text"].strip())
        return 0
    finally:
        await queue.close()


sys.exit(asyncio.run(main()))
