-- complete ends a batch of runs: closes each record, writes the flow's state and next due time, and drops the lease.
--
-- Reply: { outcomes, settled beats, 1 if there may be something to claim else 0 }; for each run in order, one of
--   1. { 1 }: completed.
--   2. { 2 }: it had been completed by the very same call before (whose answer was lost): same record under same id.
--   3. { 0 }: the token is not the current one. Nothing was written: another attempt owns the occurrence.
--   4. { 3, definition, state }: the flow was changed since the claim. Nothing was written; the caller computes the next
--      slot from the new definition and repeats.
--   5. { 4, as-of in ms }: a beat has come as of which the next slot was due while the flow was held. Nothing was written;
--      the caller records what was passed over, computes the slot after that and repeats.
-- A flow that was deleted in the meantime gets no state and no due time.
-- A slot that is not to be run at all ends here too: with an empty record, its run leaves no trace, and its beat has
-- triggered nothing.
-- Each call also drops up to 100 runs past the time to live, and what is over the number kept per flow.
-- Cost: O(n log flows) for n runs.

local ttl       = tonumber(ARGV[1]) -- ms that an ended run is kept
local keep      = tonumber(ARGV[2]) -- runs kept per flow
local keep_dead = tonumber(ARGV[3]) -- dead letters kept
local FIRST, STRIDE = 4, 16         -- then for each run, the name and:
local TOKEN, REV, RUN, RECORD, STATE, SCORE, STATUS, LOG, BEAT_KEY = 1, 2, 3, 4, 5, 6, 7, 8, 9
local SEEN, LEDGER_ENTRIES, DEAD, NEXT_RUN, NEXT_RECORD, NEXT_SCORE = 10, 11, 12, 13, 14, 15
-- STATE is slot|attempts|JSON; SCORE '' for no next slot; STATUS success, failed or cancelled; LOG '' for no output.
-- SEEN is the newest as-of time in ms that SCORE takes into account, '' where none has to be; LEDGER_ENTRIES are the
-- slots that did not run; DEAD is 1 where the occurrence failed for good. NEXT_*: a run-now to be retried, or ''.

local now = math.floor(clock() / 1000)
local asked = {}
for i = FIRST, #ARGV, STRIDE do asked[#asked + 1] = ARGV[i] end
local values = call_batch('HMGET', held, asked)
local states = call_batch('HMGET', state, asked)
local newest = tonumber(redis.call('ZREVRANGE', beatlog, 0, 0, 'WITHSCORES')[2] or 0)

local outcomes = {}
local records, ends, tails, new_states, scores = {}, {}, {}, {}, {}
local done, occurrences, ids, untried = {}, {}, {}, {}
local just_ended = {} -- run id -> true
local finished = {} -- name -> record; a run that is named twice in the batch is completed once

local function repeated(run, record)
  return (redis.call('HGET', runs, run) or '') == record
end

-- passed_over reports whether a beat came, unknown to the caller, that covers the next slot.
local function passed_over(at)
  local score, seen = tonumber(ARGV[at + SCORE]), tonumber(ARGV[at + SEEN])
  return score and seen and seen < newest and score <= newest
end

local function bury(run, record)
  redis.call('HSET', dead, run, record)
  redis.call('ZADD', deadlog, now, run)
  local over = math.min(redis.call('ZCARD', deadlog) - keep_dead, 100)
  local surplus = over > 0 and redis.call('ZRANGE', deadlog, 0, over - 1) or {}
  for _, old in ipairs(redis.call('ZRANGEBYSCORE', deadlog, '-inf', now - ttl, 'LIMIT', 0, 10)) do surplus[#surplus + 1] = old end
  call_batch('HDEL', dead, surplus)
  call_batch('ZREM', deadlog, surplus)
end

-- try_later has a run-now wait for its next attempt, under its own id.
local function try_later(at)
  local run = ARGV[at + NEXT_RUN]
  records[#records + 1], records[#records + 2] = run, ARGV[at + NEXT_RECORD]
  redis.call('ZADD', byflow, 0, run)
  redis.call('ZADD', due, ARGV[at + NEXT_SCORE], run)
end

local function finish(at, name, h, s)
  local run = ARGV[at + RUN]
  local beat = beat_of(h.beat)
  if beat then beat.open = beat.open - 1 end
  if ARGV[at + RECORD] == '' then
    untried[#untried + 1] = run
    if beat then beat.triggered = beat.triggered - 1 end
  else
    records[#records + 1], records[#records + 2] = run, ARGV[at + RECORD]
    ends[#ends + 1], ends[#ends + 2] = now, run
    just_ended[run] = true
    if ARGV[at + LOG] ~= '' then tails[#tails + 1], tails[#tails + 2] = run, ARGV[at + LOG] end
    if beat and ARGV[at + STATUS] == 'success' then beat.succeeded = beat.succeeded + 1
    elseif beat then beat.failed = beat.failed + 1 end
  end
  if s then
    new_states[#new_states + 1], new_states[#new_states + 2] = name, s.rev .. '|' .. ARGV[at + STATE]
    note_slots(name, ARGV[at + LEDGER_ENTRIES])
    if ARGV[at + SCORE] ~= '' then
      scores[#scores + 1], scores[#scores + 2] = ARGV[at + SCORE], name
      -- Slots that are caught up one by one come due again as of the same beat.
      if beat and tonumber(ARGV[at + SCORE]) <= tonumber(h.as_of) then redis.call('ZADD', draining, h.as_of, h.beat) end
    end
  end
  if ARGV[at + DEAD] == '1' then bury(run, ARGV[at + RECORD]) end
  done[#done + 1], ids[#ids + 1] = name, run
  if ARGV[at + NEXT_RUN] ~= '' and s then try_later(at)
  elseif h.slot == '' then occurrences[#occurrences + 1] = h.occurrence end
end

for i, name in ipairs(asked) do
  local at = FIRST + (i - 1) * STRIDE
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
  elseif s and passed_over(at) then
    outcomes[i] = { 4, int(newest) }
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
drop_runs(untried)
if redis.call('EXISTS', cancels) == 1 then call_batch('HDEL', cancels, ids) end
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

return { outcomes, save_beats(now), more() }
