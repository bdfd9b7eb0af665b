-- Prepended to every script: the keys of one partition, the clock, and the records that scripts read and write.
--
-- Every script gets the same KEYS in the same order (partition.go holds the other end of this list), so each key that
-- is touched is declared, and all of them share one hash tag and so one slot of a Redis Cluster.

local meta     = KEYS[1]  -- hash: clock, token (both in µs)
local defs     = KEYS[2]  -- hash: name -> definition, JSON
local names    = KEYS[3]  -- sorted set, all scores 0: names, for listing in order
local state    = KEYS[4]  -- hash: name -> rev|slot|attempts|JSON
local due      = KEYS[5]  -- sorted set: name by the time in ms at which its slot comes due; run id of a run-now that waits to be retried
local queue    = KEYS[6]  -- sorted set: run-nows, by run id, scored by arrival
local blocked  = KEYS[7]  -- sorted set, all scores 0: run-nows whose flow is held, by run id
local leases   = KEYS[8]  -- sorted set: name by expiry in ms
local held     = KEYS[9]  -- hash: name -> token|run|occurrence|slot|attempt|crashes|beat|as_of|worker|nonce
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
  local rev, slot, attempts, rest = string.match(value, '^(%d*)|(%d*)|(%d*)|(.*)$')
  return { rev = rev, slot = slot, attempts = tonumber(attempts) or 0, rest = rest }
end

-- paused reports whether the flow is paused: its slot waits outside the due set.
local function paused(s) return string.find(s.rest, '"paused":', 1, true) ~= nil end

local function pack_state(s) return s.rev .. '|' .. s.slot .. '|' .. int(s.attempts) .. '|' .. s.rest end

local HELD = '^([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|(.*)$'

local function read_held(value)
  local h = {}
  h.token, h.run, h.occurrence, h.slot, h.attempt, h.crashes, h.beat, h.as_of, h.worker, h.nonce = string.match(value, HELD)
  return h
end

local function pack_held(h)
  return table.concat({ h.token, h.run, h.occurrence, h.slot, h.attempt, h.crashes, h.beat, h.as_of, h.worker, h.nonce }, '|')
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

-- unblock lets the flow's oldest waiting run-now compete again, now that the flow is no longer held.
local function unblock(name, now)
  local waiting = redis.call('ZRANGEBYLEX', blocked, '[' .. name .. '~', '(' .. name .. '\127', 'LIMIT', 0, 1)
  if #waiting > 0 then
    redis.call('ZREM', blocked, waiting[1])
    redis.call('ZADD', queue, now, waiting[1])
  end
end
