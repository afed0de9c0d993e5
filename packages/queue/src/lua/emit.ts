import { Script } from '../script.ts';
import { HELD_JOB } from './held-job.ts';
import { JOB_LOCK } from './jobs.ts';
import { READERS } from './readers.ts';
import { TOKEN_LOG } from './token-log.ts';

/**
 * A step that neither ends nor claims a job: arguments and reply as those of step.ts, items `E`, `K` and `L` alone. Most
 * steps are such; without BullMQ's texts Redis begins with the items in a quarter of the time, and what is asked of every
 * job is asked at once.
 */
export const EMIT: Script = new Script(
  'emit',
  `
-- As locals they are found sooner: a script of many short calls.
local redis, ARGV = redis, ARGV
local BULL, OWN = ARGV[1], ARGV[2]
local LOG_TTL_MS, REPLIES_MAX, LOCK_MS = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[9])
${READERS}
${TOKEN_LOG}
${JOB_LOCK}
${HELD_JOB}

-- No item of this script takes a lock from its holder, or a reader from a job.
local function askForAll()
  local ids, locks, readers = {}, {}, {}
  local at = 12
  while ARGV[at] do
    if ARGV[at] == 'E' then
      local id = ARGV[at + 1]
      ids[#ids + 1], locks[#locks + 1], readers[#readers + 1] = id, BULL .. id .. ':lock', OWN .. 'readers:' .. id
    end
    at = at + (ARGV[at] == 'E' and 7 or 3)
  end
  if #ids == 0 or #ids > 1000 then return end
  for index, holder in ipairs(redis.call('MGET', unpack(locks))) do holders[ids[index]] = holder or nil end
  mayBeJoined = redis.call('EXISTS', unpack(readers)) > 0
end

pcall(askForAll)
local codes = {}
local at = 12
while ARGV[at] do
  local kind, ok, code = ARGV[at], false, nil
  if kind == 'E' then
    ok, code = pcall(emit, ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6])
    at = at + 7
  else
    ok, code = pcall(kind == 'L' and renew or look, ARGV[at + 1], ARGV[at + 2])
    at = at + 3
  end
  codes[#codes + 1] = ok and code or (isFull(code) and -101 or -100)
end
tellAll()
return { codes, cancelledIds(), {}, { 0, 0, 0, 0 }, joinedIds() }
`,
);
