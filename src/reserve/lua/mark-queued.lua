-- Notes that the broker has confirmed the messages of these rids: held -> queued. Tells whoever waits on them. Events are
-- independent of each other here; several of them are one call where one server has all keys.
--
-- KEYS[1] states of an event; those of other events follow
-- ARGV[1] its channel for the notices
-- ARGV[2] number of its rids
-- ARGV[3] first rid; its others follow, and then the same of the next event
--
-- Replies:
--   OK n         n records of the event changed; rids that are absent or further on stay as they are
--   CORRUPT key  it has a wrong type; what comes before it was done

-- k and a: how many KEYS and ARGV come before those of the event
local function mark(k, a)
  local changed = 0
  for i = a, a + ARGV[a + 2] - 1 do
    local rid = ARGV[i + 3]
    local record = redis.pcall('HGET', KEYS[k + 1], rid)
    if type(record) == 'table' then return { 'CORRUPT', KEYS[k + 1] } end
    if record and string.sub(record, 1, 5) == 'held|' then
      redis.call('HSET', KEYS[k + 1], rid, 'queued|' .. string.sub(record, 6))
      redis.call('PUBLISH', ARGV[a + 1], rid)
      changed = changed + 1
    end
  end
  return { 'OK', tostring(changed) }
end

local replies, a = {}, 0
for k = 0, #KEYS - 1 do
  replies[#replies + 1] = mark(k, a)
  a = a + 2 + ARGV[a + 2]
end
return replies
