-- enqueue accepts a run-now: an occurrence that waits for a free worker and not for a beat.
--
-- Outcomes (first element of the reply):
--   1. 'ok', run id: the run is pending and can be read at once.
--   2. 'duplicate', run id: a run with this id is known already, as when the call is repeated. Nothing was written.
--   3. 'unknown': there is no such flow. Nothing was written.
--   4. 'open', run id or '': an attempt at the occurrence waits or is under way. Nothing was written.
--   5. 'full': as many run-nows wait already as are allowed, or as many runs of the flow have begun. Nothing was written.
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
-- Those that have not begun; of those that have, each flow has its own bound.
local fresh = redis.call('HLEN', waiting) + redis.call('HLEN', held) - redis.call('ZCARD', open)
if fresh >= most or count_of(open, name) >= MANY then return { 'full' } end

-- open_attempt gives the run of the occurrence that is not over, '' for a slot that waits, or nil.
local function open_attempt()
  local ids = redis.call('ZREVRANGEBYLEX', byflow, '(' .. name .. '\127', '[' .. name .. '~', 'LIMIT', 0, 1000)
  for i, record in ipairs(call_batch('HMGET', runs, ids)) do
    local status = record and string.match(record, '^{"status":"([^"]*)"')
    if (status == 'pending' or status == 'in_progress') and string.match(record, '"occurrence":"([^"]*)"') == occurrence then
      return ids[i]
    end
  end
  local current = redis.call('HGET', state, name)
  local slot = string.match(occurrence, '@(%d+)$')
  if current and slot and slot == read_state(current).slot then return '' end
end

if occurrence ~= run then
  local open = open_attempt()
  if open then return { 'open', open } end
end

local now = math.floor(clock() / 1000)
redis.call('HSET', runs, run, '{"status":"pending","occurrence":"' .. occurrence .. '","attempt":' .. attempt .. ',"created":' .. int(now) .. '}')
redis.call('ZADD', byflow, 0, run)
redis.call('HSET', waiting, run, pack_held({ run = run, occurrence = occurrence, attempt = attempt, tries = '0', crashes = '0' }))
redis.call('ZADD', queue, now, run)
if given ~= '' then redis.call('HSET', params, occurrence, given) end
if again ~= '' then
  redis.call('HDEL', dead, again)
  redis.call('ZREM', deadlog, again)
end
return { 'ok', run }
