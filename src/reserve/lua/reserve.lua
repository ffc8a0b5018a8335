-- Takes units of one event for one buyer, or says why not. The only place where stock is taken.
--
-- KEYS[1] gate
-- KEYS[2] stock
-- KEYS[3] holders
-- KEYS[4] states
-- KEYS[5] lapses
-- KEYS[6] log
-- ARGV[1] rid
-- ARGV[2] user id
-- ARGV[3] quantity, an integer from 1
-- ARGV[4] request id
-- ARGV[5] traceparent of the purchase; empty when it is not traced, and its entry has no such field then
--
-- Replies:
--   ACCEPTED rid epoch reserved_ms   units taken, or taken before by this same rid
--   EXISTING rid                     the buyer has a live claim, of another request
--   NOT_READY                        no gate, or the gate is closed for a rebuild
--   PAUSED | ENDED | NOT_STARTED ms  ms until the start
--   QUANTITY_LIMIT n                 the event allows n a buyer
--   LAPSE_LIMIT                      the buyer let too many orders lapse
--   ALL_HELD | SOLD_OUT              too few units free; some may come back, or none can
--   CORRUPT key                      a key has a wrong type or value; nothing was changed
--
-- Order matters: everything is read and checked first, because Redis does not roll back. The first write is one that
-- fails on a log of a wrong type, and that Redis refuses when memory is full; the decrement is last, so an error can never
-- lose a unit.

local rid, user, quantity = ARGV[1], ARGV[2], tonumber(ARGV[3])

local function broken(reply)
  return type(reply) == 'table' and reply.err ~= nil
end

-- Whether a record was made by this very request, which its client sends again when the reply was lost.
local function is_resent(record)
  local units, owner = string.match(record, '^%a+|(%d+)|([^|]*)|')
  return units == ARGV[3] and owner == user
end

local gate = redis.pcall('HMGET', KEYS[1], 'status', 'start_ms', 'end_ms', 'granted', 'paid', 'per_user_limit', 'lapse_limit', 'epoch')
if broken(gate) then return { 'CORRUPT', KEYS[1] } end
local status = gate[1]
if not status or status == 'closed' then return { 'NOT_READY' } end

local start_ms, end_ms, granted, paid = tonumber(gate[2]), tonumber(gate[3]), tonumber(gate[4]), tonumber(gate[5])
local per_user_limit, lapse_limit = tonumber(gate[6]), tonumber(gate[7])
if not (start_ms and end_ms and granted and paid and per_user_limit and lapse_limit and tonumber(gate[8])) then
  return { 'CORRUPT', KEYS[1] }
end

local holder = redis.pcall('HGET', KEYS[3], user)
if broken(holder) then return { 'CORRUPT', KEYS[3] } end
if holder == rid then
  local record = redis.pcall('HGET', KEYS[4], rid)
  if broken(record) or not record then return { 'CORRUPT', KEYS[4] } end
  if not is_resent(record) then return { 'EXISTING', rid } end
  return { 'ACCEPTED', rid, gate[8], string.match(record, '^%a+|%d+|[^|]*|(%d+)|') }
end
if holder then return { 'EXISTING', holder } end

if status == 'ended' then return { 'ENDED' } end
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
if now_ms >= end_ms then return { 'ENDED' } end
if now_ms < start_ms then return { 'NOT_STARTED', string.format('%d', start_ms - now_ms) } end
if status ~= 'open' then return { 'PAUSED' } end
if quantity > per_user_limit then return { 'QUANTITY_LIMIT', gate[6] } end

local stock_text = redis.pcall('GET', KEYS[2])
if broken(stock_text) then return { 'CORRUPT', KEYS[2] } end
if not stock_text or not string.match(stock_text, '^%-?%d+$') then return { 'CORRUPT', KEYS[2] } end
if tonumber(stock_text) < quantity then
  if granted - paid < quantity then return { 'SOLD_OUT' } end
  return { 'ALL_HELD' }
end

local lapses = redis.pcall('HGET', KEYS[5], user)
if broken(lapses) then return { 'CORRUPT', KEYS[5] } end
if lapses then
  local count = tonumber(lapses)
  if not count then return { 'CORRUPT', KEYS[5] } end
  if count > lapse_limit then return { 'LAPSE_LIMIT' } end
end

local record = redis.pcall('HGET', KEYS[4], rid)
if broken(record) then return { 'CORRUPT', KEYS[4] } end
-- A re-send that arrives after its own unit was released: the answer stands, nothing is taken again.
if record and not is_resent(record) then return { 'CORRUPT', KEYS[4] } end
if record then return { 'ACCEPTED', rid, gate[8], string.match(record, '^%a+|%d+|[^|]*|(%d+)|') } end

local reserved_ms = string.format('%d', now_ms)
local entry = { 'rid', rid, 'user', user, 'quantity', ARGV[3], 'epoch', gate[8], 'reserved_ms', reserved_ms, 'request_id', ARGV[4] }
if ARGV[5] ~= '' then
  entry[#entry + 1] = 'traceparent'
  entry[#entry + 1] = ARGV[5]
end
local log_id = redis.pcall('XADD', KEYS[6], '*', unpack(entry))
if broken(log_id) then
  if string.find(log_id.err, 'WRONGTYPE', 1, true) then return { 'CORRUPT', KEYS[6] } end
  return log_id
end
redis.call('HSET', KEYS[3], user, rid)
redis.call('HSET', KEYS[4], rid, table.concat({ 'held', ARGV[3], user, reserved_ms, log_id, '', '', '' }, '|'))
redis.call('DECRBY', KEYS[2], quantity)
return { 'ACCEPTED', rid, gate[8], reserved_ms }
