-- enqueue accepts a run-now: an occurrence that waits for a free worker and not for a beat.
--
-- Outcomes (first element of the reply):
--   1. 'ok', run id: the run is pending and can be read at once.
--   2. 'duplicate', run id: a run with this id is known already, as when the call is repeated. Nothing was written.
--   3. 'unknown': there is no such flow. Nothing was written.
--   4. 'full': as many run-nows wait already as are allowed. Nothing was written.
-- Cost: O(log waiting).

local name  = ARGV[1]
local run   = ARGV[2]
local given = ARGV[3] -- parameters, JSON, or ''
local most  = tonumber(ARGV[4])
local occurrence = ARGV[5] -- the run's own id, or that of the occurrence that it attempts once more
local attempt    = ARGV[6]
local again      = ARGV[7] -- run id whose dead letter this takes up, or ''

if redis.call('HEXISTS', defs, name) == 0 then return { 'unknown' } end
if redis.call('HEXISTS', runs, run) == 1 then return { 'duplicate', run } end
if redis.call('ZCARD', queue) + redis.call('ZCARD', blocked) >= most then return { 'full' } end

local now = math.floor(clock() / 1000)
redis.call('HSET', runs, run, '{"status":"pending","occurrence":"' .. occurrence .. '","attempt":' .. attempt .. ',"created":' .. int(now) .. '}')
redis.call('ZADD', byflow, 0, run)
redis.call('ZADD', queue, now, run)
if given ~= '' then redis.call('HSET', params, occurrence, given) end
if again ~= '' then
  redis.call('HDEL', dead, again)
  redis.call('ZREM', deadlog, again)
end
return { 'ok', run }
