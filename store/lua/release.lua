-- release hands occurrences back that a worker will not finish, without spending an attempt: it drains, or cannot read them.
--
-- Reply: { outcomes, settled beats }; for each occurrence in order, one of
--   1. { 1 }: handed back. It is pending again, under its beat and with its place of a concurrency key: a run-now as the run
--      that it is, a slot as a new one, and the run that did not finish is closed.
--   2. { 2 }: this had been done by the very same call before (whose answer was lost).
--   3. { 0 }: the token is not the current one. Nothing was written.
--   4. { 3, why }: the run is to be cancelled. Nothing was written; the caller ends it instead.
-- Cost: O(n log flows) for n occurrences.

local STRIDE = 10
local RUN, TOKEN, REV, RECORD, LOG, BACK, BEAT_KEY, LATER, NEXT_RUN, NEXT_RECORD = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
-- BACK is when the slot that the flow waits for beside the run comes due in ms, '' where there is none; LATER is 1 to leave the
-- occurrence to the next beat, '' to have it claimed at once; NEXT_* is the run that waits, '' where it is the same.

local now = math.floor(clock() / 1000)

local function put_back(at, name)
  local current = redis.call('HGET', state, name)
  if not current then return end -- the flow was deleted
  local s = read_state(current)
  if s.overlap ~= '' or s.slot == '' or paused(s) or not free(name, s) then return end
  -- If the flow was changed since the claim, BACK is of the old schedule; the slot itself is never too early.
  if s.rev ~= ARGV[at + REV] then
    redis.call('ZADD', due, s.slot, name)
  elseif ARGV[at + BACK] ~= '' then
    redis.call('ZADD', due, ARGV[at + BACK], name)
  end
end

-- go_on_as closes the run, and has another one stand for the occurrence.
local function go_on_as(next, record, h)
  redis.call('ZADD', ended, now, h.run)
  redis.call('HDEL', held, h.run)
  redis.call('ZREM', leases, h.run)
  redis.call('ZREM', open, h.run)
  if redis.call('ZREM', keyed, h.key .. '|' .. h.run) == 1 then redis.call('ZADD', keyed, 0, h.key .. '|' .. next) end
  h.run = next
  redis.call('ZADD', open, 0, next)
  redis.call('ZADD', byflow, 0, next)
  redis.call('HSET', runs, next, record)
end

local function hand_back(at, run, h)
  redis.call('HSET', runs, run, ARGV[at + RECORD])
  if ARGV[at + LOG] ~= '' then redis.call('HSET', logs, run, ARGV[at + LOG]) end
  if ARGV[at + NEXT_RUN] ~= '' then go_on_as(ARGV[at + NEXT_RUN], ARGV[at + NEXT_RECORD], h) end
  wait(h)
  if ARGV[at + LATER] == '' then
    redis.call('ZADD', queue, now, h.run)
  else
    give_back(h, now)
    redis.call('ZADD', due, now, h.run)
  end
  put_back(at, flow_of(run))
  unblock(flow_of(run), now)
end

local outcomes = {}
for at = 1, #ARGV, STRIDE do
  local run = ARGV[at + RUN]
  local value = redis.call('HGET', held, run)
  if token_of(value) == ARGV[at + TOKEN] then
    local why = redis.call('HGET', cancels, run)
    if why then
      outcomes[#outcomes + 1] = { 3, why }
    else
      hand_back(at, run, read_held(value))
      outcomes[#outcomes + 1] = { 1 }
    end
  elseif redis.call('HGET', runs, run) == ARGV[at + RECORD] then
    outcomes[#outcomes + 1] = { 2 }
    beat_of(ARGV[at + BEAT_KEY])
  else
    outcomes[#outcomes + 1] = { 0 }
  end
end
return { outcomes, save_beats(now) }
