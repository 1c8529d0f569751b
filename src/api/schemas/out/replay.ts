import { z } from 'zod';
import { END_STATES } from '../../../domain/delivery';
import { TIMES_OF_DELIVERIES } from '../../../domain/replay';
import { count, listOf, publicId, time } from './common';

const replay = {
  id: publicId('replay'),
  webhook_id: publicId('webhook').nullable(),
  since: time,
  until: time,
  by: z.enum(TIMES_OF_DELIVERIES),
  statuses: z.array(z.enum(END_STATES)),
  event_types: z.array(z.string()).nullable(),
  dead_letters: z.boolean(),
  status: z.enum(['running', 'completed', 'cancelled']),
  total: count.nullable(),
  sent: count,
  skipped: count,
  rate_limit: z.string(),
  created_at: time,
  ended_at: time.nullable(),
};

export const replayOut = z.strictObject(replay).meta({ id: 'Replay' });
export const replayListOut = listOf(replayOut, 'replay');

export const replayProgressOut = z
  .strictObject({ ...replay, source: z.enum(['workflow', 'database']) })
  .meta({ id: 'ReplayProgress' });

export const eventReplayOut = z
  .strictObject({
    data: z.array(
      z.strictObject({
        webhook_id: publicId('webhook'),
        delivery_id: publicId('delivery'),
        result: z.enum(['replayed', 'already_under_way', 'created']),
      }),
    ),
  })
  .meta({ id: 'EventReplay' });
