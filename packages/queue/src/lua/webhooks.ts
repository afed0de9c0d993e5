import { Script } from '../script.ts';

/** URLs that may wait to be told, per model. */
export const MAX_WEBHOOKS = 100_000;
/** … and of them of one tenant: others are accepted while all of its receivers are dead. */
export const MAX_TENANT_WEBHOOKS = 25_000;
/** How long a call is remembered at least, delivered or not: longer than it is tried. */
const KEPT_MS = 172_800_000;

/**
 * Lua: puts the end of a job into the outbox. `webhooks` holds job ids by the time at which they may be called next;
 * `webhook:<job>` says what is to be told, and how far that came; it is kept for longer than the job, which shows it.
 * `webhooks:<tenant>` holds a tenant's part of the ids, by the time at which that is no longer kept. Needs the locals BULL,
 * OWN and RESULT_TTL_S.
 *
 * @param tenant '' for none
 */
export const FILE_WEBHOOK: string = `
local function fileWebhook(id, url, tenant, outcome, value, now)
  local key = OWN .. 'webhook:' .. id
  redis.call('DEL', key)
  redis.call('HSET', key, 'url', url, 'tenant', tenant, 'outcome', outcome, 'reason', outcome == 'failed' and value or '',
    'at', string.format('%.0f', now), 'state', 'pending', 'attempts', 0)
  -- Who cancels a job does not know how long it is kept; who submitted it did.
  local parsed, options = pcall(cjson.decode, redis.call('HGET', BULL .. id, 'opts') or '')
  local age = parsed and type(options) == 'table' and type(options.removeOnFail) == 'table' and options.removeOnFail.age
  local keptS = math.max(RESULT_TTL_S, tonumber(age or 0) or 0)
  local keptMs = math.max(${KEPT_MS}, keptS * 1000 + 3600000)
  redis.call('PEXPIRE', key, keptMs)
  redis.call('ZADD', OWN .. 'webhooks', now, id)
  if tenant == '' then return end
  local theirs = OWN .. 'webhooks:' .. tenant
  redis.call('ZADD', theirs, now + keptMs, id)
  redis.call('PEXPIRE', theirs, math.max(keptMs, redis.call('PTTL', theirs)))
end
`;

/** Lua: takes a call out of the outbox; what is known of it stays. Needs the local OWN. */
export const FORGET_WEBHOOK = `
local function forgetWebhook(id)
  redis.call('ZREM', OWN .. 'webhooks', id)
  local tenant = redis.call('HGET', OWN .. 'webhook:' .. id, 'tenant')
  if tenant and tenant ~= '' then redis.call('ZREM', OWN .. 'webhooks:' .. tenant, id) end
end
`;

/** Lua: how many calls of a tenant wait. Needs the local OWN. */
export const TENANT_WEBHOOKS = `
local function webhooksOf(tenant, now)
  local theirs = OWN .. 'webhooks:' .. tenant
  redis.call('ZREMRANGEBYSCORE', theirs, '-inf', now)
  return redis.call('ZCARD', theirs)
end
`;

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/**
 * Due calls that one look goes through, and how long those are left alone that it passes over, in ms: the longer, the more
 * of their tenant wait, so that they come up at half the pace of looks and leave the other half to others.
 */
const SCANNED = 512;
const PASSED_OVER_MS = 1_000;

/**
 * Takes calls that are due, each under a lease: nobody else takes them before it is over. Arguments: OWN, how many at
 * most, lease in ms, most calls at a time to one host and of one tenant, how many pairs of a host and the calls to it that
 * are under way follow, those, then such pairs of tenants. Reply: rows {job id, url, completed or failed, ErrorBody or '',
 * time of the end, attempt, host, tenant or ''}. What is passed over because enough calls to its host, or of its tenant,
 * are under way makes room for those behind it.
 */
export const TAKE_WEBHOOKS: Script = new Script(
  'take-webhooks',
  `${NOW}
local OWN, most, lease = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local mostPerHost, mostPerTenant = tonumber(ARGV[4]), tonumber(ARGV[5])
local toHost, ofTenant, tenantsAt = {}, {}, 7 + 2 * tonumber(ARGV[6])
for at = 7, #ARGV, 2 do
  local underWay = at < tenantsAt and toHost or ofTenant
  underWay[ARGV[at]] = tonumber(ARGV[at + 1])
end
local passedOver = {}
local function passOverMs(tenant)
  if tenant == '' then return ${PASSED_OVER_MS} end
  if not passedOver[tenant] then
    local waiting = redis.call('ZCARD', OWN .. 'webhooks:' .. tenant)
    passedOver[tenant] = ${PASSED_OVER_MS} * (1 + math.floor(waiting / ${SCANNED / 2}))
  end
  return passedOver[tenant]
end

local rows = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', OWN .. 'webhooks', '-inf', now, 'LIMIT', 0, ${SCANNED})) do
  if #rows == most then break end
  local key = OWN .. 'webhook:' .. id
  local hook = redis.call('HMGET', key, 'url', 'outcome', 'reason', 'at', 'tenant')
  local host = string.lower(string.match(hook[1] or '', '^%a+://([^/?#]+)') or '')
  local tenant = hook[5] or ''
  local isFull = (toHost[host] or 0) >= mostPerHost or (tenant ~= '' and (ofTenant[tenant] or 0) >= mostPerTenant)
  if hook[1] and isFull then
    redis.call('ZADD', OWN .. 'webhooks', now + passOverMs(tenant), id)
  elseif hook[1] then
    toHost[host], ofTenant[tenant] = (toHost[host] or 0) + 1, (ofTenant[tenant] or 0) + 1
    local attempt = redis.call('HINCRBY', key, 'attempts', 1)
    redis.call('ZADD', OWN .. 'webhooks', now + lease, id)
    rows[#rows + 1] = { id, hook[1], hook[2], hook[3], hook[4], attempt, host, tenant }
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
${FORGET_WEBHOOK}
local key = OWN .. 'webhook:' .. id
local hook = redis.call('HMGET', key, 'attempts', 'state')
if not hook[1] or hook[2] ~= 'pending' then return 0 end
if state ~= 'delivered' and hook[1] ~= attempt then return 0 end
redis.call('HSET', key, 'state', state, 'last', last)
if state == 'pending' then
  redis.call('ZADD', OWN .. 'webhooks', now + delay, id)
else
  redis.call('HDEL', key, 'url', 'reason')
  forgetWebhook(id)
end
return 1
`,
);
