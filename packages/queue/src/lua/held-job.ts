/**
 * Lua: what a worker writes for a job that it goes on holding. `cancelledIds()` are those whose cancellation was found to
 * be asked. `holders` may say who holds a lock, where nothing in the script can change that. Needs the locals BULL, OWN,
 * LOG_TTL_MS, LOCK_MS and the functions of jobs.ts, readers.ts and token-log.ts.
 */
export const HELD_JOB = `
local holders = {}
local cancelled = {}

local function cancelledIds()
  local ids = {}
  for id in pairs(cancelled) do ids[#ids + 1] = id end
  return ids
end

-- What is done for every held job now and then.
local function attend(id)
  redis.call('PEXPIRE', OWN .. 'tokens:' .. id, LOG_TTL_MS)
  redis.call('PEXPIRE', OWN .. 'readers:' .. id, LOG_TTL_MS)
  if redis.call('HEXISTS', BULL .. id, 'shoal:cancel') == 1 then cancelled[id] = true end
  return 0
end

local function renew(id, token)
  if not keepLock(id, token) then return -1 end
  return attend(id)
end

-- Does not take a lapsed lock again: who only looks may be a worker whose engine hangs.
local function look(id, token)
  return redis.call('GET', BULL .. id .. ':lock') == token and attend(id) or -1
end

local function holds(id, token)
  local holder = holders[id] or redis.call('GET', BULL .. id .. ':lock')
  if holder ~= token and (holder or LOCK_MS == 0 or not keepLock(id, token)) then return false end
  return true
end

local function emit(id, token, replyTo, position, ending, event)
  if not holds(id, token) then return -1 end
  local length, appended = logAppend(id, position, ending, event)
  if appended then tell(id, replyTo, event) end
  return length
end

-- Redis takes no writes at all: it is full, its disk is, its replicas are away, or it is no master any more.
local function isFull(failure)
  local text = type(failure) == 'table' and failure.err or tostring(failure)
  for _, word in ipairs({ 'OOM', 'MISCONF', 'NOREPLICAS', 'READONLY' }) do
    if string.find(text, word, 1, true) then return true end
  end
  return false
end
`;
