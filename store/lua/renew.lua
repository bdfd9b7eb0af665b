-- renew extends the leases of a worker, all in one call.
--
-- Reply: a list with, for each run in order, { 1 } (extended), { 1, why } (extended, and the run is to be cancelled) or { 0 }
-- (the token is not the current one: another attempt has taken over, or the run was completed). A lease that has expired
-- but that nobody took over is extended: its token is still the newest.
-- Cost: O(n log held) for n runs.

local lease = tonumber(ARGV[1]) -- ms; then run id, token for each

local now = math.floor(clock() / 1000)
local asked = {}
for i = 2, #ARGV, 2 do asked[#asked + 1] = ARGV[i] end
local values = call_batch('HMGET', held, asked)
local flags = redis.call('EXISTS', cancels) == 1 and call_batch('HMGET', cancels, asked) or {}
local reply, extended = {}, {}
for i, run in ipairs(asked) do
  local ours = token_of(values[i]) == ARGV[2 * i + 1]
  reply[i] = ours and { 1, flags[i] or nil } or { 0 }
  if ours then
    extended[#extended + 1] = int(now + lease)
    extended[#extended + 1] = run
  end
end
call_batch('ZADD', leases, extended)
return reply
