-- Counts the units of an event by their state, in one atomic read. Of one that was cleared, the gate tells what its
-- records came to.
--
-- KEYS[1] gate
-- KEYS[2] stock
-- KEYS[3] states
--
-- Replies:
--   OK granted stock held queued confirmed paid released
--   NOT_READY   no gate

local gate = redis.call('HMGET', KEYS[1], 'granted', 'cleared_ms', 'paid', 'released')
local granted = gate[1]
if not granted then return { 'NOT_READY' } end
local stock = redis.call('GET', KEYS[2])
if not stock then return redis.error_reply('CORRUPT ' .. KEYS[2]) end
local units = { held = 0, queued = 0, confirmed = 0, paid = 0, released = 0 }
if gate[2] then units.paid, units.released = tonumber(gate[3]), tonumber(gate[4]) end
local records = redis.call('HVALS', KEYS[3])
for i = 1, #records do
  local state, quantity = string.match(records[i], '^(%a+)|(%d+)|')
  units[state] = units[state] + tonumber(quantity)
end
return { 'OK', granted, redis.call('GET', KEYS[2]), tostring(units.held), tostring(units.queued), tostring(units.confirmed), tostring(units.paid), tostring(units.released) }
