-- Removes what an event that is over for good keeps of its buyers. Gate and stock stay: they answer for the event. The
-- caller holds the event's advisory lock and has held every record against PostgreSQL.
--
-- KEYS[1] gate
-- KEYS[2] holders
-- KEYS[3] states
-- KEYS[4] lapses
-- KEYS[5] log
-- KEYS[6] adjustments
-- ARGV[1] epoch that was looked at
-- ARGV[2] number of records that were looked at
-- ARGV[3] units of those that were released
--
-- Replies:
--   CLEARED   the gate has cleared_ms, and the units of the released records; those of the paid ones it had before
--   CHANGED   not ended, of another epoch, cleared before, or not what was looked at; nothing was changed
--
-- The first write is one that Redis takes when memory is full: this is what makes room.

local gate = redis.call('HMGET', KEYS[1], 'status', 'epoch', 'cleared_ms')
if gate[1] ~= 'ended' or gate[2] ~= ARGV[1] or gate[3] then return { 'CHANGED' } end
if redis.call('HLEN', KEYS[3]) ~= tonumber(ARGV[2]) or redis.call('XLEN', KEYS[5]) > 0 then return { 'CHANGED' } end
local clock = redis.call('TIME')
redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6])
redis.call('HSET', KEYS[1], 'cleared_ms', string.format('%d', clock[1] * 1000 + math.floor(clock[2] / 1000)), 'released', ARGV[3])
return { 'CLEARED' }
