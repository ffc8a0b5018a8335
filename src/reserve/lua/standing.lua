-- What a buyer who holds nothing would be told if he asked for one unit, while that depends on the event alone. Reads only.
--
-- KEYS[1] gate
-- KEYS[2] stock
-- KEYS[3] log
--
-- Replies:
--   SOLD_OUT generation   no unit is free, and none can come back
--   ALL_HELD generation   no unit is free; some may come back
--   OTHER                 anything else: ask the script that takes units
--
-- The generation changes whenever a buyer becomes a holder: with the epoch, with an entry of the log, and with a claim
-- that was adopted. Who was refused in a generation holds nothing as long as it lasts.

local gate = redis.call('HMGET', KEYS[1], 'status', 'start_ms', 'end_ms', 'granted', 'paid', 'epoch', 'adopted')
if gate[1] ~= 'open' then return { 'OTHER' } end
local start_ms, end_ms, granted, paid = tonumber(gate[2]), tonumber(gate[3]), tonumber(gate[4]), tonumber(gate[5])
local stock = tonumber(redis.call('GET', KEYS[2]) or nil)
if not (start_ms and end_ms and granted and paid and stock) then return { 'OTHER' } end

local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
if now_ms < start_ms or now_ms >= end_ms or stock >= 1 then return { 'OTHER' } end

local last = '0-0'
if redis.call('EXISTS', KEYS[3]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[3])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then last = info[i + 1] end
  end
end
local generation = table.concat({ gate[6], last, gate[7] or '0' }, '/')
return { granted - paid < 1 and 'SOLD_OUT' or 'ALL_HELD', generation }
