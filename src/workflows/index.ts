export { bulkReplay } from './bulk-replay';
export { deliverWebhook } from './deliver-webhook';
