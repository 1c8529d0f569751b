export { bulkReplay } from './bulk-replay';
export { deliverWebhook } from './deliver-webhook';
export { verifyEndpoint } from './verify-endpoint';
