-- Begins the work of an idempotency key, or tells what became of the first request with it.
-- KEYS[1] hash of the key: fingerprint, and the token while the work is under way or the reply when it is done
-- KEYS[2] sorted set of the user's keys: the token of each, by the millisecond at which it ends
-- ARGV[1] token of this request
-- ARGV[2] fingerprint of this request
-- ARGV[3] milliseconds after which a mark whose process has died ends
-- ARGV[4] milliseconds for which replies are kept
-- ARGV[5] keys that a user may have
-- Replies:
--   BEGUN         the work is this request's; also when this very command comes again after a lost connection
--   DIFFERS       the key stands for another request
--   UNDER_WAY     the same request is being worked on
--   DONE reply    the same request was answered with this
--   TOO_MANY ms   the user has all keys that one may have; the first of them ends then
local first = redis.call('HMGET', KEYS[1], 'fingerprint', 'reply', 'token')
if first[1] then
  if first[1] ~= ARGV[2] then return { 'DIFFERS' } end
  if first[2] then return { 'DONE', first[2] } end
  if first[3] ~= ARGV[1] then return { 'UNDER_WAY' } end
  return { 'BEGUN' }
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[5]) then
  return { 'TOO_MANY', redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2] - now }
end

redis.call('HSET', KEYS[1], 'token', ARGV[1], 'fingerprint', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return { 'BEGUN' }
