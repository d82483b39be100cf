/**
 * A vnode module of named counters: `add` counts, `read` returns the count, and
 * a counter never goes below zero.
 *
 * It stores one 8-byte number per counter. Each replica counts for itself, so
 * two that missed different calls differ; `docs/vnode.md` says what to do about
 * it.
 *
 * @module
 */
import {
  command,
  type CommandDeclaration,
  defineVnode,
  type Vnode,
  type VnodeContext,
  type VnodeModule,
} from "../../mod.ts";

/** The commands of the module. Their order is their number on the wire. */
export type CounterCommands = {
  readonly add: CommandDeclaration<
    { readonly counter: string; readonly by: number },
    number,
    "below_zero"
  >;
  readonly read: CommandDeclaration<
    { readonly counter: string },
    number,
    never
  >;
};

const commands: CounterCommands = {
  add: command({ failures: ["below_zero"] }),
  read: command(),
};

const encoder = new TextEncoder();

function keyOf(counter: string): Uint8Array {
  return encoder.encode(counter);
}

function numberIn(bytes: Uint8Array | undefined): number {
  return bytes === undefined
    ? 0
    : new DataView(bytes.buffer, bytes.byteOffset, 8).getFloat64(0);
}

function bytesOf(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value);
  return bytes;
}

class CounterVnode implements Vnode<CounterCommands> {
  readonly #context: VnodeContext;

  constructor(context: VnodeContext) {
    this.#context = context;
  }

  readonly handleCommand: Vnode<CounterCommands>["handleCommand"] = {
    // A promise holds the next command back, so nothing comes between reading
    // and writing.
    add: async ({ counter, by }, call) => {
      const key = keyOf(counter);
      const value = numberIn(await this.#context.storage.get(key)) + by;
      if (value < 0) {
        call.fail("below_zero", `Cannot count ${counter} down to ${value}`);
      } else await this.#write(key, value);
      // Only the first answer counts, so after a failure this one is not sent.
      return value;
    },
    read: async ({ counter }) =>
      numberIn(await this.#context.storage.get(keyOf(counter))),
  };

  /** Resolves when the value is durable; if that fails, this vnode crashes. */
  #write(key: Uint8Array, value: number): Promise<void> {
    return this.#context.storage.commit([{ key, value: bytesOf(value) }]);
  }

  async *fold() {
    for await (const { key, value } of this.#context.storage.scan()) {
      yield { sortKey: key, item: value };
    }
  }

  async itemAt(sortKey: Uint8Array) {
    const item = await this.#context.storage.get(sortKey);
    return item === undefined ? undefined : { sortKey, item };
  }

  encodeHandoffItem(
    { sortKey, item }: { sortKey: Uint8Array; item: unknown },
  ): Uint8Array {
    // The value has 8 bytes, so everything before it is the key.
    return new Uint8Array([...sortKey, ...item as Uint8Array]);
  }

  async handleHandoffData(bytes: Uint8Array): Promise<void> {
    const { storage } = this.#context;
    const key = bytes.slice(0, -8);
    // The larger one has seen more; receiving the same item twice is harmless.
    const value = Math.max(
      numberIn(await storage.get(key)),
      numberIn(bytes.slice(-8)),
    );
    await this.#write(key, value);
  }

  async isEmpty(): Promise<boolean> {
    return await this.#context.storage.count() === 0;
  }

  delete(): Promise<void> {
    return this.#context.storage.deleteRange();
  }
}

const counterModule: VnodeModule<CounterCommands> = defineVnode({
  name: "counter",
  commands,
  init: (_partition, context) => new CounterVnode(context),
});

export default counterModule;
