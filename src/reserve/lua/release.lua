-- Gives the units of one rid back, once. PostgreSQL has let go of them before (void or closed), so nothing may bar its
-- buyer for it either.
--
-- KEYS[1] gate
-- KEYS[2] stock
-- KEYS[3] holders
-- KEYS[4] states
-- KEYS[5] lapses
-- KEYS[6] log
-- ARGV[1] rid
-- ARGV[2] user id
-- ARGV[3] quantity
-- ARGV[4] reason
-- ARGV[5] 1 when this counts against the buyer's lapse limit, else 0
-- ARGV[6] channel for the notice
--
-- Replies:
--   RELEASED    stock raised, holder freed
--   TOMBSTONE   unknown here: noted as released without raising the stock, which never was lowered for it
--   FREED       released before, but still what its buyer held; it is not any more
--   UNCHANGED   released before; or the event was cleared, which takes nothing back any more
--   NOT_READY   no gate
--   CORRUPT key a key has a wrong type; nothing was changed

local rid, user = ARGV[1], ARGV[2]

local function broken(reply)
  return type(reply) == 'table' and reply.err ~= nil
end

local gate = redis.pcall('HMGET', KEYS[1], 'epoch', 'cleared_ms')
if broken(gate) then return { 'CORRUPT', KEYS[1] } end
if not gate[1] then return { 'NOT_READY' } end
if gate[2] then return { 'UNCHANGED' } end
local stock = redis.pcall('GET', KEYS[2])
if broken(stock) or not stock or not string.match(stock, '^%-?%d+$') then return { 'CORRUPT', KEYS[2] } end
local holder = redis.pcall('HGET', KEYS[3], user)
if broken(holder) then return { 'CORRUPT', KEYS[3] } end
local record = redis.pcall('HGET', KEYS[4], rid)
if broken(record) then return { 'CORRUPT', KEYS[4] } end
local lapses = redis.pcall('HGET', KEYS[5], user)
if broken(lapses) or lapses and not string.match(lapses, '^%d+$') then return { 'CORRUPT', KEYS[5] } end
local paid = redis.call('HGET', KEYS[1], 'paid')
if not paid or not string.match(paid, '^%d+$') then return { 'CORRUPT', KEYS[1] } end
if broken(redis.pcall('XLEN', KEYS[6])) then return { 'CORRUPT', KEYS[6] } end

if not record then
  -- The first write is one that Redis refuses when memory is full.
  redis.call('HSET', KEYS[4], rid, table.concat({ 'released', ARGV[3], user, '0', '', '', '', ARGV[4] }, '|'))
  if holder == rid then redis.call('HDEL', KEYS[3], user) end
  redis.call('PUBLISH', ARGV[6], rid)
  return { 'TOMBSTONE' }
end

local state, units, owner, reserved_ms, log_id, order_id, expires_ms = string.match(record, '^(%a+)|(%d+)|([^|]*)|(%d+)|([^|]*)|([^|]*)|([^|]*)|')
if state == 'released' then
  if holder ~= rid then return { 'UNCHANGED' } end
  redis.call('HDEL', KEYS[3], user)
  return { 'FREED' }
end
redis.call('HSET', KEYS[4], rid, table.concat({ 'released', units, owner, reserved_ms, '', order_id, expires_ms, ARGV[4] }, '|'))
if holder == rid then redis.call('HDEL', KEYS[3], user) end
if ARGV[5] == '1' then redis.call('HINCRBY', KEYS[5], user, 1) end
if log_id ~= '' then redis.call('XDEL', KEYS[6], log_id) end
if state == 'paid' then redis.call('HINCRBY', KEYS[1], 'paid', -units) end
redis.call('PUBLISH', ARGV[6], rid)
redis.call('INCRBY', KEYS[2], units)
return { 'RELEASED' }
