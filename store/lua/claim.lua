-- claim takes occurrences, gives each a lease with a fencing token, and opens its run record.
--
-- Up to limit in all: first 1, then 2 and 3, of which by chance either comes first, so that neither keeps the other waiting for ever:
--   1. Occurrences whose lease has expired: their worker died, froze or was cut off. The lost run is closed as failed,
--      the occurrence keeps its id, its beat, its slot and its place of a concurrency key, and the attempt counts, apart from
--      the flow's own failures, as a crash. Where the run was to be cancelled, or this was one crash too many, the caller
--      gets the same run to end it.
--   2. Runs from the queue: run-nows, and what waited for something that has come. One that may still not run goes to
--      blocked; one whose flow is gone is closed; one that is to be cancelled is given out to be ended.
--   3. Flows due as of the oldest beat that still drains, then of the next. A beat as of which nothing is left stops
--      draining, and is settled if nothing runs under it.
-- What policies make of the claims is for the caller to plan, and for place to write.
--
-- Reply: { now in ms, ms until the next lease expires or -1, 1 if there may be more else 0, claims, settled beats }.
-- A claim: { held value, recovered run id or '', definition, state, parameters or '', beat id or '', why it is to be cancelled or '',
-- 1 if it waited and is claimed only to be ended, else '', when it was asked for in ms or '' }.
-- Repeating a claim whose answer was lost (again = 1) returns what the first call took, by its nonce.
-- Cost: O(limit * log flows); with again, one pass over what is held.

local worker   = ARGV[1]
local nonce    = ARGV[2]
local lease    = tonumber(ARGV[3]) -- ms
local limit    = tonumber(ARGV[4])
local again    = ARGV[5] == '1'
local group    = ARGV[6]
local budget   = tonumber(ARGV[7]) -- crashes in a row at which an occurrence is given up

local now_us = clock()
local now = math.floor(now_us / 1000)
local token = last_token(now_us)
local now_text, expiry_text = int(now), int(now + lease)
local claims = {}
local held_now = {}  -- arguments of one HSET
local expiries = {}  -- arguments of one ZADD
local records = {}   -- arguments of one HSET
local index = {}     -- arguments of one ZADD
local closed = {}    -- run ids that are no longer under lease

-- created_of gives when the run was asked for in ms, '' where its record does not say.
local function created_of(run) return string.match(redis.call('HGET', runs, run) or '', '"created":(%d+)') or '' end

local function lease_out(h, lost, unbegun, created)
  local n, packed = #held_now, pack_held(h)
  held_now[n + 1], held_now[n + 2] = h.run, packed
  expiries[n + 1], expiries[n + 2] = expiry_text, h.run
  claims[#claims + 1] = { held = h, packed = packed, lost = lost or '', unbegun = unbegun or '', created = created or '' }
end

local function next_token()
  token = token + 1
  return int(token)
end

-- begin takes an occurrence: a new token, a lease, and a run record, under the run's own id where it has one that waited. lost
-- is the run that it was lost by; created is when it was asked for in ms, if that is known.
local function begin(name, h, lost, created)
  h.token, h.worker, h.nonce = next_token(), worker, nonce
  h.run = h.run or (name .. '~' .. h.token)
  local beat = beat_of(h.beat)
  local record = '{"status":"in_progress","occurrence":"' .. h.occurrence .. '","attempt":' .. h.attempt
    .. ',"token":"' .. h.token .. '","worker":"' .. worker .. '","start":' .. now_text
    .. (h.slot ~= '' and ',"slot":' .. h.slot or '') .. (beat and ',"beat":"' .. beat.id .. '"' or '')
    .. (lost and ',"recovered":true' or '') .. (created and ',"created":' .. created or '') .. '}'
  records[#records + 1] = h.run
  records[#records + 1] = record
  index[#index + 1] = 0
  index[#index + 1] = h.run
  lease_out(h, lost, nil, created)
end

local function pending(run)
  return string.find(redis.call('HGET', runs, run) or '', '{"status":"pending"', 1, true) == 1
end

-- take_over leases a run anew as it is: the caller only ends it.
local function take_over(h)
  h.token, h.worker, h.nonce = next_token(), worker, nonce
  lease_out(h, nil, pending(h.run) and '1', created_of(h.run))
end

-- close ends a run that will not be executed, by rewriting the head of its record.
local function close(run, was, head)
  local record = redis.call('HGET', runs, run)
  local old = '{"status":"' .. was .. '"'
  if record and string.sub(record, 1, #old) == old then
    redis.call('HSET', runs, run, head .. ',"end":' .. int(now) .. string.sub(record, #old + 1))
  end
  redis.call('ZADD', ended, now, run)
end

-- drop forgets an occurrence whose flow is gone.
local function drop(h)
  local beat = beat_of(h.beat)
  if beat then beat.open, beat.failed = beat.open - 1, beat.failed + 1 end
  redis.call('HDEL', params, h.occurrence)
  redis.call('HDEL', cancels, h.run)
  redis.call('ZREM', open, h.run)
  give_back(h, now)
  unblock(flow_of(h.run), now)
end

-- take_up begins the next attempt at an occurrence that was lost.
local function take_up(name, h)
  local lost = h.run
  local placed = redis.call('ZREM', keyed, h.key .. '|' .. lost) == 1
  h.run, h.attempt = nil, int(tonumber(h.attempt) + 1)
  begin(name, h, lost)
  if placed then redis.call('ZADD', keyed, 0, h.key .. '|' .. h.run) end
end

local function take_expired()
  local expired = redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, limit - #claims)
  local flows = {}
  for i, run in ipairs(expired) do flows[i] = flow_of(run) end
  local values = call_batch('HMGET', held, expired)
  local defined = call_batch('HMGET', defs, flows)
  for i, run in ipairs(expired) do
    local h = read_held(values[i])
    h.crashes = int(tonumber(h.crashes) + 1)
    if defined[i] and (tonumber(h.crashes) >= budget or redis.call('HEXISTS', cancels, run) == 1) then
      take_over(h)
    else
      close(run, pending(run) and 'pending' or 'in_progress', '{"status":"failed","reason":"lease_lost","error":"lease of worker ' .. h.worker
        .. ' expired before the run was completed"')
      closed[#closed + 1] = run
      if defined[i] then take_up(flows[i], h) else drop(h) end
    end
  end
end

local taken = {}     -- names of which something was taken
local beginning = {} -- name -> how many run-nows of it begin with this claim

-- take_of notes that something of the flow is taken. Where runs must not overlap, its slot is not due meanwhile.
local function take_of(name, s)
  taken[name] = true
  if s.overlap == '' then redis.call('ZREM', due, name) end
end

-- started counts what begins under a beat.
local function started(h, beat, as_of)
  h.beat, h.as_of = beat, as_of
  local b = beat_of(beat)
  if b then b.triggered, b.open = b.triggered + 1, b.open + 1 end
end

-- leave_beat has a beat settle without the run, which comes back by a later one.
local function leave_beat(h)
  local b = beat_of(h.beat)
  if b then b.triggered, b.open = b.triggered - 1, b.open - 1 end
  h.beat = ''
end

-- keep_waiting has a run wait in blocked. A place that it has of its concurrency key is for others meanwhile.
local function keep_waiting(h, member)
  give_back(h, now)
  h.key, h.max = '', ''
  redis.call('HSET', waiting, h.run, pack_held(h))
  redis.call('ZADD', blocked, 0, member)
end

-- take_run takes a run that waits: from the queue, or as of a beat that made it due.
local function take_run(run, beat, as_of)
  local name = flow_of(run)
  local h = read_held(redis.call('HGET', waiting, run))
  local current = redis.call('HGET', state, name)
  local s = current and read_state(current)
  if not s then
    close(run, 'pending', '{"status":"cancelled","reason":"refused","error":"the flow was deleted"')
    redis.call('HDEL', waiting, run)
    drop(h)
    unblock(name, now) -- a deleted flow's next one, if so many waited that deleting did not reach them all
    return
  end
  if redis.call('HEXISTS', cancels, run) == 1 then
    take_of(name, s)
    redis.call('HDEL', waiting, run)
    return take_over(h)
  end
  if as_of ~= '' then h.as_of = as_of end
  if h.slot ~= '' and paused(s) then
    leave_beat(h)
    keep_waiting(h, '!' .. run)
    return unblock(name, now)
  end
  if s.overlap == '' and (taken[name] or busy(name)) then return keep_waiting(h, run) end
  -- More than scripts look at do not begin. The end of any lets the next one in.
  if h.token == '' and count_of(open, name) + (beginning[name] or 0) >= MANY then return keep_waiting(h, run) end
  take_of(name, s)
  redis.call('HDEL', waiting, run)
  if beat ~= '' and h.beat == '' then started(h, beat, as_of) end
  if h.token == '' then beginning[name] = (beginning[name] or 0) + 1 end
  local created = created_of(run)
  begin(name, h, nil, created ~= '' and created or nil)
end

local function take_queued()
  local queued = redis.call('ZRANGE', queue, 0, limit - #claims - 1)
  call_batch('ZREM', queue, queued)
  for _, run in ipairs(queued) do take_run(run, '', '') end
end

local function take_slot(name, s, beat, as_of)
  if s.overlap == '' and taken[name] then return end -- the end of that one puts it back
  local h = { occurrence = group .. '/' .. name .. '@' .. s.slot, slot = s.slot, attempt = '1', tries = '0', crashes = '0' }
  started(h, beat, as_of)
  taken[name] = true
  begin(name, h)
  return s.overlap ~= ''
end

local function take_due()
  for _ = 1, 100 do -- beats; where more have piled up, the caller is told that there is more
    if #claims >= limit then return end
    local oldest = redis.call('ZRANGE', draining, 0, 0, 'WITHSCORES')
    if #oldest == 0 then return end
    local key, as_of = oldest[1], oldest[2]
    local wanted = limit - #claims
    beat_of(key) -- it may be settled, even where nothing is found
    local found = due_to_run(as_of, wanted)
    local states = call_batch('HMGET', state, found)
    call_batch('ZREM', due, found)
    local goes_on = false
    for i, name in ipairs(found) do
      if string.find(name, '~', 1, true) then
        take_run(name, key, as_of)
      elseif states[i] then
        goes_on = take_slot(name, read_state(states[i]), key, as_of) or goes_on
      end
    end
    if #found < wanted or due_count('-inf', as_of) == 0 then redis.call('ZREM', draining, key) end
    if goes_on then return end -- later beats may cover the next slots, which place makes due
  end
end

-- take_again finds what the first call of this claim took. What belongs to a flow that was deleted since can no longer
-- be run; its lease expires. What the first call settled is told again, among the newest beats.
local function take_again()
  for _, key in ipairs(redis.call('ZREVRANGE', beatlog, 0, 99)) do beat_of(key) end
  local all = redis.call('HGETALL', held)
  for i = 1, #all, 2 do
    local h = read_held(all[i + 1])
    if h.worker == worker and h.nonce == nonce and redis.call('HEXISTS', defs, flow_of(h.run)) == 1 then
      lease_out(h, nil, pending(h.run) and '1', created_of(h.run))
    end
  end
end

if again then take_again() end
if #claims == 0 then
  take_expired()
  local first, second = take_queued, take_due
  if token % 2 == 0 then first, second = take_due, take_queued end
  if #claims < limit then first() end
  if #claims < limit then second() end
end

save_token(token)
call_batch('HDEL', held, closed)
call_batch('ZREM', leases, closed)
call_batch('ZREM', open, closed)
call_batch('HSET', held, held_now)
call_batch('ZADD', leases, expiries)
call_batch('HSET', runs, records)
call_batch('ZADD', byflow, index)
call_batch('ZADD', open, index)

local names_taken, occurrences, ids = {}, {}, {}
for i, c in ipairs(claims) do names_taken[i], occurrences[i], ids[i] = flow_of(c.held.run), c.held.occurrence, c.held.run end
local definitions = call_batch('HMGET', defs, names_taken)
local states = call_batch('HMGET', state, names_taken)
local given = call_batch('HMGET', params, occurrences)
local reasons = redis.call('EXISTS', cancels) == 1 and call_batch('HMGET', cancels, ids) or {}
local reply = {}
for i, c in ipairs(claims) do
  local beat = beat_of(c.held.beat)
  reply[i] = { c.packed, c.lost, definitions[i] or '', states[i] or '', given[i] or '', beat and beat.id or '', reasons[i] or '',
    c.unbegun, c.created }
end
local first = redis.call('ZRANGE', leases, 0, 0, 'WITHSCORES')
local expiry = first[2] and int(math.max(tonumber(first[2]) - now, 0)) or '-1'
return { int(now), expiry, more(), reply, save_beats(now) }
