import { Script } from '../script.ts';

/** URLs that may wait to be told, per model. */
export const MAX_WEBHOOKS = 100_000;
/** How long a call is remembered, delivered or not: longer than it is tried. */
const KEPT_MS = 172_800_000;

/**
 * Lua: puts the end of a job into the outbox. `webhooks` holds job ids by the time at which they may be called next;
 * `webhook:<job>` says what is to be told, and how far that came. Needs the local OWN.
 */
export const FILE_WEBHOOK: string = `
local function fileWebhook(id, url, outcome, value, now)
  local key = OWN .. 'webhook:' .. id
  redis.call('DEL', key)
  redis.call('HSET', key, 'url', url, 'outcome', outcome, 'reason', outcome == 'failed' and value or '',
    'at', string.format('%.0f', now), 'state', 'pending', 'attempts', 0)
  redis.call('PEXPIRE', key, ${KEPT_MS})
  redis.call('ZADD', OWN .. 'webhooks', now, id)
end
`;

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/**
 * Takes calls that are due, each under a lease: nobody else takes them before it is over. Arguments: OWN, how many at
 * most, lease in ms. Reply: rows {job id, url, completed or failed, ErrorBody or '', time of the end, attempt}.
 */
export const TAKE_WEBHOOKS: Script = new Script(
  'take-webhooks',
  `${NOW}
local OWN, most, lease = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local rows = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', OWN .. 'webhooks', '-inf', now, 'LIMIT', 0, most)) do
  local key = OWN .. 'webhook:' .. id
  local hook = redis.call('HMGET', key, 'url', 'outcome', 'reason', 'at')
  if hook[1] then
    local attempt = redis.call('HINCRBY', key, 'attempts', 1)
    redis.call('ZADD', OWN .. 'webhooks', now + lease, id)
    rows[#rows + 1] = { id, hook[1], hook[2], hook[3], hook[4], attempt }
  else
    redis.call('ZREM', OWN .. 'webhooks', id)
  end
end
return rows
`,
);

/**
 * Notes how a call went. Arguments: OWN, job id, attempt, `delivered`, `failed` (for good) or `pending` (tried again),
 * ms until then, why it failed or ''. What is delivered is delivered, whose attempt it was; else the latest attempt
 * counts. Reply: 1 if noted.
 */
export const SETTLE_WEBHOOK: Script = new Script(
  'settle-webhook',
  `${NOW}
local OWN, id, attempt, state, delay, last = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]
local key = OWN .. 'webhook:' .. id
local hook = redis.call('HMGET', key, 'attempts', 'state')
if not hook[1] or hook[2] ~= 'pending' then return 0 end
if state ~= 'delivered' and hook[1] ~= attempt then return 0 end
redis.call('HSET', key, 'state', state, 'last', last)
if state == 'pending' then
  redis.call('ZADD', OWN .. 'webhooks', now + delay, id)
else
  redis.call('HDEL', key, 'url', 'reason')
  redis.call('ZREM', OWN .. 'webhooks', id)
end
return 1
`,
);
