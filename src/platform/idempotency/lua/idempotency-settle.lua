-- Keeps the reply of a request for its idempotency key, or sets the key free.
-- KEYS[1] hash of the key
-- KEYS[2] sorted set of the user's keys: the token of each, by the millisecond at which it ends
-- ARGV[1] token of the request; work that was taken for dead must not touch what its successor does
-- ARGV[2] reply; empty: the key is set free
-- ARGV[3] milliseconds for which the reply is kept
-- ARGV[4] bytes of a reply that count as one more key of the user
-- Replies:
--   SETTLED
--   LOST     the mark was another's, or gone
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return { 'LOST' } end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
else
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('HSET', KEYS[1], 'reply', ARGV[2])
  redis.call('HDEL', KEYS[1], 'token')
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])
  for i = 1, math.floor(#ARGV[2] / ARGV[4]) do redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1] .. ' ' .. i) end
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
return { 'SETTLED' }
