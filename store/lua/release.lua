-- release hands occurrences back that a worker will not finish, without spending an attempt: it drains.
--
-- Reply: { outcomes, settled beats }; for each occurrence in order, one of
--   1. { 1 }: handed back. A slot is due again, under the same beat, which drains again; a run-now is queued again.
--   2. { 2 }: this had been done by the very same call before (whose answer was lost).
--   3. { 0 }: the token is not the current one. Nothing was written.
--   4. { 3 }: the run is to be cancelled. Nothing was written; the caller ends it instead.
-- Cost: O(n log flows) for n occurrences.

local STRIDE = 8 -- name, token, revision, run id, record, when the slot comes due in ms ('' for none), log, beat key

local now = math.floor(clock() / 1000)
local outcomes = {}

local function hand_back(at, name, h)
  local rev, run, record, score, log = ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6]
  redis.call('HDEL', held, name)
  redis.call('ZREM', leases, name)
  redis.call('HSET', runs, run, record)
  if log ~= '' then redis.call('HSET', logs, run, log) end
  local beat = beat_of(h.beat)
  if beat then beat.open, beat.triggered = beat.open - 1, beat.triggered - 1 end

  local current = redis.call('HGET', state, name)
  if h.slot == '' then
    redis.call('ZADD', queue, now, run)
    -- The slot that waited beside the run-now is due again too. If the flow was changed since the claim, the caller's
    -- score is that of the old schedule; the slot itself is never too early.
    local s = current and read_state(current)
    if s and s.slot ~= '' and s.rev == rev and score ~= '' then
      redis.call('ZADD', due, score, name)
    elseif s and s.slot ~= '' and s.rev ~= rev and not paused(s) then
      redis.call('ZADD', due, s.slot, name)
    end
    return
  end
  redis.call('ZADD', ended, now, run)
  if not current then return end -- the flow was deleted
  local s = read_state(current)
  s.slot, s.attempts = h.slot, tonumber(h.attempt) - 1
  redis.call('HSET', state, name, pack_state(s))
  if not paused(s) then
    redis.call('ZADD', due, score, name)
    if beat then redis.call('ZADD', draining, h.as_of, h.beat) end
  end
  unblock(name, now)
end

for at = 1, #ARGV, STRIDE do
  local name = ARGV[at]
  local value = redis.call('HGET', held, name)
  if token_of(value) == ARGV[at + 1] then
    local h = read_held(value)
    if redis.call('HEXISTS', cancels, h.run) == 1 then
      outcomes[#outcomes + 1] = { 3 }
    else
      hand_back(at, name, h)
      outcomes[#outcomes + 1] = { 1 }
    end
  elseif redis.call('HGET', runs, ARGV[at + 3]) == ARGV[at + 4] then
    outcomes[#outcomes + 1] = { 2 }
    beat_of(ARGV[at + 7])
  else
    outcomes[#outcomes + 1] = { 0 }
  end
end
return { outcomes, save_beats(now) }
