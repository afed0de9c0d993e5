import { Script } from '../script.ts';
import { RECORDS } from './records.ts';
import { TOKEN_LOG } from './token-log.ts';

/** Most readers of one job, its submitter not counted. */
export const MAX_READERS = 16;

/**
 * Joins a reader to jobs and reads what it missed, in one step, so that nothing falls between. Arguments: OWN, BULL,
 * reader, LOG_TTL_MS, then per job: id, position, what is wanted: `log` (to join and to read the log), `join`, `read` (the
 * log, for the producer of the job, who is told without joining: it joins only a job that another's request shares), or
 * `look`, which joins nobody. Reply per job: {state, log length, outcome value, log entries (JSON) from the position on,
 * id of its job, 1 if it has joined}, where state is `missing`, `open`, `completed`, `failed`, `full` (too many readers),
 * `cancelled` or `expired` (apart from a shared job), or `error`, with what Redis said instead of an outcome: one job
 * fails alone. Whoever joins nobody new writes nothing that must succeed.
 */
export const ATTACH: Script = new Script(
  'attach',
  `
local OWN, BULL, reader, LOG_TTL_MS = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local RECORD_TTL_MS = LOG_TTL_MS
${TOKEN_LOG}
${RECORDS}
-- A Redis that is no master any more is to be left: its refusal must be seen.
local function raiseDemotion(failure)
  local text = type(failure) == 'table' and failure.err or tostring(failure)
  if string.find(text, 'READONLY', 1, true) then error(failure) end
  return text
end

local function join(id)
  local key = OWN .. 'readers:' .. id
  if redis.call('SISMEMBER', key, reader) == 0 then
    if redis.call('SCARD', key) >= ${MAX_READERS} then return false end
    redis.call('SADD', key, reader)
  end
  local kept = redis.pcall('PEXPIRE', key, LOG_TTL_MS)
  if type(kept) == 'table' then raiseDemotion(kept) end
  return true
end

local function attach(asked, position, wanted)
  local id, ended = resolve(asked)
  local joins = wanted == 'log' or wanted == 'join' or (wanted == 'read' and id ~= asked)
  local job = redis.call('HMGET', BULL .. id, 'timestamp', 'finishedOn', 'returnvalue', 'failedReason')
  local state, value, joined = 'open', '', 0
  if not job[1] then
    state = 'missing'
  elseif ended then
    state = ended
  elseif job[2] then
    if redis.call('ZSCORE', BULL .. 'completed', id) then
      state, value = 'completed', job[3] or ''
    else
      state, value = 'failed', job[4] or ''
    end
  elseif joins then
    if join(id) then joined = 1 else state = 'full' end
  end
  local entries = {}
  if (wanted == 'log' or wanted == 'read') and state ~= 'missing' and not ended then
    entries = logEntries(id, position)
  end
  return { state, logLength(id), value, entries, id, joined }
end

local replies = {}
for at = 5, #ARGV, 3 do
  local ok, reply = pcall(attach, ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2])
  replies[#replies + 1] = ok and reply or { 'error', 0, raiseDemotion(reply), {}, ARGV[at], 0 }
end
return replies
`,
);

/** Removes a reader. Arguments: OWN, reader, ids. */
export const DETACH: Script = new Script(
  'detach',
  `
for at = 3, #ARGV do redis.call('SREM', ARGV[1] .. 'readers:' .. ARGV[at], ARGV[2]) end
return 1
`,
);

/**
 * Makes a reply stream that is not there, and renews its life. Arguments: key, milliseconds. Reply: the id of the first
 * entry if it was made, else ''.
 */
export const KEEP_STREAM: Script = new Script(
  'keep-stream',
  `
local made = ''
if redis.call('EXISTS', ARGV[1]) == 0 then made = redis.call('XADD', ARGV[1], '*', '', '') end
redis.call('PEXPIRE', ARGV[1], ARGV[2])
return made
`,
);
