-- Prepended to every script: the keys of one partition, the clock, and the records that scripts read and write.
--
-- Every script gets the same KEYS in the same order (partition.go holds the other end of this list), so each key that
-- is touched is declared, and all of them share one hash tag and so one slot of a Redis Cluster.

local meta     = KEYS[1]  -- hash: clock, token (both in µs)
local defs     = KEYS[2]  -- hash: name -> definition, JSON
local names    = KEYS[3]  -- sorted set, all scores 0: names, for listing in order
local state    = KEYS[4]  -- hash: name -> rev|slot|overlap|JSON; overlap is '' (forbid), a (allow) or r (replace)
local due      = KEYS[5]  -- sorted set: name by the time in ms at which its slot comes due; run id by that of its retry
local queue    = KEYS[6]  -- sorted set: run ids that wait for a free worker alone, scored by arrival
local blocked  = KEYS[7]  -- sorted set, all scores 0: what waits for something else: run, !run or #key|token|run, see below
local leases   = KEYS[8]  -- sorted set: run id by expiry in ms
local held     = KEYS[9]  -- hash: run id under lease -> its occurrence, packed as in HELD
local runs     = KEYS[10] -- hash: run id -> record, JSON
local byflow   = KEYS[11] -- sorted set, all scores 0: run ids; a flow's are neighbours, oldest first
local ended    = KEYS[12] -- sorted set: run id by end in ms
local logs     = KEYS[13] -- hash: run id -> tail of its output
local params   = KEYS[14] -- hash: occurrence of a run-now -> its parameters, until it has ended
local beats    = KEYS[15] -- hash: beat key -> as_of|due|triggered|open|succeeded|failed|settled|by|id|late|gap|JSON
local beatlog  = KEYS[16] -- sorted set: beat key by as_of in ms
local draining = KEYS[17] -- sorted set: beat key by as_of, while something may still be due as of it
local ledger   = KEYS[18] -- hash: name -> its slots that did not run, newest last: from,to,count,outcome,reason; …
local cancels  = KEYS[19] -- hash: run id -> why it is to be cancelled, while it is held or waits
local dead     = KEYS[20] -- hash: run id -> record of the last run of an occurrence that failed for good
local deadlog  = KEYS[21] -- sorted set: those by the time in ms at which they ended
local sources  = KEYS[22] -- hash: name -> where the flow was applied from, where that is known
local waiting  = KEYS[23] -- hash: run id that is pending -> its occurrence, packed as in HELD
local open     = KEYS[24] -- sorted set, all scores 0: run ids of occurrences that have begun and not ended; a flow's are neighbours
local keyed    = KEYS[25] -- sorted set, all scores 0: key|run for each place of a concurrency key that is taken

local function int(number) return string.format('%.0f', number) end

-- clock is now in µs: Redis' own TIME, but never behind the largest that was seen, so that a failover to a replica
-- whose clock is behind cannot turn time back.
local function clock()
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
  local seen = tonumber(redis.call('HGET', meta, 'clock') or 0)
  if seen >= now then return seen end
  redis.call('HSET', meta, 'clock', int(now))
  return now
end

-- last_token reads the newest token; each new one is one higher, and at least now, so that tokens are not given
-- twice even where Redis has lost its last writes.
local function last_token(now_us)
  return math.max(tonumber(redis.call('HGET', meta, 'token') or 0), now_us - 1)
end

local function save_token(token) redis.call('HSET', meta, 'token', int(token)) end

-- due_to_run is the one definition of "due": a flow whose next slot, less its slack, is not after as_of, oldest first.
-- A flow that is held (it runs already) is not in the set. Its count is due_count, over after < due <= as_of.
local function due_to_run(as_of, limit)
  return redis.call('ZRANGEBYSCORE', due, '-inf', as_of, 'LIMIT', 0, limit)
end

local function due_count(after, as_of) return redis.call('ZCOUNT', due, after, as_of) end

local function flow_of(run) return string.match(run, '^[^~]+') end

local function read_state(value)
  local s = {}
  s.rev, s.slot, s.overlap, s.rest = string.match(value, '^(%d*)|(%d*)|(%a?)|(.*)$')
  return s
end

-- paused reports whether the flow is paused: its slot waits outside the due set.
local function paused(s) return string.find(s.rest, '"paused":', 1, true) ~= nil end

local function pack_state(s) return s.rev .. '|' .. s.slot .. '|' .. s.overlap .. '|' .. s.rest end

-- Everything that is written of a flow's state raises its revision, so that whoever computed from an older one notices.
local function next_rev(rev) return int((tonumber(rev) or 0) + 1) end

-- HELD is an occurrence on its way: token|run|occurrence|slot|attempt|tries|crashes|beat|as_of|key|max|worker|nonce. attempt
-- counts from 1; tries are the flow's own failures before, crashes the workers lost in a row; key and max are of the
-- concurrency key of which it has, or waits for, a place. nonce is of the claim that took it, or PLACED after place.
local FIELDS = { 'token', 'run', 'occurrence', 'slot', 'attempt', 'tries', 'crashes', 'beat', 'as_of', 'key', 'max', 'worker', 'nonce' }
local HELD = '^' .. string.rep('([^|]*)|', #FIELDS - 1) .. '(.*)$'
local PLACED = '*'

local function read_held(value)
  local h = {}
  local parts = { string.match(value, HELD) }
  for i, field in ipairs(FIELDS) do h[field] = parts[i] end
  return h
end

local function pack_held(h)
  local parts = {}
  for i, field in ipairs(FIELDS) do parts[i] = h[field] or '' end
  return table.concat(parts, '|')
end

-- token_of reads only the token of a held value: what every write of a run is checked against.
local function token_of(value) return value and string.match(value, '^[^|]*') end

local BEAT = '^(%d*)|(%d*)|(%d*)|(%d*)|(%d*)|(%d*)|(%d*)|([^|]*)|([^|]*)|(%d*)|(%d*)|(.*)$'

local function read_beat(value)
  local b = {}
  b.as_of, b.due, b.triggered, b.open, b.succeeded, b.failed, b.settled, b.by, b.id, b.late, b.gap, b.rest = string.match(value, BEAT)
  for _, field in ipairs({ 'due', 'triggered', 'open', 'succeeded', 'failed' }) do b[field] = tonumber(b[field]) end
  return b
end

local function pack_beat(b)
  return table.concat({ b.as_of, int(b.due), int(b.triggered), int(b.open), int(b.succeeded), int(b.failed),
    b.settled, b.by, b.id, b.late, b.gap, b.rest }, '|')
end

-- Beats that a script touches are read once and written once, however many of their runs are in the batch.
local touched = {}

-- beat_of gives the beat with this key, or nil where it is gone from the history or there is none (a run-now).
local function beat_of(key)
  if key == '' then return nil end
  if touched[key] == nil then
    local value = redis.call('HGET', beats, key)
    touched[key] = value and read_beat(value) or false
  end
  return touched[key] or nil
end

-- save_beats writes the touched beats. One under which nothing runs and nothing may still be due is settled; it
-- returns those as a flat list of key, value. Repeating the call that settled a beat returns it again, since the
-- first answer may have been lost.
local function save_beats(now)
  local settled = {}
  for key, b in pairs(touched) do
    if b then
      if b.settled == '' and b.open == 0 and not redis.call('ZSCORE', draining, key) then b.settled = int(now) end
      local value = pack_beat(b)
      redis.call('HSET', beats, key, value)
      if b.settled ~= '' then
        settled[#settled + 1] = key
        settled[#settled + 1] = value
      end
    end
  end
  return settled
end

-- call_batch sends one command for a whole batch of arguments, or none for an empty one.
local function call_batch(command, key, arguments)
  if #arguments > 0 then return redis.call(command, key, unpack(arguments)) end
  return {}
end

-- drop_runs forgets ended runs altogether.
local function drop_runs(ids)
  call_batch('HDEL', runs, ids)
  call_batch('HDEL', logs, ids)
  call_batch('ZREM', byflow, ids)
  call_batch('ZREM', ended, ids)
end

-- more tells whether there may be something to claim, 1 or 0.
local function more() return (redis.call('EXISTS', draining) == 1 or redis.call('EXISTS', queue) == 1) and 1 or 0 end

-- note_slots adds to the ledger of a flow what became of slots that did not run. The oldest entries go first.
local LEDGER = 50
local function note_slots(name, entries)
  if entries == '' then return end
  local all = {}
  for entry in string.gmatch((redis.call('HGET', ledger, name) or '') .. ';' .. entries, '[^;]+') do all[#all + 1] = entry end
  redis.call('HSET', ledger, name, table.concat(all, ';', math.max(1, #all - LEDGER + 1)))
end

-- of_flow lists a flow's run ids in a set whose scores are all 0.
local function of_flow(set, name, limit)
  return redis.call('ZRANGEBYLEX', set, '[' .. name .. '~', '(' .. name .. '\127', 'LIMIT', 0, limit)
end

-- count_of counts them.
local function count_of(set, name) return redis.call('ZLEXCOUNT', set, '[' .. name .. '~', '(' .. name .. '\127') end

-- Bound of the occurrences of one flow that a script looks at.
local MANY = 1000

-- busy reports whether a run of the flow is under lease.
local function busy(name)
  for _, value in ipairs(call_batch('HMGET', held, of_flow(open, name, MANY))) do
    if value then return true end
  end
  return false
end

-- free reports whether the slot that the flow waits for may be in the due set: no occurrence of it has begun, and none of
-- the flow is under lease where they must not overlap.
local function free(name, s)
  local ids = of_flow(open, name, MANY)
  local others = call_batch('HMGET', waiting, ids)
  for i, value in ipairs(call_batch('HMGET', held, ids)) do
    if value and s.overlap == '' then return false end
    value = value or others[i]
    if value and s.slot ~= '' and read_held(value).slot == s.slot then return false end
  end
  return true
end

-- What waits for something other than a worker or a beat is in blocked, under one of three names:
--   run             for the flow's run under lease to end: overlap forbid, and replace
--   !run            for the flow to be resumed: slots alone; a run-now of a paused flow runs
--   #key|token|run  for a place of a concurrency key, the longest waiting first, since tokens grow

local function key_waiter(h) return '#' .. h.key .. '|' .. h.token .. '|' .. h.run end

-- unwait takes a pending run out of wherever it waits.
local function unwait(h)
  redis.call('ZREM', queue, h.run)
  redis.call('ZREM', due, h.run)
  redis.call('ZREM', blocked, h.run, '!' .. h.run, key_waiter(h))
end

-- wait has a run that is no longer under lease wait, its token void.
local function wait(h)
  h.worker, h.nonce = '', ''
  redis.call('HSET', waiting, h.run, pack_held(h))
  redis.call('HDEL', held, h.run)
  redis.call('ZREM', leases, h.run)
end

local function places(key) return redis.call('ZLEXCOUNT', keyed, '[' .. key .. '|', '(' .. key .. '}') end

local function first_waiter(key)
  return redis.call('ZRANGEBYLEX', blocked, '[#' .. key .. '|', '(#' .. key .. '}', 'LIMIT', 0, 1)[1]
end

-- concurrency_of reads the key and the number of places from a flow's definition, '' and nil where it has none. The first
-- match is the field: what is before it holds no objects, and quotes within text are escaped.
local function concurrency_of(name)
  local key, max = string.match(redis.call('HGET', defs, name) or '', '"concurrency":{"key":"([^"]*)","max":(%d+)}')
  return key or '', tonumber(max)
end

-- to_queue has a pending run wait for a free worker alone. Its record no longer says what it waited for.
local function to_queue(run, now)
  redis.call('ZADD', queue, now, run)
  local record, found = string.gsub(redis.call('HGET', runs, run) or '', ',"waits_for":"[^"]*"', '', 1)
  if found > 0 then redis.call('HSET', runs, run, record) end
end

-- let_in gives the places of a key that are free to those that have waited the longest: they have them before they are
-- claimed, so that nobody overtakes.
local function let_in(key, now)
  for _ = 1, 100 do
    local member = first_waiter(key)
    if not member then return end
    local run = string.match(member, '[^|]*$')
    local value = redis.call('HGET', waiting, run)
    local own, max = concurrency_of(flow_of(run))
    if value and own ~= key then max = tonumber(read_held(value).max) end
    if value and places(key) >= max then return end
    redis.call('ZREM', blocked, member)
    if value then
      redis.call('ZADD', keyed, 0, key .. '|' .. run)
      to_queue(run, now)
    end
  end
end

-- give_back frees the run's place of its concurrency key.
local function give_back(h, now)
  if h.key == '' then return end
  redis.call('ZREM', keyed, h.key .. '|' .. h.run)
  let_in(h.key, now)
end

-- unblock lets the flow's oldest waiting run compete again where the flow is no longer busy, or all where they may overlap.
local function unblock(name, now)
  local some = of_flow(blocked, name, 100)
  if #some == 0 then return end
  local value = redis.call('HGET', state, name)
  local together = value and read_state(value).overlap == 'a'
  if not together and busy(name) then return end
  for i = 1, together and #some or 1 do
    redis.call('ZREM', blocked, some[i])
    to_queue(some[i], now)
  end
end
