/**
 * What app_name offers to the rest of a program: which vnodes are asked, how
 * many of them must answer, and what their answers come to together.
 *
 * @module
 */
import type { ModuleClient, ModuleInterface } from "@whorl/whorl";
import type { AppNameCommands, AppNameQueries } from "./app_name_vnode.ts";
import appNameModule, { BUCKET, type Entry } from "./app_name_vnode.ts";

/** A way into the cluster: a node of this process, a client, or a simulated one. */
export interface ClusterAccess {
  /** The commands of a module. */
  module(
    module: ModuleInterface<AppNameCommands, AppNameQueries>,
  ): ModuleClient<AppNameCommands, AppNameQueries>;
}

/**
 * Three vnodes have each list, an entry counts as added when two have it on disk,
 * and two are read: one of them is among those two. The two are on different
 * nodes where there are others to be reached; with `nodeConfirms: 2` a node that
 * is alone would refuse instead.
 */
const WRITE = { n: 3, w: 2, dw: 2 };
const READ = { n: 3, r: 2 };

/** Lists of entries. */
export class AppNameApi {
  readonly #vnodes: ModuleClient<AppNameCommands, AppNameQueries>;

  /** @param access The node or the client whose cluster has the lists. */
  constructor(access: ClusterAccess) {
    this.#vnodes = access.module(appNameModule);
  }

  /**
   * Adds an entry. If this fails, the entry may have been added or not: call it
   * again with the same `id`, and it is there once.
   *
   * @param id Names the entry; stands for one text for ever.
   * @throws {WhorlError} `quorum_unavailable`, `timeout` and others, see `ModuleClient.request`.
   */
  async add(
    list: string,
    text: string,
    id: string = crypto.randomUUID(),
  ): Promise<Entry> {
    await this.#vnodes.request(
      BUCKET,
      list,
      "add",
      { list, id, text },
      WRITE,
    );
    return { id, text };
  }

  /** The entries of a list, by id. @throws {WhorlError} As `add`. */
  async entries(list: string): Promise<Entry[]> {
    const { replies } = await this.#vnodes.request(
      BUCKET,
      list,
      "entries",
      { list },
      READ,
    );
    const byId = new Map<string, Entry>();
    for (const entry of replies.flatMap((entries) => entries ?? [])) {
      byId.set(entry.id, entry);
    }
    return [...byId.values()].sort((a, b) => a.id < b.id ? -1 : 1);
  }

  /** The names of all lists, in no order. @throws {WhorlError} As `ModuleClient.coverage`. */
  async *lists(): AsyncGenerator<string> {
    // Two vnodes answer for each list, as one of three may have missed it, and one
    // that stands in for another says again what that one said.
    const said = new Set<string>();
    const chunks = this.#vnodes.coverage("lists", undefined, {
      n: WRITE.n,
      primaryVnodeCoverage: READ.r,
    });
    for await (const { value } of chunks) {
      for (const list of value) {
        if (said.has(list)) continue;
        said.add(list);
        yield list;
      }
    }
  }
}
