/** How the name of a reader begins that listens on a channel; any other reads a stream. */
export const ON_CHANNEL: string = 'channel-';

/**
 * Lua: who reads a job, and telling them. A job's readers are `request.replyTo` and the members of `readers:<job>`.
 * `tell` and `tellEnd` collect; `tellAll` tells each reader at once everything that this script has for it, as lines: a
 * job's id and what is told of it as JSON in turn. They are published on the reader's channel, or are the one field of an
 * entry of its stream. A stream is made and kept alive by its owner alone (NOMKSTREAM): nothing is written for a producer
 * that is gone. Needs the locals OWN and REPLIES_MAX.
 */
export const READERS: string = `
local outgoing = {}
local readersByJob = {}
local joined = {}
-- False where it is known that nobody joined any of the jobs.
local mayBeJoined = true

local function isOpaqueId(id)
  return type(id) == 'string' and #id >= 1 and #id <= 64 and string.find(id, '^[%w_-]+$') ~= nil
end

local function readersOf(id, replyTo)
  local readers = readersByJob[id]
  if readers then return readers end
  readers = {}
  for _, reader in ipairs(redis.call('SMEMBERS', OWN .. 'readers:' .. id)) do
    readers[reader] = true
    joined[id] = true
  end
  if isOpaqueId(replyTo) then readers[replyTo] = true end
  readersByJob[id] = readers
  return readers
end

local function collect(reader, id, event)
  -- Nobody reads a job of such a name, which somebody else gave it; the lines of others must stay in order.
  if string.find(id, '\\n', 1, true) then return end
  local entry = outgoing[reader]
  if not entry then
    entry = {}
    outgoing[reader] = entry
  end
  local last = #entry
  entry[last + 1], entry[last + 2] = id, event
end

local function joinedIds()
  local ids = {}
  for id in pairs(joined) do ids[#ids + 1] = id end
  return ids
end

-- By what a request carried, whether it names a producer: many tokens go to few.
local namesProducer = {}

-- For the producer alone no set is made for each job.
local function tellProducer(id, replyTo, event)
  if namesProducer[replyTo] == nil then namesProducer[replyTo] = isOpaqueId(replyTo) end
  if namesProducer[replyTo] then collect(replyTo, id, event) end
end

local function tell(id, replyTo, event)
  if not mayBeJoined then return tellProducer(id, replyTo, event) end
  for reader in pairs(readersOf(id, replyTo)) do collect(reader, id, event) end
end

local function endEvent(outcome, value)
  -- In JSON a line break is white space; what is not JSON cannot be read anyway.
  if string.find(value, '\\n', 1, true) then value = string.gsub(value, '\\n', ' ') end
  return (outcome == 'completed' and '{"type":"completed","result":' or '{"type":"failed","error":') .. value .. '}'
end

-- The last event of a job, from what BullMQ keeps as its result or reason.
local function tellEnd(id, replyTo, outcome, value)
  if next(readersOf(id, replyTo)) then tell(id, replyTo, endEvent(outcome, value)) end
  if joined[id] then redis.call('UNLINK', OWN .. 'readers:' .. id) end
end

-- The last event of a request that ends by itself, while the job that it shares goes on for others. Who of the job's
-- readers reads for it is known to them alone.
local function tellRecordEnd(record, job, reason)
  for reader in pairs(readersOf(job, '')) do collect(reader, record, endEvent('failed', reason)) end
end

local function tellAll()
  for reader, entry in pairs(outgoing) do
    local key, lines = OWN .. 'replies:' .. reader, table.concat(entry, '\\n')
    if string.find(reader, '${ON_CHANNEL}', 1, true) == 1 then
      redis.pcall('PUBLISH', key, lines)
    else
      redis.pcall('XADD', key, 'NOMKSTREAM', 'MAXLEN', '~', REPLIES_MAX, '*', 'e', lines)
    end
  end
end
`;
