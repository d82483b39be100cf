/**
 * A session that outlives its connection: when the node restarts, or is not up
 * yet, the next call opens a new one. For what runs longer than a command: the
 * prompt, an import, the wait for a node to come up. It repeats nothing by
 * itself: the call that met the break fails, and its caller decides.
 *
 * @module
 */
import { isWhorlError, WhorlError } from "../src/base/errors.ts";
import type { KvClient } from "../src/kv/kv_client.ts";
import type {
  AdminMethods,
  AdminSession,
  CallOptions,
} from "../src/node/admin_protocol.ts";
import type { RaKvClient, RaKvEvent } from "../src/ra_kv/ra_kv_client.ts";
import { coverageLater } from "../src/request/coverage_client.ts";

/** Opens one connection's worth of session. */
export type Reopen = () => Promise<AdminSession>;

/** A session that opens itself again. */
export class ReconnectingSession implements AdminSession {
  #reopen: Reopen;
  #current: Promise<AdminSession> | undefined;
  #name: string;
  #closed = false;
  readonly kv: KvClient = {
    get: (...args) => this.#use((session) => session.kv.get(...args)),
    put: (...args) => this.#use((session) => session.kv.put(...args)),
    delete: (...args) => this.#use((session) => session.kv.delete(...args)),
    keys: (...args) =>
      coverageLater(() =>
        this.#use((session) => Promise.resolve(session.kv.keys(...args)))
      ),
  };

  readonly raKv: RaKvClient = this.#raKv();

  /** @param first A session that is open already, if there is one. */
  constructor(reopen: Reopen, first?: AdminSession) {
    this.#reopen = reopen;
    this.#current = first && Promise.resolve(first);
    this.#name = first?.node ?? "";
  }

  /** Name of the node last talked to; empty before the first time. */
  get node(): string {
    return this.#name;
  }

  call<Method extends keyof AdminMethods>(
    method: Method,
    args: AdminMethods[Method]["args"],
    options?: CallOptions,
  ): Promise<AdminMethods[Method]["result"]> {
    return this.#use((session) => session.call(method, args, options));
  }

  #raKv(): RaKvClient {
    return {
      put: (...args) => this.#use(({ raKv }) => raKv.put(...args)),
      get: (...args) => this.#use(({ raKv }) => raKv.get(...args)),
      delete: (...args) => this.#use(({ raKv }) => raKv.delete(...args)),
      compareAndSet: (...args) =>
        this.#use(({ raKv }) => raKv.compareAndSet(...args)),
      batch: (...args) => this.#use(({ raKv }) => raKv.batch(...args)),
      readEntry: (...args) => this.#use(({ raKv }) => raKv.readEntry(...args)),
      startCluster: (...args) =>
        this.#use(({ raKv }) => raKv.startCluster(...args)),
      deleteCluster: (...args) =>
        this.#use(({ raKv }) => raKv.deleteCluster(...args)),
      clusters: (...args) => this.#use(({ raKv }) => raKv.clusters(...args)),
      addMember: (...args) => this.#use(({ raKv }) => raKv.addMember(...args)),
      removeMember: (...args) =>
        this.#use(({ raKv }) => raKv.removeMember(...args)),
      members: (...args) => this.#use(({ raKv }) => raKv.members(...args)),
      memberOverview: (...args) =>
        this.#use(({ raKv }) => raKv.memberOverview(...args)),
      overview: (...args) => this.#use(({ raKv }) => raKv.overview(...args)),
      liveIndexes: (...args) =>
        this.#use(({ raKv }) => raKv.liveIndexes(...args)),
      takeSnapshot: (...args) =>
        this.#use(({ raKv }) => raKv.takeSnapshot(...args)),
      compact: (...args) => this.#use(({ raKv }) => raKv.compact(...args)),
      transferLeadership: (...args) =>
        this.#use(({ raKv }) => raKv.transferLeadership(...args)),
      forceShrink: (...args) =>
        this.#use(({ raKv }) => raKv.forceShrink(...args)),
      watch: (...args) => this.#watch(...args),
    };
  }

  async *#watch(
    ...args: Parameters<RaKvClient["watch"]>
  ): AsyncGenerator<RaKvEvent> {
    yield* await this.#use(({ raKv }) => Promise.resolve(raKv.watch(...args)));
  }

  async #use<T>(use: (session: AdminSession) => Promise<T>): Promise<T> {
    if (this.#closed) {
      throw new WhorlError("closed", "Cannot use a session that was closed");
    }
    // One attempt at a time: callers that come meanwhile share it.
    const opening = this.#current ??= this.#reopen();
    let session;
    try {
      session = await opening;
    } catch (error) {
      if (this.#current === opening) this.#current = undefined;
      throw error;
    }
    this.#name = session.node;
    try {
      return await use(session);
    } catch (error) {
      if (
        isWhorlError(error, "connection_closed") && this.#current === opening
      ) {
        this.#current = undefined;
        await session[Symbol.asyncDispose]();
      }
      throw error;
    }
  }

  /** Lets go of the connection, for those who know that its other end is gone; the next call opens a new one. */
  async forget(): Promise<void> {
    const opening = this.#current;
    this.#current = undefined;
    if (opening === undefined) return;
    // Who asked for the attempt has been told how it failed.
    const [opened] = await Promise.allSettled([opening]);
    if (opened.status === "fulfilled") {
      await opened.value[Symbol.asyncDispose]();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await this.forget();
  }
}
