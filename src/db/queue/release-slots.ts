/**
 * SQL: releases the slots that these deliveries hold of their webhooks (ordered ones, and half-open breakers).
 * `released` is a table of delivery_id and webhook_id, or a subquery in parentheses. Gates whose slot is another delivery's,
 * or nobody's, stay as they are.
 */
export const releaseSlots = (
  released: string,
) => `update webhook_gates g set slot_delivery_id = null, slot_until = 'epoch'
      from ${released} released
      where g.webhook_id = released.webhook_id and g.slot_delivery_id = released.delivery_id`;
