-- delete_flow removes one definition. Its history stays until it is past retention.
--
-- Outcomes: 1 deleted, 0 there was no such flow, or none from that source. Then nothing was written.
-- A run under way finishes; its completion finds no state and writes no next slot, or leaves that of a flow made anew as it is. Runs that wait are let into the queue,
-- where the claim ends them, since their flow is gone.
-- Cost: O(log flows + waiting runs of the flow, of those that have not begun at most 100).

local name   = ARGV[1]
local source = ARGV[2] -- where the flow has to be from, '' for anywhere

if source ~= '' and redis.call('HGET', sources, name) ~= source then return 0 end
if redis.call('HDEL', defs, name) == 0 then return 0 end
local current = redis.call('HGET', state, name)
if current then -- a flow of this name that is made anew has a higher revision, or claims would take it for this one
  save_token(math.max(last_token(clock()), tonumber(read_state(current).rev)))
end
redis.call('HDEL', sources, name)
redis.call('HDEL', state, name)
redis.call('ZREM', names, name)
redis.call('ZREM', due, name)
redis.call('HDEL', ledger, name)
local function let_go(run)
  local value = redis.call('HGET', waiting, run)
  if not value then return end
  unwait(read_held(value))
  redis.call('ZADD', queue, 0, run)
end
for _, run in ipairs(of_flow(blocked, name, 100)) do let_go(run) end
for _, run in ipairs(of_flow(open, name, MANY)) do let_go(run) end
return 1
