import { Script } from '../script.ts';
import { bullmqFunction } from './bullmq-scripts.ts';
import { JOB_ENDS } from './jobs.ts';

/**
 * Adds one job, unless the queue is full. Arguments: BULL, OWN, RESULT_TTL_S, most jobs waiting, id, job name, BullMQ
 * priority, data. Reply: {1} when added (or there already), else {0, jobs waiting, jobs finished per second as text}.
 * The bound and the add are one script: no burst of producers passes it together.
 */
export const SUBMIT: Script = new Script(
  'submit',
  `
local BULL, OWN, RESULT_TTL_S = ARGV[1], ARGV[2], tonumber(ARGV[3])
local most, id, name, priority, data = tonumber(ARGV[4]), ARGV[5], ARGV[6], tonumber(ARGV[7]), ARGV[8]
${JOB_ENDS}
${bullmqFunction('bullmqAdd', 'addPrioritizedJob-9')}
if redis.call('EXISTS', BULL .. id) == 1 then return { 1 } end
local waiting = redis.call('LLEN', BULL .. 'wait') + redis.call('ZCARD', BULL .. 'prioritized')
  + redis.call('ZCARD', BULL .. 'delayed')
local now = nowMs()
if waiting >= most then return { 0, waiting, string.format('%.6f', drainRate(now)) } end
redis.call('HSETNX', BULL .. 'meta', 'opts.maxLenEvents', 1000)
local options = {
  jobId = id, priority = priority, attempts = 1,
  removeOnComplete = { age = RESULT_TTL_S }, removeOnFail = { age = RESULT_TTL_S },
}
bullmqAdd({
  BULL .. 'marker', BULL .. 'meta', BULL .. 'id', BULL .. 'prioritized', BULL .. 'delayed', BULL .. 'completed',
  BULL .. 'active', BULL .. 'events', BULL .. 'pc',
}, { cmsgpack.pack({ BULL, id, name, now }), data, cmsgpack.pack(options) })
return { 1 }
`,
);
