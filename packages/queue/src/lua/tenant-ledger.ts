import { Script } from '../script.ts';

/**
 * Lua: the accounts of one tenant. `visits` holds what is in flight, by the time at which it counts as over although
 * nobody said so; `tokens` the tokens that are left, and when that was right. They refill evenly up to one minute's, and
 * may be overdrawn. Needs KEYS[1], the visits, and the locals tokensKey and perMinute.
 */
const ACCOUNTS = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function tokensLeft()
  if perMinute == 0 then return 0 end
  local seen = redis.call('HMGET', tokensKey, 'left', 'at')
  local left = tonumber(seen[1] or perMinute) + (now - tonumber(seen[2] or now)) * perMinute / 60000
  return math.min(perMinute, left)
end

-- Kept until what is missing has come back: an account that is gone is a full one.
local function keepTokens(left)
  redis.call('HSET', tokensKey, 'left', string.format('%.3f', left), 'at', string.format('%.0f', now))
  redis.call('PEXPIRE', tokensKey, math.ceil((perMinute - left) * 60000 / perMinute) + 1000)
end
`;

/**
 * Counts a visit in, if the tenant may have one more. Arguments: key of the tokens, most visits at once (0: any), tokens
 * per minute (0: any), id of the visit ('' only asks), ms after which it counts as over. Reply: {`in`, `busy` or `spent`,
 * visits with this one, tokens left as text}.
 */
export const ENTER: Script = new Script(
  'enter',
  `
local tokensKey, most, perMinute = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
${ACCOUNTS}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local inside, left = redis.call('ZCARD', KEYS[1]), tokensLeft()
if most > 0 and inside >= most then return { 'busy', inside, tostring(left) } end
if perMinute > 0 and left <= 0 then return { 'spent', inside, tostring(left) } end
if ARGV[4] ~= '' then
  local over = tonumber(ARGV[5])
  redis.call('ZADD', KEYS[1], now + over, ARGV[4])
  redis.call('PEXPIRE', KEYS[1], math.max(over, redis.call('PTTL', KEYS[1])))
end
return { 'in', inside + 1, tostring(left) }
`,
);

/** Counts a visit out, with the tokens that it used. Arguments: key of the tokens, tokens per minute, id, tokens used. */
export const LEAVE: Script = new Script(
  'leave',
  `
local tokensKey, perMinute = ARGV[1], tonumber(ARGV[2])
${ACCOUNTS}
if ARGV[3] ~= '' then redis.call('ZREM', KEYS[1], ARGV[3]) end
local used = tonumber(ARGV[4])
if perMinute > 0 and used > 0 then keepTokens(tokensLeft() - used) end
return 1
`,
);
