-- pause writes whether a flow is paused, into its state, and takes it out of the due set or puts it back.
--
-- Outcomes:
--   1. 1: written.
--   2. 0: the state is not the expected one; someone else wrote in between. Nothing was written.
-- A flow whose slot is being worked on stays out of the due set in any case: its completion sees that the revision differs,
-- and works with what is written here. Retries that came due while it was paused are due again once it is resumed.
-- Cost: O(log flows).

local name     = ARGV[1]
local expected = ARGV[2] -- the whole state that the caller has seen
local tail     = ARGV[3] -- slot|overlap|JSON of the new one
local score    = ARGV[4] -- when its slot comes due in ms, '' while it is paused and where there is none

local now = math.floor(clock() / 1000)
if redis.call('HGET', state, name) ~= expected then return 0 end
local s = read_state(next_rev(read_state(expected).rev) .. '|' .. tail)
redis.call('HSET', state, name, pack_state(s))
if score ~= '' and free(name, s) then
  redis.call('ZADD', due, score, name)
else
  redis.call('ZREM', due, name)
end
if not paused(s) then
  for _, member in ipairs(of_flow(blocked, '!' .. name, MANY)) do
    redis.call('ZREM', blocked, member)
    redis.call('ZADD', due, now, string.sub(member, 2))
  end
end
return 1
