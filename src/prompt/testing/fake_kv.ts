/**
 * A key-value store in a map that keeps siblings as `kv` does: a write replaces
 * what its context covers and stands beside everything else. For unit tests of
 * the command line; what a real node does is tested end to end.
 *
 * @module
 */
import type {
  KvClient,
  KvGetResult,
  KvPutOptions,
  KvPutResult,
  KvValue,
} from "../../kv/kv_client.ts";

/** A fake with a view into it. */
export interface FakeKv extends KvClient {
  /** Values by `bucket/key`; deleted keys have none. */
  readonly stored: ReadonlyMap<string, readonly KvValue[]>;
  /** How often each operation was called. */
  readonly calls: { get: number; put: number; delete: number };
  /** Most operations that were under way at a time. */
  readonly underWayMax: number;
  /** Called before each operation takes effect; what it throws is the operation's failure. */
  before: (operation: "get" | "put" | "delete", key: string) => unknown;
}

interface Slot {
  /** Writes so far; a context is the count its reader saw. */
  clock: number;
  siblings: { value: KvValue | undefined; dot: number }[];
}

/** An empty store. */
export function fakeKv(): FakeKv {
  const slots = new Map<string, Slot>();
  const calls = { get: 0, put: 0, delete: 0 };
  let underWay = 0;
  let underWayMax = 0;

  async function operation<T>(
    name: "get" | "put" | "delete",
    key: string,
    apply: () => T,
  ): Promise<T> {
    calls[name]++;
    underWayMax = Math.max(underWayMax, ++underWay);
    try {
      await kv.before(name, key);
      return apply();
    } finally {
      underWay--;
    }
  }

  function write(
    id: string,
    value: KvValue | undefined,
    options: KvPutOptions,
  ): KvPutResult {
    const slot = slots.get(id) ?? { clock: 0, siblings: [] };
    slots.set(id, slot);
    const seen = Number(options.context ?? 0);
    slot.siblings = slot.siblings.filter(({ dot }) => dot > seen);
    slot.siblings.push({ value, dot: ++slot.clock });
    return {
      context: String(slot.clock),
      siblings: slot.siblings.length,
      replicas: [],
    };
  }

  function read(id: string): KvGetResult {
    const slot = slots.get(id);
    if (slot === undefined) {
      return { values: [], value: undefined, context: null, replicas: [] };
    }
    const values = slot.siblings.flatMap(({ value }) =>
      value === undefined ? [] : [value]
    );
    return {
      values,
      value: values[0],
      context: String(slot.clock),
      replicas: [],
    };
  }

  const kv: FakeKv = {
    before: () => undefined,
    calls,
    get underWayMax() {
      return underWayMax;
    },
    get stored() {
      return new Map(
        [...slots.keys()].map((id) => [id, read(id).values] as const),
      );
    },
    get: (bucket, key) => operation("get", key, () => read(`${bucket}/${key}`)),
    put: (bucket, key, value, options = {}) =>
      operation("put", key, () => write(`${bucket}/${key}`, value, options)),
    delete: (bucket, key, options = {}) =>
      operation(
        "delete",
        key,
        () => write(`${bucket}/${key}`, undefined, options),
      ),
    keys: (bucket) => ({
      report: undefined,
      async *[Symbol.asyncIterator]() {
        for (const id of slots.keys()) {
          if (!id.startsWith(`${bucket}/`)) continue;
          if (read(id).values.length > 0) yield id.slice(bucket.length + 1);
        }
      },
    }),
  };
  return kv;
}
