-- complete ends a batch of runs: closes each record, writes the flow's state and next due time, and drops the lease.
--
-- Reply: { outcomes, settled beats, 1 if there may be something to claim else 0 }; for each run in order, one of
--   1. { 1 }: completed.
--   2. { 2 }: it had been completed by the very same call before (whose answer was lost): same record under same id.
--   3. { 0 }: the token is not the current one. Nothing was written: another attempt owns the occurrence.
--   4. { 3, definition, state }: the flow was changed since the claim, or another run of it has ended. Nothing was
--      written; the caller computes the next state from the new one and repeats.
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
local FIRST, STRIDE = 4, 16         -- then for each run, its id and:
local TOKEN, REV, RECORD, STATE, SCORE, STATUS, LOG, BEAT_KEY = 1, 2, 3, 4, 5, 6, 7, 8
local SEEN, LEDGER_ENTRIES, DEAD, NEXT_RUN, NEXT_RECORD, NEXT_SCORE, TRIES = 9, 10, 11, 12, 13, 14, 15
-- STATE is slot|overlap|JSON; SCORE when its slot comes due, '' for none, or where it is due already; STATUS success, failed or
-- cancelled; LOG '' for no output. SEEN is the newest as-of time in ms that SCORE takes into account, '' where none has to
-- be; LEDGER_ENTRIES are the slots that did not run; DEAD is 1 where the occurrence failed for good. NEXT_*: the run of the
-- next attempt and when that comes due, or ''; TRIES are then the flow's own failures so far.
-- Where several runs of a flow are in the batch, each STATE is made from the one before, and all have one REV.

local now = math.floor(clock() / 1000)
local asked, flows = {}, {}
for i = FIRST, #ARGV, STRIDE do
  asked[#asked + 1] = ARGV[i]
  flows[#flows + 1] = flow_of(ARGV[i])
end
local values = call_batch('HMGET', held, asked)
local states = {} -- name -> state as it is now, or false
for i, value in ipairs(call_batch('HMGET', state, flows)) do states[flows[i]] = value and read_state(value) end
local newest = tonumber(redis.call('ZREVRANGE', beatlog, 0, 0, 'WITHSCORES')[2] or 0)

local outcomes = {}
local records, ends, tails = {}, {}, {}
local done, occurrences, untried = {}, {}, {}
local just_ended = {} -- run id -> true
local finished = {}   -- run id -> record; a run that is named twice in the batch is completed once
local written = {}    -- name -> the revision that an end in this batch was made from
local spoiled = {}    -- name -> true where the states of later ends are made from one that was not written
local scores = {}     -- name -> when its slot comes due in ms

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

-- try_later has the occurrence wait for its next attempt, as a run of its own, for any later beat. Where it is to be
-- cancelled, that one is, by whoever claims it.
local function try_later(at, h)
  local run = ARGV[at + NEXT_RUN]
  records[#records + 1], records[#records + 2] = run, ARGV[at + NEXT_RECORD]
  redis.call('HSET', waiting, run, pack_held({ token = h.token, run = run, occurrence = h.occurrence, slot = h.slot,
    attempt = int(tonumber(h.attempt) + 1), tries = ARGV[at + TRIES], crashes = '0' }))
  redis.call('ZADD', byflow, 0, run)
  redis.call('ZADD', open, 0, run)
  local why = redis.call('HGET', cancels, h.run)
  if why then
    redis.call('HSET', cancels, run, why)
    redis.call('ZADD', queue, now, run)
  else
    redis.call('ZADD', due, ARGV[at + NEXT_SCORE], run)
  end
end

local function close(at, run, beat)
  if ARGV[at + RECORD] == '' then
    untried[#untried + 1] = run
    if beat then beat.triggered = beat.triggered - 1 end
    return
  end
  records[#records + 1], records[#records + 2] = run, ARGV[at + RECORD]
  ends[#ends + 1], ends[#ends + 2] = now, run
  just_ended[run] = true
  if ARGV[at + LOG] ~= '' then tails[#tails + 1], tails[#tails + 2] = run, ARGV[at + LOG] end
  if beat and ARGV[at + STATUS] == 'success' then beat.succeeded = beat.succeeded + 1
  elseif beat then beat.failed = beat.failed + 1 end
end

local function write_state(at, name, h, s, beat)
  written[name] = ARGV[at + REV]
  s.rev = next_rev(s.rev)
  redis.call('HSET', state, name, s.rev .. '|' .. ARGV[at + STATE])
  states[name] = read_state(s.rev .. '|' .. ARGV[at + STATE])
  note_slots(name, ARGV[at + LEDGER_ENTRIES])
  if states[name].slot == '' or paused(states[name]) then
    redis.call('ZREM', due, name)
    scores[name] = nil
  end
  local score = ARGV[at + SCORE]
  if score == '' then return end
  scores[name] = score
  -- Slots that are caught up one by one come due again as of the same beat.
  if beat and tonumber(score) <= tonumber(h.as_of) then redis.call('ZADD', draining, h.as_of, h.beat) end
end

local function finish(at, run, h, s)
  local beat = beat_of(h.beat)
  if beat then beat.open = beat.open - 1 end
  close(at, run, beat)
  if s then write_state(at, flow_of(run), h, s, beat) end
  if ARGV[at + DEAD] == '1' then bury(run, ARGV[at + RECORD]) end
  done[#done + 1] = run
  if ARGV[at + NEXT_RUN] ~= '' and s then try_later(at, h)
  elseif h.slot == '' then occurrences[#occurrences + 1] = h.occurrence end
end

for i, run in ipairs(asked) do
  local at = FIRST + (i - 1) * STRIDE
  local h = values[i] and read_held(values[i])
  local name = flows[i]
  local s = states[name]
  if finished[run] or not h or h.token ~= ARGV[at + TOKEN] then
    if finished[run] == ARGV[at + RECORD] or repeated(run, ARGV[at + RECORD]) then
      outcomes[i] = { 2 }
      beat_of(ARGV[at + BEAT_KEY])
    else
      outcomes[i] = { 0 }
    end
    spoiled[name] = true
  elseif s and (spoiled[name] or s.rev ~= ARGV[at + REV] and written[name] ~= ARGV[at + REV]) then
    outcomes[i] = { 3, redis.call('HGET', defs, name) or '', pack_state(s) }
    spoiled[name] = true
  elseif s and passed_over(at) then
    outcomes[i] = { 4, int(newest) }
    spoiled[name] = true
  else
    outcomes[i] = { 1 }
    finish(at, run, h, s)
    finished[run] = ARGV[at + RECORD]
  end
end

call_batch('HSET', runs, records)
call_batch('ZADD', ended, ends)
call_batch('HSET', logs, tails)
call_batch('HDEL', held, done)
call_batch('ZREM', leases, done)
call_batch('ZREM', open, done)
call_batch('HDEL', params, occurrences)
drop_runs(untried)
if redis.call('EXISTS', cancels) == 1 then call_batch('HDEL', cancels, done) end
for name, score in pairs(scores) do
  if free(name, states[name]) then redis.call('ZADD', due, score, name) end
end
local unblocked = {}
local keys_in_use, waiters = redis.call('EXISTS', keyed) == 1, redis.call('EXISTS', blocked) == 1
for i, run in ipairs(asked) do
  if finished[run] and keys_in_use then give_back(read_held(values[i]), now) end
  if finished[run] and waiters and not unblocked[flows[i]] then
    unblocked[flows[i]] = true
    unblock(flows[i], now)
  end
end

-- trim drops what a flow has over the number kept, of the oldest that have ended.
local function trim(name)
  local surplus = math.min(count_of(byflow, name) - keep, 100)
  if surplus <= 0 then return end
  local old = {}
  for _, past in ipairs(of_flow(byflow, name, math.min(surplus + count_of(open, name), MANY))) do
    -- Without its record, a repeated completion would be taken for a stale one.
    if #old < surplus and not just_ended[past] and redis.call('ZSCORE', ended, past) then old[#old + 1] = past end
  end
  drop_runs(old)
end

local trimmed = {}
for _, run in ipairs(done) do
  local name = flow_of(run)
  if not trimmed[name] then trim(name) end
  trimmed[name] = true
end
drop_runs(redis.call('ZRANGEBYSCORE', ended, '-inf', now - ttl, 'LIMIT', 0, 100))

return { outcomes, save_beats(now), more() }
