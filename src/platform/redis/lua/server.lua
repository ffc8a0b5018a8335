-- Tells which server serves a key, and what time it is there. Changes nothing.
--
-- KEYS[1] any key
--
-- Reply: run id, seconds since 1970, microseconds of the second

local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local clock = redis.call('TIME')
return { run_id, clock[1], clock[2] }
