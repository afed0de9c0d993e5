import { byJob, pointedAt } from '../state/answers.ts';
import type { Ride } from '../state/batch-history.ts';
import { hueOf } from '../state/colour.ts';

/** Every slot of a worker, and who sits in it. */
export function SlotList({ slots, rides }: { slots: number; rides: readonly Ride[] }) {
  const byLane = new Map(rides.map((ride) => [ride.lane, ride]));
  return (
    <ol class="slots" aria-label="Slots">
      {Array.from({ length: slots }, (_, lane) => (
        <Slot key={lane} lane={lane} ride={byLane.get(lane)} />
      ))}
    </ol>
  );
}

function Slot({ lane, ride }: { lane: number; ride: Ride | undefined }) {
  const jobId = ride?.job_id;
  const pointed = jobId !== undefined && pointedAt.value === jobId;
  return (
    <li
      class={pointed ? 'slot pointed' : 'slot'}
      data-busy={ride === undefined ? undefined : 'true'}
      data-job={jobId}
      style={jobId === undefined ? {} : { '--hue': String(hueOf(jobId)) }}
      onPointerEnter={() => {
        pointedAt.value = jobId;
      }}
      onPointerLeave={() => {
        pointedAt.value = undefined;
      }}
    >
      <span class="number">{lane + 1}</span>
      <span class="who">{nameOf(ride)}</span>
    </li>
  );
}

/** What is known of a ride: its prompt where this page asked it. */
export function nameOf(ride: Ride | undefined): string {
  if (ride === undefined) return 'free';
  if (ride.job_id === undefined) return 'somebody else’s';
  return byJob.value.get(ride.job_id)?.prompt ?? 'another request';
}
