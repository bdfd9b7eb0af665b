-- progress stores the output that running attempts have given so far, so that a long run can be watched.
--
-- Reply: a list with, for each run in order, 1 (stored) or 0 (the token is not the current one; nothing was written).
-- Cost: O(n) for n runs.

local reply, tails = {}, {}
local names_asked = {}
for i = 1, #ARGV, 4 do names_asked[#names_asked + 1] = ARGV[i] end -- ARGV: name, token, run id, log for each run
local values = call_batch('HMGET', held, names_asked)
for i = 1, #names_asked do
  local at = 4 * i - 3
  local ours = token_of(values[i]) == ARGV[at + 1]
  reply[i] = ours and 1 or 0
  if ours then
    tails[#tails + 1] = ARGV[at + 2]
    tails[#tails + 1] = ARGV[at + 3]
  end
end
call_batch('HSET', logs, tails)
return reply
