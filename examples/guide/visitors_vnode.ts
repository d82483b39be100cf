/**
 * A vnode module that remembers who has visited which page. It stores a set
 * that only grows, so replicas that missed different visits are merged by
 * union. `docs/guide.md` explains it.
 *
 * @module
 */
import {
  answersLater,
  command,
  type CommandDeclaration,
  defineVnode,
  partitionOf,
  type Vnode,
  type VnodeContext,
  type VnodeModule,
} from "../../mod.ts";

/** The bucket of all pages. */
export const PAGES = "pages";

/** The commands of the module. Their order is their number on the wire. */
export type VisitorsCommands = {
  readonly see: CommandDeclaration<
    { readonly page: string; readonly visitor: string },
    true,
    never
  >;
  readonly visitors: CommandDeclaration<
    { readonly page: string },
    readonly string[],
    "tail_lost"
  >;
};

/** What all vnodes can be asked at once. */
export type VisitorsQueries = {
  readonly pages: CommandDeclaration<undefined, readonly string[], never>;
};

const commands: VisitorsCommands = {
  see: command(),
  visitors: command({ failures: ["tail_lost"] }),
};

const coverage: VisitorsQueries = { pages: command() };

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A visit is a key without a value: the page, a zero, the visitor. */
function keyOf(page: string, visitor: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(`${page}\0${visitor}`);
}

function visitOf(key: Uint8Array): [page: string, visitor: string] {
  const [page, visitor] = decoder.decode(key).split("\0");
  return [page!, visitor!];
}

class VisitorsVnode implements Vnode<VisitorsCommands, VisitorsQueries> {
  readonly #context: VnodeContext;

  constructor(context: VnodeContext) {
    this.#context = context;
  }

  readonly handleCommand: Vnode<VisitorsCommands>["handleCommand"] = {
    see: ({ page, visitor }, call) => {
      this.#context.storage.write(
        [{ key: keyOf(page, visitor), value: new Uint8Array() }],
        (error) => {
          if (error === undefined) call.reply(true);
          else this.#context.crash(error);
        },
      );
      return answersLater;
    },
    visitors: async ({ page }, call) => {
      if (this.#context.store.tailLost) {
        call.fail("tail_lost", `Cannot say who has visited ${page}`);
      }
      const visitors: string[] = [];
      const range = {
        start: keyOf(page, ""),
        end: encoder.encode(`${page}\x01`),
      };
      for await (const { key } of this.#context.storage.scan(range)) {
        visitors.push(visitOf(key)[1]);
      }
      return visitors;
    },
  };

  readonly handleCoverage: Required<
    Vnode<VisitorsCommands, VisitorsQueries>
  >["handleCoverage"] = {
    pages: (_nothing, keySpaces) => this.#pages(keySpaces),
  };

  async *#pages(
    keySpaces: ReadonlySet<number> | null,
  ): AsyncGenerator<readonly string[]> {
    const { storage, ringSize } = this.#context;
    let start = new Uint8Array();
    for (;;) {
      const first = await Array.fromAsync(
        storage.scan({ start, limit: 1 }),
        ({ key }) => visitOf(key)[0],
      );
      const page = first[0];
      if (page === undefined) return;
      const keySpace = partitionOf(PAGES, page, ringSize);
      // What other vnodes are asked for is left to them.
      if (keySpaces === null || keySpaces.has(keySpace)) yield [page];
      start = encoder.encode(`${page}\x01`);
    }
  }

  async *fold() {
    for await (const { key } of this.#context.storage.scan()) {
      yield { sortKey: key, item: null };
    }
  }

  async itemAt(sortKey: Uint8Array) {
    const value = await this.#context.storage.get(sortKey);
    return value === undefined ? undefined : { sortKey, item: null };
  }

  encodeHandoffItem({ sortKey }: { sortKey: Uint8Array }): Uint8Array {
    return sortKey;
  }

  handleHandoffData(bytes: Uint8Array): Promise<void> {
    return this.#context.storage.commit([
      { key: bytes, value: new Uint8Array() },
    ]);
  }

  keySpaceOf({ sortKey }: { sortKey: Uint8Array }, ringSize: number): number {
    return partitionOf(PAGES, visitOf(sortKey)[0], ringSize);
  }

  async isEmpty(): Promise<boolean> {
    return await this.#context.storage.count() === 0;
  }

  delete(): Promise<void> {
    return this.#context.storage.deleteRange();
  }
}

const visitorsModule: VnodeModule<VisitorsCommands, VisitorsQueries> =
  defineVnode({
    name: "visitors",
    commands,
    coverage,
    init: (_partition, context) => new VisitorsVnode(context),
  });

export default visitorsModule;
