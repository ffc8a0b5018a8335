-- Applies one row of the event's stock ledger, once by its id. PostgreSQL has the row already.
--
-- KEYS[1] gate
-- KEYS[2] stock
-- KEYS[3] adjustments
-- ARGV[1] adjustment id
-- ARGV[2] delta in units, may be negative
--
-- Replies:
--   ADJUSTED    stock and granted changed by delta
--   UNCHANGED   applied before
--   NOT_READY   no gate

if redis.call('HEXISTS', KEYS[1], 'epoch') == 0 then return { 'NOT_READY' } end
local stock = redis.call('GET', KEYS[2])
if not stock or not string.match(stock, '^%-?%d+$') then return redis.error_reply('CORRUPT ' .. KEYS[2]) end
local granted = redis.call('HGET', KEYS[1], 'granted')
if not granted or not string.match(granted, '^%-?%d+$') then return redis.error_reply('CORRUPT ' .. KEYS[1]) end
if redis.call('SADD', KEYS[3], ARGV[1]) == 0 then return { 'UNCHANGED' } end
redis.call('HINCRBY', KEYS[1], 'granted', ARGV[2])
redis.call('INCRBY', KEYS[2], ARGV[2])
return { 'ADJUSTED' }
