-- complete ends a batch of runs: closes each record, writes the flow's state and next due time, and drops the lease.
--
-- Reply: { outcomes, settled beats }; for each run in order, one of
--   1. { 1 }: completed.
--   2. { 2 }: it had been completed by the very same call before (whose answer was lost): same record under same id.
--   3. { 0 }: the token is not the current one. Nothing was written: another attempt owns the occurrence.
--   4. { 3, definition, state }: the flow was changed since the claim. Nothing was written; the caller computes the next slot from
--      the new definition and repeats.
-- A flow that was deleted in the meantime gets no state and no due time.
-- Each call also drops up to 100 runs past the time to live, and what is over the number kept per flow.
-- Cost: O(n log flows) for n runs.

local ttl  = tonumber(ARGV[1]) -- ms that an ended run is kept
local keep = tonumber(ARGV[2]) -- runs kept per flow
local STRIDE = 10              -- then for each run:
local TOKEN, REV, RUN, RECORD, STATE, SCORE, STATUS, LOG, BEAT_KEY = 1, 2, 3, 4, 5, 6, 7, 8, 9 -- the name comes first
-- STATE is slot|attempts|JSON; SCORE '' for no next slot; STATUS success, failed or cancelled; LOG '' for no output.

local now = math.floor(clock() / 1000)
local asked = {}
for i = 3, #ARGV, STRIDE do asked[#asked + 1] = ARGV[i] end
local values = call_batch('HMGET', held, asked)
local states = call_batch('HMGET', state, asked)

local outcomes = {}
local records, ends, tails, new_states, scores = {}, {}, {}, {}, {}
local done, occurrences = {}, {}
local just_ended = {} -- run id -> true
local finished = {} -- name -> record; a run that is named twice in the batch is completed once

local function repeated(run, record)
  local stored = redis.call('HGET', runs, run)
  return stored and stored == record
end

local function finish(at, name, h, s)
  local run = ARGV[at + RUN]
  records[#records + 1], records[#records + 2] = run, ARGV[at + RECORD]
  ends[#ends + 1], ends[#ends + 2] = now, run
  just_ended[run] = true
  if ARGV[at + LOG] ~= '' then tails[#tails + 1], tails[#tails + 2] = run, ARGV[at + LOG] end
  if s then
    new_states[#new_states + 1], new_states[#new_states + 2] = name, s.rev .. '|' .. ARGV[at + STATE]
    if ARGV[at + SCORE] ~= '' then scores[#scores + 1], scores[#scores + 2] = ARGV[at + SCORE], name end
  end
  done[#done + 1] = name
  if h.slot == '' then occurrences[#occurrences + 1] = h.occurrence end
  local beat = beat_of(h.beat)
  if beat then
    beat.open = beat.open - 1
    if ARGV[at + STATUS] == 'success' then beat.succeeded = beat.succeeded + 1 else beat.failed = beat.failed + 1 end
  end
end

for i, name in ipairs(asked) do
  local at = 3 + (i - 1) * STRIDE
  local h = values[i] and read_held(values[i])
  local s = states[i] and read_state(states[i])
  if finished[name] or not h or h.token ~= ARGV[at + TOKEN] then
    if finished[name] == ARGV[at + RECORD] or repeated(ARGV[at + RUN], ARGV[at + RECORD]) then
      outcomes[i] = { 2 }
      beat_of(ARGV[at + BEAT_KEY])
    else
      outcomes[i] = { 0 }
    end
  elseif s and s.rev ~= ARGV[at + REV] then
    outcomes[i] = { 3, redis.call('HGET', defs, name) or '', states[i] }
  else
    outcomes[i] = { 1 }
    finish(at, name, h, s)
    finished[name] = ARGV[at + RECORD]
  end
end

call_batch('HSET', runs, records)
call_batch('ZADD', ended, ends)
call_batch('HSET', logs, tails)
call_batch('HSET', state, new_states)
call_batch('ZADD', due, scores)
call_batch('HDEL', held, done)
call_batch('ZREM', leases, done)
call_batch('HDEL', params, occurrences)
if redis.call('EXISTS', blocked) == 1 then
  for _, name in ipairs(done) do unblock(name, now) end
end

for _, name in ipairs(done) do
  local from, to = '[' .. name .. '~', '(' .. name .. '\127'
  local surplus = redis.call('ZLEXCOUNT', byflow, from, to) - keep
  if surplus > 0 then
    local old = {}
    for _, run in ipairs(redis.call('ZRANGEBYLEX', byflow, from, to, 'LIMIT', 0, math.min(surplus, 100))) do
      -- Without its record, a repeated completion would be taken for a stale one.
      if not just_ended[run] and redis.call('ZSCORE', ended, run) then old[#old + 1] = run end
    end
    drop_runs(old)
  end
end
drop_runs(redis.call('ZRANGEBYSCORE', ended, '-inf', now - ttl, 'LIMIT', 0, 100))

return { outcomes, save_beats(now) }
