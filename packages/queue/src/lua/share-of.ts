/**
 * Lua: `shareOf(wanted, now)`: at most an even share of what waits while other workers stand idle. Needs the locals BULL and
 * OWN and the functions of jobs.ts.
 */
export const SHARE_OF = `
local function shareOf(wanted, now)
  local idle = redis.call('ZCOUNT', OWN .. 'idle', now, '+inf')
  if idle == 0 then return wanted end
  return math.min(wanted, math.max(1, math.ceil(waitingJobs() / (idle + 1))))
end
`;
