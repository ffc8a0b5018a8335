-- Applies PostgreSQL's verdict "ordered" to rids of one event, ends their log entries and tells whoever waits. A live
-- claim is what its buyer holds, whatever else of them is in flight.
--
-- KEYS[1] gate
-- KEYS[2] stock
-- KEYS[3] holders
-- KEYS[4] states
-- KEYS[5] log
-- ARGV[1] channel for the notices
-- ARGV[2] rid
-- ARGV[3] user id
-- ARGV[4] quantity
-- ARGV[5] order id
-- ARGV[6] deadline in ms; any number of orders, of five arguments each, follow
--
-- Replies:
--   CONFIRMED   held or queued before
--   ADOPTED     unknown here (Redis lost it): taken over, stock lowered even below zero, PostgreSQL is right
--   HOLDER      confirmed or paid before, but not what its buyer held; it is again
--   UNCHANGED   confirmed or paid before, or released; or the event was cleared, which takes no verdict any more
--   NOT_READY   no gate: the rebuild will bring the verdicts along
--   CORRUPT key a key has a wrong type; nothing was changed
-- A word for each order; what is said of the event or of a key is said once, for all of them.

local function broken(reply)
  return type(reply) == 'table' and reply.err ~= nil
end

local gate = redis.pcall('HMGET', KEYS[1], 'epoch', 'cleared_ms')
if broken(gate) then return { 'CORRUPT', KEYS[1] } end
if not gate[1] then return { 'NOT_READY' } end
if gate[2] then return { 'UNCHANGED' } end
local stock = redis.pcall('GET', KEYS[2])
if broken(stock) or not stock or not string.match(stock, '^%-?%d+$') then return { 'CORRUPT', KEYS[2] } end
if broken(redis.pcall('HLEN', KEYS[3])) then return { 'CORRUPT', KEYS[3] } end
if broken(redis.pcall('HLEN', KEYS[4])) then return { 'CORRUPT', KEYS[4] } end
if broken(redis.pcall('XLEN', KEYS[5])) then return { 'CORRUPT', KEYS[5] } end

local function confirm(rid, user, quantity, order, deadline)
  local function write(units, owner, reserved_ms)
    redis.call('HSET', KEYS[4], rid, table.concat({ 'confirmed', units, owner, reserved_ms, '', order, deadline, '' }, '|'))
  end
  local record = redis.call('HGET', KEYS[4], rid)
  if not record then
    local clock = redis.call('TIME')
    write(quantity, user, string.format('%d', clock[1] * 1000 + math.floor(clock[2] / 1000)))
    redis.call('HSET', KEYS[3], user, rid)
    redis.call('HINCRBY', KEYS[1], 'adopted', 1)
    redis.call('DECRBY', KEYS[2], quantity)
    redis.call('PUBLISH', ARGV[1], rid)
    return { 'ADOPTED' }
  end
  local state, units, owner, reserved_ms, log_id = string.match(record, '^(%a+)|(%d+)|([^|]*)|(%d+)|([^|]*)|')
  if state == 'released' then return { 'UNCHANGED' } end
  local decided = state == 'confirmed' or state == 'paid'
  local holds = redis.call('HGET', KEYS[3], user) == rid
  if decided and holds then return { 'UNCHANGED' } end
  if not holds then
    redis.call('HSET', KEYS[3], user, rid)
    redis.call('HINCRBY', KEYS[1], 'adopted', 1)
  end
  if decided then return { 'HOLDER' } end
  write(units, owner, reserved_ms)
  if log_id ~= '' then redis.call('XDEL', KEYS[5], log_id) end
  redis.call('PUBLISH', ARGV[1], rid)
  return { 'CONFIRMED' }
end

local replies = {}
for i = 2, #ARGV, 5 do
  replies[#replies + 1] = confirm(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4])[1]
end
return replies
