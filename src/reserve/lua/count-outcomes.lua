-- Adds up how the purchase requests of one second ended, and keeps the second in which most were rejected. Whichever process
-- adds the last part of a second sees all of it. Events are independent of each other here; several of them are one call
-- where one server has all keys.
--
-- KEYS[1] outcomes of an event
-- KEYS[2] its rejected peak
-- KEYS[3] what was rejected in this second; the same of others follow
-- ARGV[1] second since 1970
-- ARGV[2] seconds for which KEYS[3] is kept
-- ARGV[3] number of outcomes
-- ARGV[4] outcome; all but "accepted" are rejections
-- ARGV[5] number of requests that ended so; its other outcomes follow, and then the same of the next event
--
-- Replies:
--   OK           all of it was counted
--   CORRUPT key  it has a wrong type; nothing of this event was counted

local function broken(reply)
  return type(reply) == 'table' and reply.err ~= nil
end

-- k and a: how many KEYS and ARGV come before those of the event
local function count(k, a)
  if broken(redis.pcall('HLEN', KEYS[k + 1])) then return { 'CORRUPT', KEYS[k + 1] } end
  if broken(redis.pcall('ZCARD', KEYS[k + 2])) then return { 'CORRUPT', KEYS[k + 2] } end
  local rejected = 0
  for i = a, a + 2 * (ARGV[a + 3] - 1), 2 do
    redis.call('HINCRBY', KEYS[k + 1], ARGV[i + 4], ARGV[i + 5])
    if ARGV[i + 4] ~= 'accepted' then rejected = rejected + ARGV[i + 5] end
  end
  if rejected > 0 then
    local total = redis.call('INCRBY', KEYS[k + 3], rejected)
    redis.call('EXPIRE', KEYS[k + 3], ARGV[a + 2])
    redis.call('ZADD', KEYS[k + 2], 'GT', total, ARGV[a + 1])
    redis.call('ZREMRANGEBYRANK', KEYS[k + 2], 0, -2)
  end
  return { 'OK' }
end

local replies, a = {}, 0
for k = 0, #KEYS - 1, 3 do
  replies[#replies + 1] = count(k, a)
  a = a + 3 + 2 * ARGV[a + 3]
end
return replies
