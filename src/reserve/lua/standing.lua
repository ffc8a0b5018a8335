-- What a buyer who holds nothing would be told if he asked for one unit, while that depends on the event alone. Reads only.
--
-- KEYS[1] gate
-- KEYS[2] stock
-- KEYS[3] log
--
-- Replies:
--   SOLD_OUT generation   no unit is free, and none can come back
--   ALL_HELD generation   no unit is free; some may come back
--   OTHER                 anything else, a broken key too: ask the script that takes units
--
-- The generation changes whenever a buyer becomes a holder: with the epoch, with an entry of the log, and with a claim
-- that was adopted. Who was refused in a generation holds nothing as long as it lasts.

local function broken(reply)
  return type(reply) == 'table' and reply.err ~= nil
end

local gate = redis.pcall('HMGET', KEYS[1], 'status', 'start_ms', 'end_ms', 'granted', 'paid', 'per_user_limit', 'lapse_limit', 'epoch', 'adopted')
if broken(gate) or gate[1] ~= 'open' then return { 'OTHER' } end
for i = 2, 8 do
  if not tonumber(gate[i]) then return { 'OTHER' } end
end
local start_ms, end_ms, granted, paid = tonumber(gate[2]), tonumber(gate[3]), tonumber(gate[4]), tonumber(gate[5])
local stock = redis.pcall('GET', KEYS[2])
if broken(stock) or not stock or not string.match(stock, '^%-?%d+$') then return { 'OTHER' } end

local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
if now_ms < start_ms or now_ms >= end_ms or tonumber(stock) >= 1 then return { 'OTHER' } end

local last = '0-0'
if redis.call('EXISTS', KEYS[3]) == 1 then
  local info = redis.pcall('XINFO', 'STREAM', KEYS[3])
  if broken(info) then return { 'OTHER' } end
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then last = info[i + 1] end
  end
end
local generation = table.concat({ gate[8], last, gate[9] or '0' }, '/')
if granted - paid < 1 then return { 'SOLD_OUT', generation } end
return { 'ALL_HELD', generation }
