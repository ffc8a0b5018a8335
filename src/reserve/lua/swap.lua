-- Puts a rebuilt state of one event in place of the present one, all at once. The caller holds the event's advisory
-- lock and has closed the gate, which stays closed; the new state waits in keys of its own. The reservation log and the
-- outcomes stay.
--
-- KEYS[1] gate
-- KEYS[2] stock
-- KEYS[3] holders
-- KEYS[4] states
-- KEYS[5] lapses
-- KEYS[6] adjustments
-- KEYS[7] next holders
-- KEYS[8] next states
-- KEYS[9] next lapses
-- KEYS[10] next adjustments
-- ARGV[1] epoch
-- ARGV[2] start in ms
-- ARGV[3] end in ms
-- ARGV[4] granted units
-- ARGV[5] paid units
-- ARGV[6] units a buyer may reserve
-- ARGV[7] lapse limit
-- ARGV[8] units free to reserve
-- ARGV[9] fields of next holders
-- ARGV[10] fields of next states
--
-- Replies:
--   SWAPPED   the event has the new state and a closed gate of its epoch
--   STALE     the gate is not closed, or of this epoch or a later one; nothing was changed
--   LOST      the new state is not there as it was gathered: Redis has lost it meanwhile; nothing was changed

local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local gate = redis.call('HMGET', KEYS[1], 'status', 'epoch')
if gate[1] and (gate[1] ~= 'closed' or tonumber(gate[2]) >= tonumber(ARGV[1])) then return { 'STALE' } end
if redis.call('HLEN', KEYS[7]) ~= tonumber(ARGV[9]) or redis.call('HLEN', KEYS[8]) ~= tonumber(ARGV[10]) then return { 'LOST' } end
if redis.call('EXISTS', KEYS[7]) == 1 then redis.call('RENAME', KEYS[7], KEYS[3]) else redis.call('DEL', KEYS[3]) end
if redis.call('EXISTS', KEYS[8]) == 1 then redis.call('RENAME', KEYS[8], KEYS[4]) else redis.call('DEL', KEYS[4]) end
if redis.call('EXISTS', KEYS[9]) == 1 then redis.call('RENAME', KEYS[9], KEYS[5]) else redis.call('DEL', KEYS[5]) end
if redis.call('EXISTS', KEYS[10]) == 1 then redis.call('RENAME', KEYS[10], KEYS[6]) else redis.call('DEL', KEYS[6]) end
redis.call('PERSIST', KEYS[3])
redis.call('PERSIST', KEYS[4])
redis.call('PERSIST', KEYS[5])
redis.call('PERSIST', KEYS[6])
redis.call('SET', KEYS[2], ARGV[8])
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'status', 'closed', 'start_ms', ARGV[2], 'end_ms', ARGV[3], 'granted', ARGV[4], 'paid', ARGV[5], 'per_user_limit', ARGV[6], 'lapse_limit', ARGV[7], 'run_id', run_id)
return { 'SWAPPED' }
