-- Applies PostgreSQL's verdict "ordered" to one rid, ends its log entry and tells whoever waits. A live claim is what
-- its buyer holds, whatever else of them is in flight.
--
-- KEYS[1] gate
-- KEYS[2] stock
-- KEYS[3] holders
-- KEYS[4] states
-- KEYS[5] log
-- ARGV[1] rid
-- ARGV[2] user id
-- ARGV[3] quantity
-- ARGV[4] order id
-- ARGV[5] deadline in ms
-- ARGV[6] channel for the notice
--
-- Replies:
--   CONFIRMED   held or queued before
--   ADOPTED     unknown here (Redis lost it): taken over, stock lowered even below zero, PostgreSQL is right
--   HOLDER      confirmed or paid before, but not what its buyer held; it is again
--   UNCHANGED   confirmed or paid before, or released; or the event was cleared, which takes no verdict any more
--   NOT_READY   no gate: the rebuild will bring the verdict along
--   CORRUPT key a key has a wrong type; nothing was changed

local rid, user, quantity = ARGV[1], ARGV[2], ARGV[3]

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
if broken(redis.pcall('XLEN', KEYS[5])) then return { 'CORRUPT', KEYS[5] } end

if not record then
  local clock = redis.call('TIME')
  local now_ms = string.format('%d', clock[1] * 1000 + math.floor(clock[2] / 1000))
  redis.call('HSET', KEYS[4], rid, table.concat({ 'confirmed', quantity, user, now_ms, '', ARGV[4], ARGV[5], '' }, '|'))
  redis.call('HSET', KEYS[3], user, rid)
  redis.call('HINCRBY', KEYS[1], 'adopted', 1)
  redis.call('DECRBY', KEYS[2], quantity)
  redis.call('PUBLISH', ARGV[6], rid)
  return { 'ADOPTED' }
end

local state, units, owner, reserved_ms, log_id = string.match(record, '^(%a+)|(%d+)|([^|]*)|(%d+)|([^|]*)|')
if state == 'released' then return { 'UNCHANGED' } end
local decided = state == 'confirmed' or state == 'paid'
if decided and holder == rid then return { 'UNCHANGED' } end
if holder ~= rid then
  redis.call('HSET', KEYS[3], user, rid)
  redis.call('HINCRBY', KEYS[1], 'adopted', 1)
end
if decided then return { 'HOLDER' } end
redis.call('HSET', KEYS[4], rid, table.concat({ 'confirmed', units, owner, reserved_ms, '', ARGV[4], ARGV[5], '' }, '|'))
if log_id ~= '' then redis.call('XDEL', KEYS[5], log_id) end
redis.call('PUBLISH', ARGV[6], rid)
return { 'CONFIRMED' }
