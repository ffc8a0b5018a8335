-- Applies PostgreSQL's verdict "ordered" to rids, ends their log entries and tells whoever waits. A live claim is what its
-- buyer holds, whatever else of them is in flight. Events are independent of each other here; several of them are one call
-- where one server has all keys.
--
-- KEYS[1] gate of an event
-- KEYS[2] its stock
-- KEYS[3] its holders
-- KEYS[4] its states
-- KEYS[5] its log; the same of other events follow
-- ARGV[1] its channel for the notices
-- ARGV[2] number of its orders
-- ARGV[3] rid
-- ARGV[4] user id
-- ARGV[5] quantity
-- ARGV[6] order id
-- ARGV[7] deadline in ms; its other orders follow, and then the same of the next event
--
-- Replies:
--   CONFIRMED   held or queued before
--   ADOPTED     unknown here (Redis lost it): taken over, stock lowered even below zero, PostgreSQL is right
--   HOLDER      confirmed or paid before, but not what its buyer held; it is again
--   UNCHANGED   confirmed or paid before, or released; or the event was cleared, which takes no verdict any more
--   NOT_READY   no gate: the rebuild will bring the verdicts along
--   CORRUPT key a key has a wrong type; nothing of this event was changed
-- For each event a word for each of its orders; what is said of the event or of a key is said once, for all of them.

local function broken(reply)
  return type(reply) == 'table' and reply.err ~= nil
end

-- k and a: how many KEYS and ARGV come before those of the event
local function confirm(k, a, rid, user, quantity, order, deadline)
  local function write(units, owner, reserved_ms)
    redis.call('HSET', KEYS[k + 4], rid, table.concat({ 'confirmed', units, owner, reserved_ms, '', order, deadline, '' }, '|'))
  end
  local record = redis.call('HGET', KEYS[k + 4], rid)
  if not record then
    local clock = redis.call('TIME')
    write(quantity, user, string.format('%d', clock[1] * 1000 + math.floor(clock[2] / 1000)))
    redis.call('HSET', KEYS[k + 3], user, rid)
    redis.call('HINCRBY', KEYS[k + 1], 'adopted', 1)
    redis.call('DECRBY', KEYS[k + 2], quantity)
    redis.call('PUBLISH', ARGV[a + 1], rid)
    return { 'ADOPTED' }
  end
  local state, units, owner, reserved_ms, log_id = string.match(record, '^(%a+)|(%d+)|([^|]*)|(%d+)|([^|]*)|')
  if state == 'released' then return { 'UNCHANGED' } end
  local decided = state == 'confirmed' or state == 'paid'
  local holds = redis.call('HGET', KEYS[k + 3], user) == rid
  if decided and holds then return { 'UNCHANGED' } end
  if not holds then
    redis.call('HSET', KEYS[k + 3], user, rid)
    redis.call('HINCRBY', KEYS[k + 1], 'adopted', 1)
  end
  if decided then return { 'HOLDER' } end
  write(units, owner, reserved_ms)
  if log_id ~= '' then redis.call('XDEL', KEYS[k + 5], log_id) end
  redis.call('PUBLISH', ARGV[a + 1], rid)
  return { 'CONFIRMED' }
end

local function confirm_event(k, a)
  local gate = redis.pcall('HMGET', KEYS[k + 1], 'epoch', 'cleared_ms')
  if broken(gate) then return { 'CORRUPT', KEYS[k + 1] } end
  if not gate[1] then return { 'NOT_READY' } end
  if gate[2] then return { 'UNCHANGED' } end
  local stock = redis.pcall('GET', KEYS[k + 2])
  if broken(stock) or not stock or not string.match(stock, '^%-?%d+$') then return { 'CORRUPT', KEYS[k + 2] } end
  if broken(redis.pcall('HLEN', KEYS[k + 3])) then return { 'CORRUPT', KEYS[k + 3] } end
  if broken(redis.pcall('HLEN', KEYS[k + 4])) then return { 'CORRUPT', KEYS[k + 4] } end
  if broken(redis.pcall('XLEN', KEYS[k + 5])) then return { 'CORRUPT', KEYS[k + 5] } end
  local words = {}
  for i = a, a + 5 * (ARGV[a + 2] - 1), 5 do
    words[#words + 1] = confirm(k, a, ARGV[i + 3], ARGV[i + 4], ARGV[i + 5], ARGV[i + 6], ARGV[i + 7])[1]
  end
  return words
end

local replies, a = {}, 0
for k = 0, #KEYS - 1, 5 do
  replies[#replies + 1] = confirm_event(k, a)
  a = a + 2 + 5 * ARGV[a + 2]
end
return replies
