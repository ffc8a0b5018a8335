-- Notes that the order of one rid is paid, so that SOLD_OUT and ALL_HELD can be told apart.
--
-- KEYS[1] gate
-- KEYS[2] states
-- ARGV[1] rid
--
-- Replies:
--   PAID        confirmed before
--   UNCHANGED   absent, not confirmed yet, paid or released before

local gate = redis.call('HGET', KEYS[1], 'epoch')
local record = redis.call('HGET', KEYS[2], ARGV[1])
if not gate or not record then return { 'UNCHANGED' } end
local state, units, rest = string.match(record, '^(%a+)|(%d+)|(.*)$')
if state ~= 'confirmed' then return { 'UNCHANGED' } end
local paid = redis.call('HGET', KEYS[1], 'paid')
if not paid or not string.match(paid, '^%d+$') then return redis.error_reply('CORRUPT ' .. KEYS[1]) end
redis.call('HSET', KEYS[2], ARGV[1], table.concat({ 'paid', units, rest }, '|'))
redis.call('HINCRBY', KEYS[1], 'paid', units)
return { 'PAID' }
