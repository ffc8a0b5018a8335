-- Notes that the broker has confirmed the messages of these rids: held -> queued. Tells whoever waits on them.
--
-- KEYS[1] states
-- ARGV[1] channel for the notices
-- ARGV[2] first rid; any number of rids follow
--
-- Replies:
--   OK n   n records changed; rids that are absent or further on stay as they are

local changed = 0
for i = 2, #ARGV do
  local rid = ARGV[i]
  local record = redis.call('HGET', KEYS[1], rid)
  if record and string.sub(record, 1, 5) == 'held|' then
    redis.call('HSET', KEYS[1], rid, 'queued|' .. string.sub(record, 6))
    redis.call('PUBLISH', ARGV[1], rid)
    changed = changed + 1
  end
end
return { 'OK', tostring(changed) }
