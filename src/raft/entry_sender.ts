/**
 * Sends entries to the other members of a group, in messages of a bounded size.
 * Entries in memory are sent at once. For a member that is far behind, entries
 * are read from the disk, and later ones wait until those have been sent.
 *
 * @module
 */
import type { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError } from "../base/errors.ts";
import type { GroupLog } from "./log/raft_log.ts";
import type { RaftEntry } from "./raft_entry.ts";
import type { RaftEffect } from "./raft_events.ts";
import { writeAppend } from "./raft_message_codec.ts";

/** Bytes of entries in one message. */
export const APPEND_BYTES_MAX: number = 1024 * 1024;

/** The entries that the core wants sent. */
export type SendEntries = Extract<
  RaftEffect,
  { readonly type: "send_entries" }
>;

/** What it needs. */
export interface EntrySenderWorld {
  readonly log: Pick<GroupLog, "entries" | "termAt">;
  /** Begins a message to `to`; `undefined` if it cannot be sent now. */
  begin(to: string): ByteWriter | undefined;
  end(): void;
  /** Whether this member still leads in `term`. */
  leadsIn(term: number): boolean;
  /** Entries to be sent to `to` are no longer in the log. */
  missing(to: string): void;
}

/** See the module comment. */
export class EntrySender {
  readonly #world: EntrySenderWorld;
  /** Members whose entries are being read, with what is to be sent to them afterwards. */
  readonly #laggards = new Map<string, SendEntries[]>();

  constructor(world: EntrySenderWorld) {
    this.#world = world;
  }

  /** Sends entries, now or once they have been read. */
  send(effect: SendEntries): void {
    const waiting = this.#laggards.get(effect.to);
    if (waiting !== undefined) {
      waiting.push(effect);
      return;
    }
    for (let { first } = effect;;) {
      const entries = first > effect.last
        ? []
        : this.#world.log.entries(first, effect.last, APPEND_BYTES_MAX);
      if (entries instanceof Promise) {
        this.#readThenSend(effect, first, entries);
        return;
      }
      this.#sendOne(effect, first, entries);
      first += entries.length;
      if (first > effect.last) return;
    }
  }

  #sendOne(
    effect: SendEntries,
    first: number,
    entries: readonly RaftEntry[],
  ): void {
    const prevTerm = first === effect.first
      ? effect.prevTerm
      : this.#world.log.termAt(first - 1);
    if (prevTerm === undefined) return;
    const into = this.#world.begin(effect.to);
    if (into === undefined) return;
    const { term, commitIndex } = effect;
    writeAppend(into, term, first - 1, prevTerm, commitIndex, entries);
    this.#world.end();
  }

  async #readThenSend(
    effect: SendEntries,
    first: number,
    reading: Promise<readonly RaftEntry[]>,
  ): Promise<void> {
    const { to, term, last } = effect;
    const { log } = this.#world;
    const waiting: SendEntries[] = [];
    this.#laggards.set(to, waiting);
    try {
      let entries = await reading;
      // Meanwhile another member may lead, or this one in another term.
      while (this.#world.leadsIn(term)) {
        this.#sendOne(effect, first, entries);
        first += entries.length;
        if (first > last) break;
        entries = await log.entries(first, last, APPEND_BYTES_MAX);
      }
    } catch (error) {
      if (!isWhorlError(error)) throw error;
      waiting.length = 0;
      this.#world.missing(to);
    } finally {
      this.#laggards.delete(to);
    }
    for (const later of waiting) {
      if (this.#world.leadsIn(later.term)) this.send(later);
    }
  }
}
