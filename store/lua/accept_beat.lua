-- accept_beat stamps the as-of time of a heartbeat, once, whichever worker comes first, and counts what is due.
--
-- Outcomes (first element of the reply):
--   1. 'none': there are no flows here; nothing was written. Second element: the stamp given, else now in ms.
--   2. 'first': the beat is new, or this same worker was the one that brought it. Second element: the beat's record.
--   3. 'known': another worker brought it before. Second element: the beat's record.
-- A beat that finds nothing due is settled at once; any other one drains. What an earlier beat that still drains covers
-- is not counted again, but the later beat drains it too: such a flow runs under the earlier beat, and its next slot, if
-- that has come due as well, under the later one.
-- Cost: O(log flows), and one record dropped per record kept.

local key    = ARGV[1] -- <stream sequence>-<time in ns>: what the beat is known by
local id     = ARGV[2]
local worker = ARGV[3]
local rest   = ARGV[4] -- JSON: source and note
local keep   = tonumber(ARGV[5]) -- how many beats the history holds
local stamp  = tonumber(ARGV[6]) -- as-of in ms that another partition of the group has stamped, nil where none has

if redis.call('EXISTS', defs) == 0 then
  local time = redis.call('TIME')
  return { 'none', int(stamp or tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)) }
end

local known = redis.call('HGET', beats, key)
if known then
  if read_beat(known).by == worker then return { 'first', known } end
  return { 'known', known }
end

local now_us = clock()
if stamp and stamp * 1000 > now_us then redis.call('HSET', meta, 'clock', int(stamp * 1000)) end
local now = stamp or math.floor(now_us / 1000)
local newest = redis.call('ZREVRANGE', draining, 0, 0, 'WITHSCORES')
local before = redis.call('ZREVRANGE', beatlog, 0, 0, 'WITHSCORES')
local oldest = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
-- How long the oldest due slot had to wait for a beat, and how long it is since the beat before, both in ms.
local late = oldest[2] and int(math.max(now - tonumber(oldest[2]), 0)) or ''
local gap = before[2] and int(math.max(now - tonumber(before[2]), 0)) or ''
local after = newest[2] and '(' .. newest[2] or '-inf'
local b = { as_of = int(now), due = due_count(after, now), triggered = 0, open = 0, succeeded = 0, failed = 0,
  settled = '', by = worker, id = id, late = late, gap = gap, rest = rest }
if due_count('-inf', now) > 0 then
  redis.call('ZADD', draining, now, key)
else
  b.settled = int(now)
end
redis.call('HSET', beats, key, pack_beat(b))
redis.call('ZADD', beatlog, now, key)

local surplus = redis.call('ZCARD', beatlog) - keep
if surplus > 0 then
  local old = redis.call('ZRANGE', beatlog, 0, math.min(surplus, 100) - 1)
  call_batch('HDEL', beats, old)
  call_batch('ZREM', beatlog, old)
  call_batch('ZREM', draining, old) -- a newer beat covers what an older one does
end
return { 'first', pack_beat(b) }
