-- renew extends the leases of a worker, all in one call.
--
-- Reply: a list with, for each occurrence in order, 1 (extended), 2 (extended, and the run is to be cancelled) or 0 (the
-- token is not the current one: another attempt has taken over, or the run was completed). A lease that has expired but that nobody took over is extended: its token
-- is still the newest.
-- Cost: O(n log held) for n occurrences.

local lease = tonumber(ARGV[1]) -- ms; then name, token for each occurrence

local now = math.floor(clock() / 1000)
local names_asked = {}
for i = 2, #ARGV, 2 do names_asked[#names_asked + 1] = ARGV[i] end
local values = call_batch('HMGET', held, names_asked)
local flagged = redis.call('EXISTS', cancels) == 1
local reply, extended = {}, {}
for i, name in ipairs(names_asked) do
  local ours = token_of(values[i]) == ARGV[2 * i + 1]
  reply[i] = ours and 1 or 0
  if ours then
    extended[#extended + 1] = int(now + lease)
    extended[#extended + 1] = name
    if flagged and redis.call('HEXISTS', cancels, read_held(values[i]).run) == 1 then reply[i] = 2 end
  end
end
call_batch('ZADD', leases, extended)
return reply
