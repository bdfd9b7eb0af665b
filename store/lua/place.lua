-- place writes what policies make of claimed occurrences before they run: the slot that each stands for, what it passes over
-- and replaces, the slot that the flow waits for next, and its place of a concurrency key.
--
-- Reply: a list with, for each claim in order, one of
--   1. { 1, revision of the state, held value }: it may run. Repeating the call gives this again.
--   2. { 2, run ids to be cancelled … }: it has to wait, and is pending: for the runs that it replaces to end, or for a place
--      of its key. Its lease and its token are gone.
--   3. { 0 }: the token is not the current one, as after 2. Nothing was written.
--   4. { 3, definition, state }: the flow was changed since the claim. Nothing was written; the caller plans anew.
--   5. { 4, why }: it is to be cancelled: somebody asked for it, a later occurrence has its place already, or too many of the
--      flow are open. Nothing else was written; the caller ends it.
-- The run ids are of runs under lease: they are flagged, and who holds them can be told at once.
-- Cost: O(log flows) for each, and what is open of a flow with overlap: replace.

local STRIDE = 13
local RUN, TOKEN, REV, RECORD, PENDING, SLOT, OCCURRENCE, STATE, LEDGER_ENTRIES, SCORE, BACK, KEY, MAX = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
-- RECORD and PENDING are the run's record if it runs, and if it waits; SLOT in ms; STATE is slot|overlap|JSON, '' to leave
-- it; SCORE when the slot in STATE comes due, in ms, '' for none or where the occurrence keeps the flow; BACK when the
-- flow's own slot comes due if the run has to wait, '' where that has no say; KEY and MAX of the concurrency key, or ''.

local now = math.floor(clock() / 1000)

-- age is when an occurrence was to be, in ms: its slot, or when a run-now was asked for.
local function age(h)
  if h.slot ~= '' then return tonumber(h.slot) end
  return tonumber(string.match(h.occurrence, '~(%d+)') or string.match(h.run, '~(%d+)')) / 1000
end

-- newer gives a run of the flow that is open, is not to be ended, and stands for a later occurrence.
local function newer(at, name, h)
  local own = age({ slot = ARGV[at + SLOT], occurrence = h.occurrence, run = h.run })
  for _, other in ipairs(of_flow(open, name, MANY)) do
    local value = other ~= h.run and (redis.call('HGET', held, other) or redis.call('HGET', waiting, other))
    if value and age(read_held(value)) > own and redis.call('HEXISTS', cancels, other) == 0 then return other end
  end
end

-- refusal gives why the occurrence is not to be run after all, if it is not.
local function refusal(at, name, h, s)
  if not s then return nil end
  if s.overlap == 'r' then
    local other = newer(at, name, h)
    if other then return 'superseded by run ' .. other end
  end
  if ARGV[at + STATE] ~= '' and s.overlap ~= '' and count_of(open, name) > MANY then
    return 'too_many_open: ' .. int(MANY) .. ' occurrences of the flow have begun and not ended'
  end
end

-- replace flags everything else of the flow that is open, and gives what of it is under lease.
local function replace(name, h)
  local leased = {}
  for _, other in ipairs(of_flow(open, name, MANY)) do
    local value = other ~= h.run and redis.call('HGET', waiting, other)
    if other ~= h.run then redis.call('HSETNX', cancels, other, 'superseded by run ' .. h.run) end
    if value then
      unwait(read_held(value))
      redis.call('ZADD', queue, now, other)
    elseif other ~= h.run then
      leased[#leased + 1] = other
    end
  end
  return leased
end

-- take_place gives the run a place of its key, and tells whether it could: those that wait already go first.
local function take_place(h, key, max)
  if h.key ~= key then
    give_back(h, now)
    h.key = key
  end
  h.max = max
  if key == '' or redis.call('ZSCORE', keyed, key .. '|' .. h.run) then return true end
  if first_waiter(key) or places(key) >= tonumber(max) then return false end
  redis.call('ZADD', keyed, 0, key .. '|' .. h.run)
  return true
end

local function write_state(at, name, h, s)
  redis.call('HSET', state, name, s.rev .. '|' .. ARGV[at + STATE])
  note_slots(name, ARGV[at + LEDGER_ENTRIES])
  local score = ARGV[at + SCORE]
  if score == '' then return end
  redis.call('ZADD', due, score, name)
  if beat_of(h.beat) and tonumber(score) <= tonumber(h.as_of) then redis.call('ZADD', draining, h.as_of, h.beat) end
end

local function have_wait(at, name, h, s, member)
  wait(h)
  redis.call('HSET', runs, h.run, ARGV[at + PENDING])
  redis.call('ZADD', blocked, 0, member)
  if s and ARGV[at + BACK] ~= '' and free(name, s) then redis.call('ZADD', due, ARGV[at + BACK], name) end
  unblock(name, now)
end

local function place(at, name, h, current)
  local s = current and read_state(current)
  h.slot, h.occurrence = ARGV[at + SLOT], ARGV[at + OCCURRENCE]
  if s and ARGV[at + STATE] ~= '' then
    s.rev = next_rev(s.rev)
    write_state(at, name, h, s)
  end
  local replaced = s and s.overlap == 'r' and replace(name, h) or {}
  if #replaced > 0 then
    give_back(h, now)
    h.key, h.max = '', ''
    have_wait(at, name, h, s, h.run)
    return { 2, unpack(replaced) }
  end
  if not take_place(h, ARGV[at + KEY], ARGV[at + MAX]) then
    have_wait(at, name, h, s, key_waiter(h))
    return { 2 }
  end
  h.nonce = PLACED
  redis.call('HSET', held, h.run, pack_held(h))
  redis.call('HSET', runs, h.run, ARGV[at + RECORD])
  return { 1, s and s.rev or '', pack_held(h) }
end

local reply = {}
for at = 1, #ARGV, STRIDE do
  local run = ARGV[at + RUN]
  local name = flow_of(run)
  local value = redis.call('HGET', held, run)
  local current = redis.call('HGET', state, name)
  local why = redis.call('HGET', cancels, run)
  local h = value and read_held(value)
  if token_of(value) ~= ARGV[at + TOKEN] then
    reply[#reply + 1] = { 0 }
  elseif h.nonce == PLACED then
    reply[#reply + 1] = { 1, '', value } -- the state it was made into is not known any more: its end rebases
  elseif why then
    reply[#reply + 1] = { 4, why }
  elseif current and read_state(current).rev ~= ARGV[at + REV] then
    reply[#reply + 1] = { 3, redis.call('HGET', defs, name) or '', current }
  else
    why = refusal(at, name, h, current and read_state(current))
    if why then redis.call('HSET', cancels, run, why) end
    reply[#reply + 1] = why and { 4, why } or place(at, name, h, current)
  end
end
return reply
