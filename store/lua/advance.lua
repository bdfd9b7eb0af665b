-- advance moves claimed occurrences to the slot that they stand for, and records the slots that they pass over.
--
-- Reply: a list with, for each occurrence in order, one of
--   1. { 1 }: done, or done by the very same call before (whose answer was lost).
--   2. { 0 }: the token is not the current one. Nothing was written.
--   3. { 3, definition, state }: the flow was changed since the claim. Nothing was written; the caller plans anew.
-- Cost: O(n) for n occurrences.

local STRIDE = 9 -- name, token, revision, run id, record, slot in ms, occurrence, state (slot|attempts|JSON), ledger entries

local reply = {}
for at = 1, #ARGV, STRIDE do
  local name = ARGV[at]
  local value = redis.call('HGET', held, name)
  local current = redis.call('HGET', state, name)
  if token_of(value) ~= ARGV[at + 1] then
    reply[#reply + 1] = { 0 }
  else
    local h = read_held(value)
    if h.occurrence == ARGV[at + 6] then
      reply[#reply + 1] = { 1 }
    elseif current and read_state(current).rev ~= ARGV[at + 2] then
      reply[#reply + 1] = { 3, redis.call('HGET', defs, name) or '', current }
    else
      h.slot, h.occurrence = ARGV[at + 5], ARGV[at + 6]
      redis.call('HSET', held, name, pack_held(h))
      redis.call('HSET', runs, ARGV[at + 3], ARGV[at + 4])
      if current then
        redis.call('HSET', state, name, read_state(current).rev .. '|' .. ARGV[at + 7])
        note_slots(name, ARGV[at + 8])
      end
      reply[#reply + 1] = { 1 }
    end
  end
end
return reply
