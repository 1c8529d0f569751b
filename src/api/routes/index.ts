import type { Route } from '../route';
import { adminRoutes } from './admin';
import { deliveryRoutes } from './deliveries';
import { eventTypeRoutes } from './event-types';
import { eventRoutes } from './events';
import { replayRoutes } from './replays';
import { tenantRoutes } from './tenant';
import { webhookRoutes } from './webhooks';

/**
 * The API. A new endpoint is one more row in the table of its topic. The first row that matches a path wins. No path
 * matches two rows, so the order matters for speed only: `POST /events`, the most frequent request, is compared first.
 */
export const routes: Route[] = [
  ...eventRoutes,
  ...webhookRoutes,
  ...deliveryRoutes,
  ...replayRoutes,
  ...eventTypeRoutes,
  ...tenantRoutes,
  ...adminRoutes,
];
