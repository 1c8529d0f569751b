/** An event of about `bytes` bytes of JSON. */
export function eventData(mark: string, bytes: number): object {
  return { mark, amount: 4200, currency: 'EUR', filler: 'x'.repeat(Math.max(0, bytes - mark.length - 60)) };
}
