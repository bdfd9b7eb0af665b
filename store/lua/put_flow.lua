-- put_flow creates or changes a batch of up to 100 definitions, each name at most once.
--
-- Reply: for each flow in order, one of
--   1. 'ok': definition, name, state, due time and source are written; or the source alone, where nothing else differs.
--   2. 'conflict': the state's head is not the expected one; someone else wrote in between. Nothing was written for this
--      flow; the others of the batch are not affected.
-- A flow that is held stays out of the due set: the run under way finishes under the definition that it started with,
-- and its completion, which notices that the revision differs, works with the new one. It keeps the slot that is being
-- worked on; where a run-now holds it, no slot is, and the new schedule's slot takes effect.
-- Cost: O(n log flows) for n flows.

local fresh  = ARGV[1] -- JSON part of the state of a flow that is new
local STRIDE = 6       -- then for each flow:
local EXPECTED, DEF, SLOT, SCORE, SOURCE = 1, 2, 3, 4, 5 -- the name comes first
-- EXPECTED is rev|slot|attempts of the state that the caller has seen, '' for no such flow; DEF the definition as JSON,
-- '' to write the source alone; SLOT the next slot in ms, '' for none; SCORE when that comes due in ms, '' for none;
-- SOURCE where the flow was applied from, '' to leave what is recorded.

local now_us = clock()
local asked = {}
for i = 2, #ARGV, STRIDE do asked[#asked + 1] = ARGV[i] end
local states = call_batch('HMGET', state, asked)
local holders = call_batch('HMGET', held, asked)

local outcomes = {}
local rev = last_token(now_us)
local new_defs, new_states, new_names, new_sources, scores, no_scores = {}, {}, {}, {}, {}, {}

local function head_of(value) return value and string.match(value, '^%d*|%d*|%d*') or '' end

local function append(to, first, second) to[#to + 1], to[#to + 2] = first, second end

local function define(at, name, current, holder)
  local slot, score = ARGV[at + SLOT], ARGV[at + SCORE]
  local s = current and read_state(current) or { attempts = 0, rest = fresh }
  if not current or not holder or read_held(holder).slot == '' then
    if s.slot ~= slot then s.attempts = 0 end
    s.slot = slot
  end
  rev = rev + 1
  s.rev = int(rev)
  append(new_defs, name, ARGV[at + DEF])
  append(new_states, name, pack_state(s))
  append(new_names, 0, name)
  if score == '' or paused(s) then
    no_scores[#no_scores + 1] = name
  elseif not holder then
    append(scores, score, name)
  end
end

for i, name in ipairs(asked) do
  local at = 2 + (i - 1) * STRIDE
  if head_of(states[i]) ~= ARGV[at + EXPECTED] then
    outcomes[i] = 'conflict'
  else
    outcomes[i] = 'ok'
    if ARGV[at + DEF] ~= '' then define(at, name, states[i], holders[i]) end
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
return outcomes
