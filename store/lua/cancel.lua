-- cancel ends a run that waits, and flags one that is held: its worker learns of it with the next renewal.
--
-- Outcomes (first element of the reply):
--   1. 'cancelled': the run was waiting. Its record is closed.
--   2. 'asked': the run is held and flagged. Whoever holds it, or takes it over, ends it.
--   3. 'ended': the run is final already. Nothing was written.
--   4. 'unknown': there is no such run. Nothing was written.
-- Repeating it changes nothing but the reason.
-- Cost: O(log waiting).

local name   = ARGV[1]
local run    = ARGV[2]
local reason = ARGV[3] -- text for whoever ends it
local head   = ARGV[4] -- start of the record of a run that is cancelled while it waits

local now = math.floor(clock() / 1000)
local value = redis.call('HGET', held, name)
if value and read_held(value).run == run then
  redis.call('HSET', cancels, run, reason)
  return { 'asked' }
end
local record = redis.call('HGET', runs, run)
if not record then return { 'unknown' } end
local pending = '{"status":"pending"'
if string.sub(record, 1, #pending) ~= pending then return { 'ended' } end
redis.call('ZREM', queue, run)
redis.call('ZREM', blocked, run)
redis.call('ZREM', due, run)
redis.call('HDEL', cancels, run)
local occurrence = string.match(record, '"occurrence":"([^"]*)"') or run
local given = redis.call('HGET', params, occurrence)
redis.call('HDEL', params, occurrence)
redis.call('HSET', runs, run, head .. ',"end":' .. int(now) .. (given and ',"params":' .. given or '') .. string.sub(record, #pending + 1))
redis.call('ZADD', ended, now, run)
if not value then unblock(name, now) end -- it may have been the one that the others waited behind
return { 'cancelled' }
