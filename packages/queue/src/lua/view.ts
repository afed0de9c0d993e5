import { Script } from '../script.ts';
import { WORK } from './jobs.ts';
import { RECORDS } from './records.ts';

/**
 * Lua: `view(id, withValues)` is what is known of one job: nil, or {state, position, timestamp, finishedOn, attempts,
 * returnvalue, failedReason, data, estimated wait, own end, webhook}. State is queued, running, completed or failed;
 * position is the jobs ahead of it, or −1; the wait in ms is theirs, by the work that waits on average and the rate at
 * which it is done, as text, or '' when nothing is known; own end is how the request ended by itself, apart from the job
 * that it shared: `cancelled`, `expired` or ''; webhook is {}, or {state, attempts, why the last one failed}. Without
 * values, returnvalue and data are '': either may be megabytes.
 */
const VIEW_JOB = `
local function webhookOf(id, url)
  local hook = redis.call('HMGET', OWN .. 'webhook:' .. id, 'state', 'attempts', 'last')
  if hook[1] then return { hook[1], hook[2] or '0', hook[3] or '' } end
  if url then return { 'waiting', '0', '' } end
  return {}
end

local function view(given, withValues)
  local id, ended = resolve(given)
  local job = redis.call('HMGET', BULL .. id, 'timestamp', 'finishedOn', 'ats', 'failedReason', 'shoal:hook')
  if not job[1] then return nil end
  local state, position = 'running', -1
  if job[2] then
    state = redis.call('ZSCORE', BULL .. 'completed', id) and 'completed' or 'failed'
  else
    local rank = redis.call('ZRANK', BULL .. 'prioritized', id)
    local place = not rank and redis.call('LPOS', BULL .. 'wait', id)
    if rank then
      state, position = 'queued', redis.call('LLEN', BULL .. 'wait') + rank
    elseif place then
      state, position = 'queued', redis.call('LLEN', BULL .. 'wait') - 1 - place
    elseif redis.call('ZSCORE', BULL .. 'delayed', id) then
      state, position = 'queued', waitingJobs()
    end
  end
  local wait = ''
  if position == 0 then
    wait = '0'
  elseif position > 0 then
    local _, workPerSecond = drainRate()
    if workPerSecond and workPerSecond > 0 then
      local workPerJob = workAhead(100) / math.max(1, waitingJobs())
      wait = string.format('%.0f', math.min(position * workPerJob / workPerSecond, 86400) * 1000)
    end
  end
  local values = withValues and redis.call('HMGET', BULL .. id, 'returnvalue', 'data') or {}
  return { state, position, job[1], job[2] or '', job[3] or '0', values[1] or '', job[4] or '', values[2] or '', wait,
    ended or '', webhookOf(id, job[5]) }
end
`;

/** What is known of one job. Arguments: BULL, OWN, id. Reply: nil, or as `view` says, with values. */
export const VIEW: Script = new Script(
  'view',
  `
local BULL, OWN, RECORD_TTL_MS = ARGV[1], ARGV[2], 0
${WORK}
${RECORDS}
${VIEW_JOB}
return view(ARGV[3], true)
`,
);

/**
 * The jobs of one list, newest first. Arguments: BULL, OWN, name of the list, how many at most, then where to begin: id of
 * the job before, or ''; its time, or ''; `1` when jobs of that very time were shown, too. Reply: {rows, `1` if there may
 * be more}; a row is {id, time, view without values}. What is no longer kept leaves the list.
 */
export const LIST: Script = new Script(
  'list',
  `
local BULL, OWN, RECORD_TTL_MS = ARGV[1], ARGV[2], 0
local key, most, before, at, shown = OWN .. ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6], ARGV[7]
${WORK}
${RECORDS}
${VIEW_JOB}
local first = 0
if at ~= '' then
  local rank = before ~= '' and redis.call('ZREVRANK', key, before)
  first = rank and rank + 1 or redis.call('ZCOUNT', key, (shown == '1' and '' or '(') .. at, '+inf')
end
local rows = {}
local listed = redis.call('ZREVRANGE', key, first, first + most - 1, 'WITHSCORES')
for index = 1, #listed, 2 do
  local row = view(listed[index], false)
  if row then rows[#rows + 1] = { listed[index], listed[index + 1], row } else redis.call('ZREM', key, listed[index]) end
end
return { rows, #listed == 2 * most and '1' or '' }
`,
);
