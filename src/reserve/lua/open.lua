-- Opens an event for the first time: writes its stock and its gate. The caller holds the event's advisory lock.
-- The gate names the run of the server that wrote it: what another run has, may lack the last that this one was told.
--
-- KEYS[1] gate
-- KEYS[2] stock
-- KEYS[3] holders
-- KEYS[4] states
-- ARGV[1] epoch
-- ARGV[2] status: open or paused
-- ARGV[3] start in ms
-- ARGV[4] end in ms
-- ARGV[5] granted units
-- ARGV[6] units a buyer may reserve
-- ARGV[7] lapse limit
--
-- Replies:
--   OPENED     stock and gate written, the gate last
--   EXISTS     a gate of this epoch or a later one is there; nothing was changed
--   OCCUPIED   reservations without a gate: this takes a rebuild; nothing was changed

local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch and tonumber(epoch) >= tonumber(ARGV[1]) then return { 'EXISTS' } end
if redis.call('EXISTS', KEYS[3], KEYS[4]) > 0 then return { 'OCCUPIED' } end
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
redis.call('SET', KEYS[2], ARGV[5])
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'status', ARGV[2], 'start_ms', ARGV[3], 'end_ms', ARGV[4], 'granted', ARGV[5], 'paid', '0', 'per_user_limit', ARGV[6], 'lapse_limit', ARGV[7], 'run_id', run_id)
return { 'OPENED' }
