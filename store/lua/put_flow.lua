-- put_flow creates or changes a batch of up to 100 definitions, each name at most once.
--
-- Reply: for each flow in order, one of
--   1. 'ok': definition, name, state, due time and source are written; or the source alone, where nothing else differs.
--   2. 'conflict': the state's head is not the expected one; someone else wrote in between. Nothing was written for this
--      flow; the others of the batch are not affected.
-- A run under way finishes under the definition that it started with, and its completion, which notices that the revision
-- differs, works with the new one. Where it works on the slot that the flow waits for, the flow keeps that slot. A retry that
-- waits stays as it is, and a new schedule takes effect beside it.
-- Cost: O(n log flows) for n flows, and what is open of each.

local STRIDE = 9 -- for each flow:
local EXPECTED, DEF, SLOT, SCORE, SOURCE, OVERLAP, REST, LEDGER_ENTRIES = 1, 2, 3, 4, 5, 6, 7, 8 -- the name comes first
-- EXPECTED is rev|slot|overlap of the state that the caller has seen, '' for no such flow; DEF the definition as JSON,
-- '' to write the source alone; SLOT the next slot in ms, '' for none; SCORE when that comes due in ms, '' for none;
-- SOURCE where the flow was applied from, '' to leave what is recorded; OVERLAP as the state has it. LEDGER_ENTRIES are slots
-- that the new schedule passes over, and REST the JSON part of the state that counts them, '' where there are none.

local now_us = clock()
local asked = {}
for i = 1, #ARGV, STRIDE do asked[#asked + 1] = ARGV[i] end
local states = call_batch('HMGET', state, asked)

local outcomes = {}
local rev = last_token(now_us)
local new_defs, new_states, new_names, new_sources, scores, no_scores, defined = {}, {}, {}, {}, {}, {}, {}

local function head_of(value) return value and string.match(value, '^%d*|%d*|%a?') or '' end

local function append(to, first, second) to[#to + 1], to[#to + 2] = first, second end

-- working_on reports whether a run under lease works on the slot that the flow waits for.
local function working_on(name, s)
  if s.slot == '' then return false end
  for _, value in ipairs(call_batch('HMGET', held, of_flow(open, name, MANY))) do
    if value and read_held(value).slot == s.slot then return true end
  end
  return false
end

local function define(at, name, current)
  local slot, score = ARGV[at + SLOT], ARGV[at + SCORE]
  local s = current and read_state(current) or {}
  if not current or s.slot ~= slot and not working_on(name, s) then
    s.slot = slot
    if ARGV[at + REST] ~= '' then s.rest = ARGV[at + REST] end
    note_slots(name, ARGV[at + LEDGER_ENTRIES])
  end
  s.overlap = ARGV[at + OVERLAP]
  rev = math.max(rev, tonumber(s.rev) or 0) + 1
  s.rev = int(rev)
  s.rest = s.rest or '{"made":' .. s.rev .. '}' -- tells a run that one of the same name has left behind
  append(new_defs, name, ARGV[at + DEF])
  append(new_states, name, pack_state(s))
  append(new_names, 0, name)
  if score == '' or paused(s) or not free(name, s) then
    no_scores[#no_scores + 1] = name
  else
    append(scores, score, name)
  end
  defined[#defined + 1] = name
end

for i, name in ipairs(asked) do
  local at = 1 + (i - 1) * STRIDE
  if head_of(states[i]) ~= ARGV[at + EXPECTED] then
    outcomes[i] = 'conflict'
  else
    outcomes[i] = 'ok'
    if ARGV[at + DEF] ~= '' then define(at, name, states[i]) end
    if ARGV[at + SOURCE] ~= '' then append(new_sources, name, ARGV[at + SOURCE]) end
  end
end

if #new_defs > 0 then save_token(rev) end
call_batch('HSET', defs, new_defs)
call_batch('HSET', state, new_states)
call_batch('HSET', sources, new_sources)
call_batch('ZADD', names, new_names)
call_batch('ZREM', due, no_scores)
call_batch('ZADD', due, scores)
if redis.call('EXISTS', blocked) == 1 then
  local now = math.floor(now_us / 1000)
  for _, name in ipairs(defined) do
    unblock(name, now) -- they may overlap now
    local key = concurrency_of(name)
    if key ~= '' then let_in(key, now) end -- or the key may have more places
  end
end
return outcomes
