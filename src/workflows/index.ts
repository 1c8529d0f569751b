export { deliverWebhook } from './deliver-webhook';
