-- Counts the units of an event by their state, in one atomic read.
--
-- KEYS[1] gate
-- KEYS[2] stock
-- KEYS[3] states
--
-- Replies:
--   OK granted stock held queued confirmed paid released
--   NOT_READY   no gate

local granted = redis.call('HGET', KEYS[1], 'granted')
if not granted then return { 'NOT_READY' } end
local stock = redis.call('GET', KEYS[2])
if not stock then return redis.error_reply('CORRUPT ' .. KEYS[2]) end
local units = { held = 0, queued = 0, confirmed = 0, paid = 0, released = 0 }
local records = redis.call('HVALS', KEYS[3])
for i = 1, #records do
  local state, quantity = string.match(records[i], '^(%a+)|(%d+)|')
  units[state] = units[state] + tonumber(quantity)
end
return { 'OK', granted, redis.call('GET', KEYS[2]), tostring(units.held), tostring(units.queued), tostring(units.confirmed), tostring(units.paid), tostring(units.released) }
