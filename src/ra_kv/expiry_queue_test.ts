import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { ExpiryQueue } from "./expiry_queue.ts";
import { KeyTable } from "./key_table.ts";

/** A table and its queue, as the machine uses them. */
class Keys {
  readonly table = new KeyTable(1);
  readonly queue = new ExpiryQueue(this.table);
  #index = 0;

  put(key: number, expiresAtMs: number): void {
    const record = this.table.findOrAdd(Uint8Array.of(key), 0, 1);
    this.#letGo(record);
    this.table.set(record, ++this.#index, 0, 0, expiresAtMs);
    if (expiresAtMs !== 0) this.queue.add(record);
  }

  remove(key: number): void {
    const record = this.table.find(Uint8Array.of(key), 0, 1);
    if (record < 0) return;
    this.#letGo(record);
    this.table.remove(record);
  }

  /** Removes all keys that are due, and returns them in order. */
  sweep(timeMs: number): number[] {
    const taken: number[] = [];
    for (;;) {
      const record = this.queue.takeDue(timeMs);
      if (record < 0) return taken;
      taken.push(this.table.keyOf(record)[0] as number);
      this.#letGo(record);
      this.table.remove(record);
    }
  }

  #letGo(record: number): void {
    if (this.table.expiryOf(record) !== 0) this.queue.forget();
  }
}

Deno.test("ExpiryQueue.takeDue() orders keys by time and then by index, whatever was replaced or removed", () => {
  const step = fc.tuple(
    fc.constantFrom("put", "put", "put", "stay", "remove", "sweep"),
    fc.nat(12),
    fc.integer({ min: 1, max: 50 }),
  );
  fc.assert(fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
    const keys = new Keys();
    const model = new Map<number, { at: number; index: number }>();
    let index = 0;
    for (const [what, key, timeMs] of steps) {
      if (what === "put" || what === "stay") {
        index++;
        keys.put(key, what === "put" ? timeMs : 0);
        if (what === "put") model.set(key, { at: timeMs, index });
        else model.delete(key);
      } else if (what === "remove") {
        keys.remove(key);
        model.delete(key);
      } else {
        const due = [...model].filter(([, { at }]) => at <= timeMs)
          .sort(([, a], [, b]) => a.at - b.at || a.index - b.index)
          .map(([key]) => key);
        assertEquals(keys.sweep(timeMs), due);
        for (const key of due) model.delete(key);
      }
      assertEquals(keys.queue.size, model.size);
      const next = [...model.values()].sort((a, b) =>
        a.at - b.at || a.index - b.index
      )[0];
      assertEquals(keys.queue.nextAtMs, next?.at);
      assertEquals(keys.queue.nextIndex, next?.index ?? 0);
    }
  }));
});

Deno.test("ExpiryQueue does not grow with keys that are put repeatedly", () => {
  const keys = new Keys();
  keys.put(0, 1);
  for (let n = 0; n < 5_000; n++) {
    // The first key stays in front of the stale ones.
    for (const key of [1, 2, 3]) keys.put(key, 1_000 + n);
    assert(keys.queue.places <= 2 * 4 + 66, `${keys.queue.places}`);
  }
  assertEquals(keys.queue.size, 4);
  assertEquals(keys.sweep(10_000), [0, 1, 2, 3]);
});
