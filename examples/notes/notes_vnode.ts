/**
 * A vnode module that keeps notes, in two variants: one answers when a note is
 * durable, the other, a moment too early, when it has passed the note to its
 * store. Tests without faults pass with both. `notes_simulation.ts` tells them
 * apart in seconds.
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
export type NotesCommands = {
  readonly write: CommandDeclaration<
    { readonly note: string; readonly text: string },
    boolean,
    never
  >;
  readonly read: CommandDeclaration<
    { readonly note: string },
    string | null,
    never
  >;
};

const encoder = new TextEncoder();
const decoder = new TextDecoder();

class NotesVnode implements Vnode<NotesCommands> {
  readonly #context: VnodeContext;
  readonly #hasty: boolean;

  constructor(context: VnodeContext, hasty: boolean) {
    this.#context = context;
    this.#hasty = hasty;
  }

  readonly handleCommand: Vnode<NotesCommands>["handleCommand"] = {
    write: async ({ note, text }) => {
      const durable = this.#write(note, text);
      if (!this.#hasty) await durable;
      // A later failure crashes this vnode, but the caller has been told that
      // all is well.
      else durable.catch((error) => this.#context.crash(error));
      return true;
    },
    read: async ({ note }) => {
      const bytes = await this.#context.storage.get(encoder.encode(note));
      return bytes === undefined ? null : decoder.decode(bytes);
    },
  };

  /** Resolves when the note is durable. */
  #write(note: string, text: string): Promise<void> {
    return this.#context.storage.commit([
      { key: encoder.encode(note), value: encoder.encode(text) },
    ]);
  }

  async *fold() {
    const { storage } = this.#context;
    for await (const { key } of storage.scan()) {
      // Read again: what a scan has read ahead may be outdated.
      const item = await storage.get(key);
      if (item !== undefined) yield { sortKey: key, item };
    }
  }

  encodeHandoffItem(
    { sortKey, item }: { sortKey: Uint8Array; item: unknown },
  ): Uint8Array {
    const text = item as Uint8Array;
    const bytes = new Uint8Array(2 + sortKey.length + text.length);
    new DataView(bytes.buffer).setUint16(0, sortKey.length);
    bytes.set(sortKey, 2);
    bytes.set(text, 2 + sortKey.length);
    return bytes;
  }

  async handleHandoffData(bytes: Uint8Array): Promise<void> {
    const end = 2 + new DataView(bytes.buffer, bytes.byteOffset).getUint16(0);
    const note = decoder.decode(bytes.subarray(2, end));
    await this.#write(note, decoder.decode(bytes.subarray(end)));
  }

  async isEmpty(): Promise<boolean> {
    return await this.#context.storage.count() === 0;
  }

  delete(): Promise<void> {
    return this.#context.storage.deleteRange();
  }
}

/** The module. @param hasty Whether it answers before a note is durable. */
export function notesModule(hasty: boolean): VnodeModule<NotesCommands> {
  return defineVnode({
    name: "notes",
    commands: { write: command(), read: command() },
    init: (_partition, context) => new NotesVnode(context, hasty),
  });
}

export default notesModule(false);
