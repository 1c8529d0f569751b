export { bulkReplay } from './bulk-replay';
export { deliverWebhook } from './deliver-webhook';
export { testWebhook } from './test-webhook';
export { verifyEndpoint } from './verify-endpoint';
