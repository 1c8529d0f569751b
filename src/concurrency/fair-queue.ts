/**
 * A bounded queue that serves owners round robin, each owner's items in order. When it is full, the owner with the most
 * items loses its newest one.
 */
export class FairQueue<Item> {
  readonly #waiting = new Map<string, Item[]>();
  #size = 0;

  constructor(readonly capacity: number) {}

  get size(): number {
    return this.#size;
  }

  push(owner: string, item: Item): void {
    const own = this.#waiting.get(owner);
    if (own) own.push(item);
    else this.#waiting.set(owner, [item]);
    this.#size++;
    if (this.#size > this.capacity) this.#drop();
  }

  /** Puts an item back that was taken: it becomes its owner's next one. */
  unshift(owner: string, item: Item): void {
    this.#waiting.set(owner, [item, ...(this.#waiting.get(owner) ?? [])]);
    this.#size++;
  }

  /** Takes the next item, round robin by owner. */
  shift(): Item | undefined {
    const [next] = this.#waiting;
    if (!next) return undefined;
    const [owner, own] = next;
    const item = own.shift();
    this.#size--;
    // The owner goes to the end of the round.
    this.#waiting.delete(owner);
    if (own.length > 0) this.#waiting.set(owner, own);
    return item;
  }

  #drop(): void {
    let [most] = this.#waiting;
    for (const one of this.#waiting) if (one[1].length > most![1].length) most = one;
    most![1].pop();
    this.#size--;
    if (most![1].length === 0) this.#waiting.delete(most![0]);
  }
}
