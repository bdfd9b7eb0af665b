-- settle joins the parts of a beat where a group has more than one partition: a beat has settled when it has in all.
--
-- KEYS[1] is a hash of its own, in the first partition: partition -> due,triggered,succeeded,failed.
-- Reply: the values of all partitions once all are there, else an empty list. Repeating a call changes nothing.
-- Cost: O(partitions).

local partition  = ARGV[1]
local counts     = ARGV[2]
local partitions = tonumber(ARGV[3])
local ttl        = ARGV[4] -- ms

redis.call('HSET', KEYS[1], partition, counts)
redis.call('PEXPIRE', KEYS[1], ttl)
if redis.call('HLEN', KEYS[1]) < partitions then return {} end
return redis.call('HVALS', KEYS[1])
