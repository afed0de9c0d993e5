import type { ActivityFrame, Ride } from '@shoal/protocol';
import type { ActivityEvent } from '@shoal/queue';

/** An event of `/v1/activity`, as a caller of that tenant may see it. */
export function activityJson(event: ActivityEvent, tenant: string | undefined): object {
  if (event.type === 'depth') return { object: 'activity.queue', waiting: event.waiting, running: event.running };
  return frameJson(event.frame, tenant);
}

function frameJson(frame: ActivityFrame, tenant: string | undefined): object {
  return {
    object: 'activity.frame',
    worker: frame.worker,
    at: frame.at,
    for_ms: frame.forMs,
    slots: frame.slots,
    waiting: frame.waiting,
    step: frame.step,
    runs: frame.runs,
    rides: frame.rides.map((ride) => rideJson(ride, tenant)),
    generated_tokens: frame.generatedTokens,
    first_tokens_ms: frame.firstTokensMs,
  };
}

/** Another tenant's sequence is seen to take a slot, and nothing more. */
function rideJson({ lane, jobId, tenant: owner, choice = 0, joined, left }: Ride, tenant: string | undefined): object {
  const time = left === undefined ? { lane, joined } : { lane, joined, left };
  return owner === tenant ? { ...time, job_id: jobId, choice } : time;
}
