import { IncomingMessage, type ServerOptions, ServerResponse } from 'node:http';
import type { Express } from 'express';

/**
 * The classes of an app's requests and answers, for the server in front of it: `createServer(withSharedPrototypes(app), app)`.
 *
 * Express sets the prototype of every request and answer that it is given, after which V8 treats each as a shape of its
 * own and looks up every property anew. Where they are made with that prototype, setting it changes nothing. Only for an
 * app without apps mounted in it, each of which would set its own.
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
