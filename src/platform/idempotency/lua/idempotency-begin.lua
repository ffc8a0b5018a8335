-- Begins the work of an idempotency key, or tells what became of the first request with it.
-- KEYS[1] hash of the key: fingerprint, and the token while the work is under way or the reply when it is done
-- ARGV[1] token of this request
-- ARGV[2] fingerprint of this request
-- ARGV[3] milliseconds after which a mark whose process has died ends
-- Replies:
--   BEGUN         the work is this request's
--   DIFFERS       the key stands for another request
--   UNDER_WAY     the same request is being worked on
--   DONE reply    the same request was answered with this
local first = redis.call('HMGET', KEYS[1], 'fingerprint', 'reply')
if not first[1] then
  redis.call('HSET', KEYS[1], 'token', ARGV[1], 'fingerprint', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return { 'BEGUN' }
end
if first[1] ~= ARGV[2] then return { 'DIFFERS' } end
if not first[2] then return { 'UNDER_WAY' } end
return { 'DONE', first[2] }
