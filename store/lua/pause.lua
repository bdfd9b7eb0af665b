-- pause writes whether a flow is paused, into its state, and takes it out of the due set or puts it back.
--
-- Outcomes:
--   1. 1: written.
--   2. 0: the state is not the expected one; someone else wrote in between. Nothing was written.
-- A flow that is held stays out of the due set in any case: its completion sees that the revision differs, and works with
-- what is written here.
-- Cost: O(log flows).

local name     = ARGV[1]
local expected = ARGV[2] -- the whole state that the caller has seen
local tail     = ARGV[3] -- slot|attempts|JSON of the new one
local score    = ARGV[4] -- when its slot comes due in ms, '' while it is paused and where there is none

local now_us = clock()
if redis.call('HGET', state, name) ~= expected then return 0 end
local rev = last_token(now_us) + 1
save_token(rev)
redis.call('HSET', state, name, int(rev) .. '|' .. tail)
if score == '' then
  redis.call('ZREM', due, name)
elseif redis.call('HEXISTS', held, name) == 0 then
  redis.call('ZADD', due, score, name)
end
return 1
