-- claim takes occurrences, gives each a lease with a fencing token, and opens its run record.
--
-- In this order, up to limit in all:
--   1. Occurrences whose lease has expired: their worker died, froze or was cut off. The lost run is closed as failed,
--      the occurrence keeps its id, its beat and its slot, and the attempt counts, apart from the flow's own failures, as a
--      crash. Where the run was to be cancelled, or this was one crash too many, the caller gets the same run to end it.
--   2. Run-nows from the queue. One whose flow is held waits in blocked; one whose flow is gone is closed.
--   3. Flows due as of the oldest beat that still drains, then of the next. A beat as of which nothing is left stops
--      draining, and is settled if nothing runs under it.
--
-- Reply: { now in ms, ms until the next lease expires or -1, 1 if there may be more else 0, claims, settled beats }.
-- A claim: { name, held value, recovered run id or '', definition, state, parameters or '', beat id or '', why it is to be cancelled or '' }.
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
local lost = {}      -- name -> id of the run that lost its lease
local held_now = {}  -- arguments of one HSET
local expiries = {}  -- arguments of one ZADD
local records = {}   -- arguments of one HSET
local index = {}     -- arguments of one ZADD

local function lease_out(name, h)
  local n, packed = #held_now, pack_held(h)
  held_now[n + 1], held_now[n + 2] = name, packed
  expiries[n + 1], expiries[n + 2] = expiry_text, name
  claims[#claims + 1] = { name = name, held = h, packed = packed }
end

-- open takes an occurrence: a new token, a lease, and a run record. tail is what the record keeps from before.
local function open(name, h, run, tail)
  token = token + 1
  h.token, h.worker, h.nonce = int(token), worker, nonce
  h.run = run or (name .. '~' .. h.token)
  local beat = beat_of(h.beat)
  local record = '{"status":"in_progress","occurrence":"' .. h.occurrence .. '","attempt":' .. h.attempt
    .. ',"token":"' .. h.token .. '","worker":"' .. worker .. '","start":' .. now_text
    .. (h.slot ~= '' and ',"slot":' .. h.slot or '') .. (beat and ',"beat":"' .. beat.id .. '"' or '')
    .. (lost[name] and ',"recovered":true' or '') .. (tail or '}')
  records[#records + 1] = h.run
  records[#records + 1] = record
  index[#index + 1] = 0
  index[#index + 1] = h.run
  lease_out(name, h)
end

-- take_over leases a lost run anew as it is: the caller only ends it.
local function take_over(name, h)
  token = token + 1
  h.token, h.worker, h.nonce = int(token), worker, nonce
  lease_out(name, h)
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

local function take_expired()
  local expired = redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, limit - #claims)
  local values = call_batch('HMGET', held, expired)
  local defined = call_batch('HMGET', defs, expired)
  for i, name in ipairs(expired) do
    local h = values[i] and read_held(values[i])
    local crashes = h and tonumber(h.crashes) + 1
    local over = h and defined[i] and (crashes >= budget or redis.call('HEXISTS', cancels, h.run) == 1)
    if h and not over then
      close(h.run, 'in_progress', '{"status":"failed","reason":"lease_lost","error":"lease of worker ' .. h.worker
        .. ' expired before the run was completed"')
    end
    if over then
      h.crashes = int(crashes)
      take_over(name, h)
    elseif h and defined[i] then
      lost[name] = h.run
      h.attempt, h.crashes = int(tonumber(h.attempt) + 1), int(crashes)
      open(name, h)
    else
      redis.call('ZREM', leases, name)
      redis.call('HDEL', held, name)
      local beat = h and beat_of(h.beat)
      if beat then beat.open, beat.failed = beat.open - 1, beat.failed + 1 end
      if h then
        redis.call('HDEL', params, h.occurrence)
        redis.call('HDEL', cancels, h.run)
      end
    end
  end
end

-- record_of reads what a waiting run-now has to keep: one that was handed back may stand for a later attempt.
local function record_of(run)
  local record = redis.call('HGET', runs, run) or ''
  return { occurrence = string.match(record, '"occurrence":"([^"]*)"') or run,
    attempt = string.match(record, '"attempt":(%d+)') or '1', created = string.match(record, '"created":%d+') }
end

local taken = {} -- names that a run-now was taken of

-- take_run takes a run-now that waits, under a beat where one made it due, and tells whether it could.
local function take_run(run, beat, as_of)
  local name = flow_of(run)
  if redis.call('HEXISTS', defs, name) == 0 then
    local occurrence = record_of(run).occurrence
    close(run, 'pending', '{"status":"cancelled","reason":"refused","error":"the flow was deleted"')
    redis.call('HDEL', params, occurrence)
    redis.call('HDEL', cancels, run)
    unblock(name, now) -- a deleted flow's next one, if so many waited that deleting did not reach them all
    return false
  end
  if taken[name] or redis.call('HEXISTS', held, name) == 1 then
    redis.call('ZADD', blocked, 0, run)
    return false
  end
  taken[name] = true
  redis.call('ZREM', due, name)
  local record = record_of(run)
  open(name, { occurrence = record.occurrence, slot = '', attempt = record.attempt, crashes = '0', beat = beat, as_of = as_of },
    run, record.created and ',' .. record.created .. '}')
  return true
end

local function take_queued()
  local queued = redis.call('ZRANGE', queue, 0, limit - #claims - 1)
  for _, run in ipairs(queued) do take_run(run, '', '') end
  call_batch('ZREM', queue, queued)
end

local function take_due()
  for _ = 1, 100 do -- beats; where more have piled up, the caller is told that there is more
    if #claims == limit then return end
    local oldest = redis.call('ZRANGE', draining, 0, 0, 'WITHSCORES')
    if #oldest == 0 then return end
    local key, as_of = oldest[1], oldest[2]
    local wanted = limit - #claims
    local found = due_to_run(as_of, wanted)
    local states = call_batch('HMGET', state, found)
    local beat = beat_of(key)
    for i, name in ipairs(found) do
      local started = false
      if string.find(name, '~', 1, true) then
        started = take_run(name, key, as_of)
      elseif states[i] and not taken[name] then
        local s = read_state(states[i])
        open(name, { occurrence = group .. '/' .. name .. '@' .. s.slot, slot = s.slot, attempt = int(s.attempts + 1),
          crashes = '0', beat = key, as_of = as_of })
        taken[name], started = true, true
      end
      if started and beat then beat.triggered, beat.open = beat.triggered + 1, beat.open + 1 end
    end
    call_batch('ZREM', due, found)
    if #found < wanted or due_count('-inf', as_of) == 0 then redis.call('ZREM', draining, key) end
  end
end

-- take_again finds what the first call of this claim took. What belongs to a flow that was deleted since can no longer
-- be run; its lease expires. What the first call settled is told again, among the newest beats.
local function take_again()
  for _, key in ipairs(redis.call('ZREVRANGE', beatlog, 0, 99)) do beat_of(key) end
  local all = redis.call('HGETALL', held)
  for i = 1, #all, 2 do
    local h = read_held(all[i + 1])
    if h.worker == worker and h.nonce == nonce and redis.call('HEXISTS', defs, all[i]) == 1 then lease_out(all[i], h) end
  end
end

if again then take_again() end
if #claims == 0 then
  take_expired()
  if #claims < limit then take_queued() end
  if #claims < limit then take_due() end
end

save_token(token)
call_batch('HSET', held, held_now)
call_batch('ZADD', leases, expiries)
call_batch('HSET', runs, records)
call_batch('ZADD', byflow, index)

local names_taken, occurrences, ids = {}, {}, {}
for i, c in ipairs(claims) do names_taken[i], occurrences[i], ids[i] = c.name, c.held.occurrence, c.held.run end
local definitions = call_batch('HMGET', defs, names_taken)
local states = call_batch('HMGET', state, names_taken)
local given = call_batch('HMGET', params, occurrences)
local reasons = redis.call('EXISTS', cancels) == 1 and call_batch('HMGET', cancels, ids) or {}
local reply = {}
for i, c in ipairs(claims) do
  local beat = beat_of(c.held.beat)
  reply[i] = { c.name, c.packed, lost[c.name] or '', definitions[i] or '', states[i] or '', given[i] or '',
    beat and beat.id or '', reasons[i] or '' }
end
local first = redis.call('ZRANGE', leases, 0, 0, 'WITHSCORES')
local expiry = first[2] and int(math.max(tonumber(first[2]) - now, 0)) or '-1'
return { int(now), expiry, more(), reply, save_beats(now) }
