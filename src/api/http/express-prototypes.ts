import { IncomingMessage, type ServerOptions, ServerResponse } from 'node:http';
import type { Express } from 'express';

/**
 * The request and response classes for the server of an app: `createServer(withSharedPrototypes(app), app)`.
 *
 * Express sets the prototype of every request and response. V8 then gives each of them a hidden class of its own, and
 * every property access is slow. If they are created with that prototype already, setting it changes nothing. This is
 * only for an app with no apps mounted in it: each of those would set its own prototype.
 */
export function withSharedPrototypes(
  app: Express,
): Required<Pick<ServerOptions, 'IncomingMessage' | 'ServerResponse'>> {
  class ApiRequest extends IncomingMessage {}
  class ApiResponse<Request extends IncomingMessage> extends ServerResponse<Request> {}
  Object.setPrototypeOf(ApiRequest.prototype, app.request);
  Object.setPrototypeOf(ApiResponse.prototype, app.response);
  app.request = ApiRequest.prototype as Express['request'];
  app.response = ApiResponse.prototype as unknown as Express['response'];
  return { IncomingMessage: ApiRequest, ServerResponse: ApiResponse };
}
