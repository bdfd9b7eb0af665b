-- delete_flow removes one definition. Its history stays until it is past retention.
--
-- Outcomes: 1 deleted, 0 there was no such flow, or none from that source. Then nothing was written.
-- A run under way finishes; its completion finds no state and writes no next slot. Run-nows that wait, also to be retried, are let into
-- the queue, where the claim ends them, since their flow is gone.
-- Cost: O(log flows + waiting run-nows of the flow, at most 100 a call).

local name   = ARGV[1]
local source = ARGV[2] -- where the flow has to be from, '' for anywhere

if source ~= '' and redis.call('HGET', sources, name) ~= source then return 0 end
if redis.call('HDEL', defs, name) == 0 then return 0 end
redis.call('HDEL', sources, name)
redis.call('HDEL', state, name)
redis.call('ZREM', names, name)
redis.call('ZREM', due, name)
redis.call('HDEL', ledger, name)
local waiting = redis.call('ZRANGEBYLEX', blocked, '[' .. name .. '~', '(' .. name .. '\127', 'LIMIT', 0, 100)
for _, run in ipairs(waiting) do redis.call('ZADD', queue, 0, run) end
call_batch('ZREM', blocked, waiting)
for _, run in ipairs(redis.call('ZRANGEBYLEX', byflow, '[' .. name .. '~', '(' .. name .. '\127', 'LIMIT', 0, 1000)) do
  if redis.call('ZREM', due, run) == 1 then redis.call('ZADD', queue, 0, run) end
end
return 1
