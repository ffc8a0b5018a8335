-- Sets the status of an event's gate. Never makes a gate.
--
-- KEYS[1] gate
-- ARGV[1] status: open, paused, ended or closed
--
-- Replies:
--   OK          the gate has this status now
--   NOT_READY   no gate

if redis.call('HEXISTS', KEYS[1], 'epoch') == 0 then return { 'NOT_READY' } end
redis.call('HSET', KEYS[1], 'status', ARGV[1])
return { 'OK' }
