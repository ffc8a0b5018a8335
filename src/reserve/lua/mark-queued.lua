-- Notes that the broker has confirmed the messages of these rids: held -> queued. Tells whoever waits on them. Events are
-- independent of each other here; several of them are one call where one server has all keys.
--
-- KEYS[1] states of an event; those of any number of others follow
-- ARGV[1] its channel for the notices
-- ARGV[2] number of its rids
-- ARGV[3] first rid; its others follow, and then the same of the next event
--
-- Replies:
--   OK n          n records changed; rids that are absent or further on stay as they are
--   CORRUPT keys  these have a wrong type; what is asked of the other events was done

local changed, corrupt = 0, {}
local channel = 1
for event = 1, #KEYS do
  local last = channel + 1 + ARGV[channel + 1]
  for i = channel + 2, last do
    local record = redis.pcall('HGET', KEYS[event], ARGV[i])
    if type(record) == 'table' then
      corrupt[#corrupt + 1] = KEYS[event]
      break
    end
    if record and string.sub(record, 1, 5) == 'held|' then
      redis.call('HSET', KEYS[event], ARGV[i], 'queued|' .. string.sub(record, 6))
      redis.call('PUBLISH', ARGV[channel], ARGV[i])
      changed = changed + 1
    end
  end
  channel = last + 1
end
if #corrupt > 0 then return { 'CORRUPT', table.concat(corrupt, ', ') } end
return { 'OK', tostring(changed) }
