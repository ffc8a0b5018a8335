import { z } from 'zod'
import { amount, CLOSE_REASONS, id, money, quantity } from '../../contracts/values.ts'
import { ORDER_SORTS, ORDER_STATUSES } from '../../orders/model.ts'
import { callbackSchema } from '../../payments/callback.ts'
import { OUTCOMES } from '../../payments/provider.ts'
import { idParams, listQuery, pageOf, sortBy, timestamp } from './fields.ts'
import { defineRoute } from './route.ts'

const refundData = z.object({
  id,
  amount,
  currency: z.string(),
  reason: z.enum(['order_closed', 'already_paid']),
  status: z.enum(['open', 'done']),
  created_at: timestamp,
  done_at: timestamp.nullable(),
})

const paymentData = z.object({
  id,
  status: z.enum(['pending', 'captured', 'failed']),
  amount,
  currency: z.string(),
  created_at: timestamp,
})

export const orderData = z
  .object({
    id,
    kind: z.enum(['spike', 'ordinary']),
    event_id: id.nullable(),
    reservation_id: id.nullable(),
    status: z.enum(ORDER_STATUSES),
    close_reason: z.enum(CLOSE_REASONS).nullable(),
    amount,
    currency: z.string(),
    items: z.array(z.object({ product_id: id, quantity: z.int(), unit_price: money })),
    expires_at: timestamp.describe('Until when a pending order has to be paid.'),
    paid_at: timestamp.nullable(),
    closed_at: timestamp.nullable(),
    created_at: timestamp,
  })
  .meta({ id: 'Order' })

export const orderDetailData = orderData
  .extend({ payments: z.array(paymentData), refunds: z.array(refundData) })
  .meta({ id: 'OrderDetail' })

const timelineData = z
  .object({
    order_id: id,
    entries: z.array(
      z.object({
        at: timestamp,
        what: z.string().describe('For example `reserved`, `ordered`, `payment_started`, `paid`, `closed`.'),
        detail: z.record(z.string(), z.union([z.string(), z.number(), z.null()])),
      }),
    ),
  })
  .meta({ id: 'Timeline', description: 'All that happened to an order, the oldest first.' })

const MAX_ITEMS = 20

export const orderRoutes = {
  createOrder: defineRoute({
    method: 'post',
    path: '/orders',
    tag: 'orders',
    summary: 'Order products outside a sale',
    description: 'Order and inventory change in one transaction. It has to be paid within 15 minutes.',
    access: 'user',
    limit: 'write',
    idempotency: 'required',
    body: z.strictObject({
      items: z
        .array(z.strictObject({ product_id: id, quantity }))
        .min(1)
        .max(MAX_ITEMS)
        .refine(
          (items) => new Set(items.map((item) => item.product_id)).size === items.length,
          'names a product twice',
        ),
    }),
    replies: {
      201: { description: 'The order.', data: orderDetailData, headers: { Location: 'Path of the order.' } },
    },
    errors: ['NOT_FOUND', 'INSUFFICIENT_STOCK', 'MIXED_CURRENCIES', 'IDEMPOTENCY_KEY_REQUIRED'],
  }),
  listOrders: defineRoute({
    method: 'get',
    path: '/orders',
    tag: 'orders',
    summary: 'List the own orders',
    access: 'user',
    limit: 'read',
    query: listQuery({
      status: z.enum(ORDER_STATUSES).optional(),
      event_id: id.optional(),
      sort: sortBy(ORDER_SORTS, 'created_at,desc'),
    }),
    replies: { 200: { description: 'One page of orders.', data: pageOf(orderData) } },
    errors: [],
  }),
  readOrder: defineRoute({
    method: 'get',
    path: '/orders/:id',
    tag: 'orders',
    summary: 'Read an own order with its payments and refunds',
    access: 'user',
    limit: 'read',
    params: idParams,
    replies: { 200: { description: 'The order.', data: orderDetailData } },
    errors: ['NOT_FOUND'],
  }),
  readTimeline: defineRoute({
    method: 'get',
    path: '/orders/:id/timeline',
    tag: 'orders',
    summary: 'What happened to an own order',
    access: 'user',
    limit: 'read',
    params: idParams,
    replies: { 200: { description: 'The timeline.', data: timelineData } },
    errors: ['NOT_FOUND'],
  }),
  cancelOrder: defineRoute({
    method: 'post',
    path: '/orders/:id/cancel',
    tag: 'orders',
    summary: 'Cancel an own unpaid order',
    description: 'Its units go back. A cancelled order of a sale counts against `lapse_limit`.',
    access: 'user',
    limit: 'write',
    idempotency: 'optional',
    params: idParams,
    replies: { 200: { description: 'The order, closed.', data: orderDetailData } },
    errors: ['NOT_FOUND', 'ORDER_NOT_PENDING'],
  }),
}

export const paymentRoutes = {
  startPayment: defineRoute({
    method: 'post',
    path: '/orders/:id/payments',
    tag: 'payments',
    summary: 'Pay an own order',
    description:
      'The provider is asked to take the money and calls back. A second call while a payment is open pays once. ' +
      '`outcome` chooses what the simulated provider does; it is refused in prod.',
    access: 'user',
    limit: 'write',
    idempotency: 'optional',
    params: idParams,
    body: z.strictObject({ outcome: z.enum(OUTCOMES).optional() }),
    replies: {
      202: {
        description: 'The payment is under way; read the order for its end.',
        data: z.object({ payment_id: id, status: z.literal('pending') }),
        headers: { Location: 'Path of the order.' },
      },
    },
    errors: ['NOT_FOUND', 'ORDER_NOT_PENDING'],
  }),
  paymentCallback: defineRoute({
    method: 'post',
    path: '/payments/callback',
    tag: 'payments',
    summary: "The provider's word on a payment or a refund",
    description:
      'Signed in `x-payment-signature`: `t=<ms since 1970>,v1=<hex HMAC-SHA256 of "t.body">`, at most 5 minutes ' +
      'old. Applied once by its transaction id.',
    access: 'provider',
    limit: 'none',
    body: callbackSchema,
    replies: {
      200: {
        description: 'What it did.',
        data: z.object({
          result: z.enum(['paid', 'paid_late', 'failed', 'refund_opened', 'refund_done', 'seen_before']),
        }),
      },
    },
    errors: ['INVALID_SIGNATURE', 'NOT_FOUND', 'PAYMENT_MISMATCH'],
  }),
}
