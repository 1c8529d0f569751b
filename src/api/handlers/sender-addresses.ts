import type { Context, HandlerResult } from '../route';

/** Where deliveries come from, for receivers that let only known addresses in. */
export async function senderAddresses({ services }: Context<undefined, undefined>): Promise<HandlerResult> {
  return { status: 200, body: { addresses: services.senderAddresses } };
}
