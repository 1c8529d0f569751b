import type { JsonObject } from './event-types';

/** An event type that many systems share, with the schema and an example of its first version. */
export type StandardEventType = {
  name: string;
  description: string;
  keyFields: string[];
  schema: JsonObject;
  example: JsonObject;
};

export const STANDARD_VERSION = '1.0';

const id = { type: 'string', minLength: 1 };
const time = { type: 'string', format: 'date-time' };
const amount = { type: 'integer', minimum: 0, description: 'in the smallest unit of the currency' };
const currency = { type: 'string', minLength: 3, maxLength: 3, description: 'ISO 4217' };
const email = { type: 'string', format: 'email' };
const text = { type: 'string' };

/** Further fields are allowed: a producer may send more than the standard asks for. */
function objectWith(properties: Record<string, object>, ...optional: string[]): JsonObject {
  return {
    type: 'object',
    properties,
    required: Object.keys(properties).filter((name) => !optional.includes(name)),
  };
}

export const STANDARD_EVENT_TYPES: readonly StandardEventType[] = [
  {
    name: 'order.created',
    description: 'A customer placed an order.',
    keyFields: ['order_id'],
    schema: objectWith({ order_id: id, customer_id: id, total: amount, currency, created_at: time }, 'created_at'),
    example: { order_id: 'ord_1001', customer_id: 'cus_42', total: 4200, currency: 'EUR' },
  },
  {
    name: 'order.updated',
    description: 'An order was changed after it had been placed.',
    keyFields: ['order_id'],
    schema: objectWith(
      { order_id: id, changed: { type: 'array', items: text }, total: amount, currency },
      'total',
      'currency',
    ),
    example: { order_id: 'ord_1001', changed: ['total'], total: 3900, currency: 'EUR' },
  },
  {
    name: 'order.cancelled',
    description: 'An order was cancelled.',
    keyFields: ['order_id'],
    schema: objectWith({ order_id: id, reason: text, cancelled_at: time }, 'reason', 'cancelled_at'),
    example: { order_id: 'ord_1001', reason: 'customer_request', cancelled_at: '2026-01-31T12:00:00Z' },
  },
  {
    name: 'payment.succeeded',
    description: 'A payment was taken.',
    keyFields: ['payment_id', 'order_id'],
    schema: objectWith({ payment_id: id, order_id: id, amount, currency, method: text }, 'order_id', 'method'),
    example: { payment_id: 'pay_77', order_id: 'ord_1001', amount: 4200, currency: 'EUR', method: 'card' },
  },
  {
    name: 'payment.failed',
    description: 'A payment was refused or could not be taken.',
    keyFields: ['payment_id', 'order_id'],
    schema: objectWith({ payment_id: id, order_id: id, amount, currency, failure_code: text }, 'order_id'),
    example: {
      payment_id: 'pay_78',
      order_id: 'ord_1001',
      amount: 4200,
      currency: 'EUR',
      failure_code: 'card_declined',
    },
  },
  {
    name: 'user.registered',
    description: 'Somebody made an account.',
    keyFields: ['user_id'],
    schema: objectWith({ user_id: id, email, registered_at: time }, 'registered_at'),
    example: { user_id: 'usr_9', email: 'ada@example.com', registered_at: '2026-01-31T12:00:00Z' },
  },
  {
    name: 'user.updated',
    description: 'An account was changed.',
    keyFields: ['user_id'],
    schema: objectWith({ user_id: id, changed: { type: 'array', items: text }, email }, 'email'),
    example: { user_id: 'usr_9', changed: ['email'], email: 'ada@example.org' },
  },
  {
    name: 'invoice.issued',
    description: 'An invoice was sent to a customer.',
    keyFields: ['invoice_id'],
    schema: objectWith(
      { invoice_id: id, customer_id: id, total: amount, currency, due_on: { type: 'string', format: 'date' } },
      'due_on',
    ),
    example: { invoice_id: 'inv_2', customer_id: 'cus_42', total: 4200, currency: 'EUR', due_on: '2026-02-28' },
  },
  {
    name: 'shipment.created',
    description: 'A parcel was handed to a carrier.',
    keyFields: ['shipment_id', 'order_id'],
    schema: objectWith({ shipment_id: id, order_id: id, carrier: text, tracking_number: text }, 'tracking_number'),
    example: { shipment_id: 'shp_5', order_id: 'ord_1001', carrier: 'DHL', tracking_number: 'JD0146' },
  },
  {
    name: 'refund.processed',
    description: 'Money went back to a customer.',
    keyFields: ['refund_id', 'payment_id'],
    schema: objectWith({ refund_id: id, payment_id: id, amount, currency, reason: text }, 'reason'),
    example: { refund_id: 'ref_3', payment_id: 'pay_77', amount: 4200, currency: 'EUR', reason: 'damaged' },
  },
];
