-- Keeps a version of a cached value, unless a newer one is kept already: whoever read an old row and comes late
-- can not hide what was written meanwhile.
--
-- KEYS[1] cached value: "<version> <text>"
-- ARGV[1] version, a whole number
-- ARGV[2] text
-- ARGV[3] time to live, ms
--
-- Replies:
--   STORED  this version is kept now
--   NEWER   a newer version is kept; nothing was changed

local kept = redis.call('GET', KEYS[1])
local version = kept and tonumber(string.match(kept, '^(%d+) '))
if version and version > tonumber(ARGV[1]) then return { 'NEWER' } end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2], 'PX', ARGV[3])
return { 'STORED' }
