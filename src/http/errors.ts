/** The one table of errors: status, number, texts. A name that is missing here does not compile. */

interface ErrorEntry {
  status: number
  /** Last two digits of the numeric code, `status * 100 + n`. */
  n: number
  en: string
  zh: string
  /** Seconds after which trying again makes sense, for answers that carry Retry-After. */
  retryAfterS?: number
  /** How to authenticate, for answers that carry WWW-Authenticate. */
  challenge?: string
}

const TABLE = {
  VALIDATION_FAILED: { status: 400, n: 0, en: 'The request is not valid.', zh: '请求参数无效。' },
  IDEMPOTENCY_KEY_REQUIRED: {
    status: 400,
    n: 1,
    en: 'This request needs an Idempotency-Key header.',
    zh: '缺少 Idempotency-Key 请求头。',
  },
  UNAUTHENTICATED: {
    status: 401,
    n: 0,
    en: 'A valid token is required.',
    zh: '请先登录。',
    challenge: 'Bearer',
  },
  INVALID_CREDENTIALS: { status: 401, n: 1, en: 'E-mail or password is wrong.', zh: '邮箱或密码错误。' },
  INVALID_SIGNATURE: {
    status: 401,
    n: 2,
    en: 'The signature is missing, wrong or too old.',
    zh: '签名无效或已过期。',
  },
  INVALID_REFRESH_TOKEN: {
    status: 401,
    n: 3,
    en: 'The refresh token is unknown, used, revoked or too old: log in again.',
    zh: '刷新令牌无效，请重新登录。',
  },
  FORBIDDEN: { status: 403, n: 0, en: 'Your role does not allow this.', zh: '没有权限。' },
  NOT_FOUND: { status: 404, n: 0, en: 'There is no such thing.', zh: '资源不存在。' },
  METHOD_NOT_ALLOWED: {
    status: 405,
    n: 0,
    en: 'This path does not take this method.',
    zh: '不支持该请求方法。',
  },
  SALE_NOT_STARTED: { status: 409, n: 1, en: 'The sale has not started yet.', zh: '活动尚未开始。' },
  SALE_ENDED: { status: 409, n: 2, en: 'The sale is over.', zh: '活动已结束。' },
  SOLD_OUT: { status: 409, n: 3, en: 'All units are sold.', zh: '商品已售罄。' },
  ALL_HELD: {
    status: 409,
    n: 4,
    en: 'No unit is free now; unpaid ones may come back.',
    zh: '库存已被占用，稍后可能释放。',
  },
  ALREADY_PURCHASED: {
    status: 409,
    n: 5,
    en: 'You have a reservation for this sale already.',
    zh: '您已参与本次活动。',
  },
  LAPSE_LIMIT: {
    status: 409,
    n: 6,
    en: 'You let too many orders of this sale go unpaid.',
    zh: '您未支付的订单次数已达上限。',
  },
  EMAIL_TAKEN: { status: 409, n: 7, en: 'There is an account with this e-mail.', zh: '该邮箱已被注册。' },
  WRONG_STATE: {
    status: 409,
    n: 8,
    en: 'This is not possible in the present state.',
    zh: '当前状态不允许此操作。',
  },
  INSUFFICIENT_STOCK: { status: 409, n: 9, en: 'The inventory has too few units.', zh: '库存不足。' },
  ORDER_NOT_PENDING: {
    status: 409,
    n: 10,
    en: 'The order is not waiting for payment.',
    zh: '订单不在待支付状态。',
  },
  PAYMENT_MISMATCH: {
    status: 409,
    n: 11,
    en: 'Amount or currency differ from the payment.',
    zh: '支付金额或币种不符。',
  },
  IDEMPOTENCY_IN_FLIGHT: {
    status: 409,
    n: 12,
    en: 'A request with this Idempotency-Key is under way.',
    zh: '相同 Idempotency-Key 的请求正在处理中。',
    retryAfterS: 1,
  },
  SKU_TAKEN: { status: 409, n: 13, en: 'There is a product with this SKU.', zh: '该 SKU 已存在。' },
  STOCK_LIMIT: {
    status: 409,
    n: 14,
    en: 'There would be more units than can be counted.',
    zh: '库存数量超出上限。',
  },
  FROZEN: {
    status: 409,
    n: 15,
    en: 'This can not be changed once the event is published.',
    zh: '活动发布后不可修改该字段。',
  },
  LAST_ADMIN: {
    status: 409,
    n: 16,
    en: 'One admin has to remain.',
    zh: '至少保留一名管理员。',
  },
  MIXED_CURRENCIES: {
    status: 409,
    n: 17,
    en: 'All products of an order must have one currency.',
    zh: '同一订单的商品币种必须一致。',
  },
  REQUEST_TIMEOUT: { status: 408, n: 0, en: 'The request took too long to arrive.', zh: '请求超时。' },
  PRECONDITION_FAILED: {
    status: 412,
    n: 0,
    en: 'It was changed meanwhile: read it again.',
    zh: '资源已被修改，请重新读取。',
  },
  PAYLOAD_TOO_LARGE: { status: 413, n: 0, en: 'The request body is too large.', zh: '请求体过大。' },
  UNSUPPORTED_MEDIA_TYPE: {
    status: 415,
    n: 0,
    en: 'The request body must be application/json in UTF-8.',
    zh: '仅支持 application/json。',
  },
  IDEMPOTENCY_MISMATCH: {
    status: 422,
    n: 0,
    en: 'This Idempotency-Key was used for another request.',
    zh: '该 Idempotency-Key 已用于不同的请求。',
  },
  PRECONDITION_REQUIRED: {
    status: 428,
    n: 0,
    en: 'This request needs an If-Match header with the version that you have seen.',
    zh: '缺少 If-Match 请求头。',
  },
  RATE_LIMITED: { status: 429, n: 0, en: 'Too many requests.', zh: '请求过于频繁。', retryAfterS: 1 },
  HEADERS_TOO_LARGE: { status: 431, n: 0, en: 'The headers are too large.', zh: '请求头过大。' },
  INTERNAL: { status: 500, n: 0, en: 'Something went wrong on our side.', zh: '服务器内部错误。' },
  SALE_PAUSED: { status: 503, n: 1, en: 'The sale is paused.', zh: '活动已暂停。', retryAfterS: 5 },
  NOT_READY: {
    status: 503,
    n: 2,
    en: 'The service is not ready; try again shortly.',
    zh: '服务暂不可用，请稍后重试。',
    retryAfterS: 2,
  },
  OVERLOADED: {
    status: 503,
    n: 3,
    en: 'Too much is going on; try again shortly.',
    zh: '系统繁忙，请稍后重试。',
    retryAfterS: 1,
  },
} as const satisfies Record<string, ErrorEntry>

export type ErrorName = keyof typeof TABLE

export function errorEntry(name: ErrorName): ErrorEntry {
  return TABLE[name]
}

/** Names of all errors, in the order of the table. */
export const ERROR_NAMES = Object.keys(TABLE) as ErrorName[]

/**
 * An expected refusal on its way to the envelope. Handlers return it, which holds them to the errors that their
 * route declares; only middleware throws it. The use cases know nothing of it and return their outcomes.
 */
export class ApiError<N extends ErrorName = ErrorName> extends Error {
  readonly entry: N
  readonly data: object | undefined
  readonly retryAfterS: number | undefined

  constructor(entry: N, options: { data?: object; retryAfterS?: number } = {}) {
    // Nobody reads where a refusal was made, and a sold-out sale makes thousands a second.
    const { stackTraceLimit } = Error
    if (entry !== 'INTERNAL' && entry !== 'NOT_READY') Error.stackTraceLimit = 0
    super(entry)
    Error.stackTraceLimit = stackTraceLimit
    this.name = 'ApiError'
    this.entry = entry
    this.data = options.data
    this.retryAfterS = options.retryAfterS ?? errorEntry(entry).retryAfterS
  }
}

/** A refusal for a handler to return. */
export function refuse<const N extends ErrorName>(
  entry: N,
  options: { data?: object; retryAfterS?: number } = {},
): ApiError<N> {
  return new ApiError(entry, options)
}
