-- put_flow creates or changes one definition.
--
-- Outcomes (first element of the reply):
--   1. 'ok': definition, name, state and due time are written.
--   2. 'conflict': the state's head is not the expected one; someone else wrote in between. Nothing was written.
-- A flow that is held stays out of the due set: the run under way finishes under the definition that it started with,
-- and its completion, which notices that the revision differs, works with the new one. It keeps the slot that is being
-- worked on; where a run-now holds it, no slot is, and the new schedule's slot takes effect.
-- Cost: O(log flows).

local name     = ARGV[1]
local expected = ARGV[2] -- rev|slot|attempts of the state that the caller has seen, '' for no such flow
local def      = ARGV[3] -- definition, JSON
local slot     = ARGV[4] -- next slot in ms, '' for none
local score    = ARGV[5] -- when that slot comes due in ms, '' for none
local fresh    = ARGV[6] -- JSON part of the state of a flow that is new

local now_us = clock()
local current = redis.call('HGET', state, name)
if (current and string.match(current, '^%d*|%d*|%d*') or '') ~= expected then return { 'conflict' } end

local holder = redis.call('HGET', held, name)
local s = current and read_state(current) or { attempts = 0, rest = fresh }
if not current or not holder or read_held(holder).slot == '' then
  if s.slot ~= slot then s.attempts = 0 end
  s.slot = slot
end
local rev = last_token(now_us) + 1
save_token(rev)
s.rev = int(rev)

redis.call('HSET', defs, name, def)
redis.call('HSET', state, name, pack_state(s))
redis.call('ZADD', names, 0, name)
if score == '' or paused(s) then
  redis.call('ZREM', due, name)
elseif not holder then
  redis.call('ZADD', due, score, name)
end
return { 'ok' }
