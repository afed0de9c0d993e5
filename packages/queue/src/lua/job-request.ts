/** Lua: `requestOf(id)` is what was asked, as a table; an empty one for a job that is none of ours. Needs the local BULL. */
export const JOB_REQUEST = `
local function requestOf(id)
  local parsed, request = pcall(cjson.decode, redis.call('HGET', BULL .. id, 'data') or '')
  return parsed and type(request) == 'table' and request or {}
end
`;
