-- cancel ends a run that waits, and flags one that is held: its worker learns of it with the next renewal.
--
-- Outcomes (first element of the reply):
--   1. 'cancelled': the run was waiting. Its record is closed.
--   2. 'asked': the run is held and flagged. Whoever holds it, or takes it over, ends it. So is one that waits and
--      on which its flow's next slot or a beat depends: it is let into the queue, and whoever claims it ends it.
--   3. 'ended': the run is final already. Nothing was written.
--   4. 'unknown': there is no such run. Nothing was written.
-- Repeating it changes nothing but the reason.
-- Cost: O(log waiting).

local run    = ARGV[1]
local reason = ARGV[2] -- text for whoever ends it
local head   = ARGV[3] -- start of the record of a run that is cancelled while it waits

local now = math.floor(clock() / 1000)
if redis.call('HEXISTS', held, run) == 1 then
  redis.call('HSET', cancels, run, reason)
  return { 'asked' }
end
local record = redis.call('HGET', runs, run)
if not record then return { 'unknown' } end
local value = redis.call('HGET', waiting, run)
if not value then return { 'ended' } end
local w = read_held(value)
unwait(w)
if w.slot ~= '' or w.beat ~= '' then
  redis.call('HSET', cancels, run, reason)
  redis.call('ZADD', queue, now, run)
  return { 'asked' }
end
redis.call('HDEL', waiting, run)
redis.call('ZREM', open, run)
redis.call('HDEL', cancels, run)
local given = redis.call('HGET', params, w.occurrence)
redis.call('HDEL', params, w.occurrence)
redis.call('HSET', runs, run, head .. ',"end":' .. int(now) .. (given and ',"params":' .. given or '')
  .. string.sub(record, #'{"status":"pending"' + 1))
redis.call('ZADD', ended, now, run)
give_back(w, now)
unblock(flow_of(run), now) -- it may have been the one that the others waited behind
return { 'cancelled' }
