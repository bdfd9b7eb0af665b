-- progress stores the output that running attempts have given so far, so that a long run can be watched.
--
-- Reply: a list with, for each run in order, 1 (stored) or 0 (the token is not the current one; nothing was written).
-- Cost: O(n) for n runs.

local STRIDE = 3 -- run id, token, log

local reply, tails, asked = {}, {}, {}
for i = 1, #ARGV, STRIDE do asked[#asked + 1] = ARGV[i] end
for i, value in ipairs(call_batch('HMGET', held, asked)) do
  local at = STRIDE * (i - 1)
  local ours = token_of(value) == ARGV[at + 2]
  reply[i] = ours and 1 or 0
  if ours then tails[#tails + 1], tails[#tails + 2] = asked[i], ARGV[at + 3] end
end
call_batch('HSET', logs, tails)
return reply
