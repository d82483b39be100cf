/**
 * Watches that wait for keys to change at the members of this node. A watch
 * names the index up to which it has seen everything. It is answered at once if
 * there is more, and otherwise when a change that it wants is applied here, or
 * when its wait is over. The answer says up to where everything has been seen
 * now, and the next watch continues from there, at this member or another.
 *
 *     watch ──► changes after its index ── some match ──► their values ──► answer
 *                  │         └── none ──► waits for the next entry ─┐
 *                  │                 ▲──────────────────────────────┘
 *                  │                 └── wait over ──► empty answer
 *                  └── no longer known ──► "missed", and where to continue
 *
 * A value that was replaced before it could be read is left out, as the change
 * that replaced it follows.
 *
 * @module
 */
import type { Runtime } from "../../supervisors/runtime.ts";
import { equalsRange } from "../base/byte_order.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { type Deadline, DeadlineWheel } from "../environment/deadline_wheel.ts";
import type { RaftEntry } from "../raft/raft_entry.ts";
import type { RaftFailure } from "../raft/raft_member.ts";
import { ChangeKind } from "./change_log.ts";
import { valuePutBy } from "./entry_values.ts";
import {
  WATCH_BYTES_MAX,
  WATCH_EVENTS_MAX,
  type WatchBody,
  type WatchEvent,
  WatchFlag,
  writeWatchAnswer,
} from "./ra_kv_codec.ts";
import {
  asWhorlError,
  type RaKvMember,
  type RaKvTarget,
} from "./ra_kv_service.ts";
import { raftFailure } from "../raft/raft_failure.ts";

/** Most watches that wait on one node; one more is answered `overload`. */
export const WATCHES_MAX = 10_000;
/** Most entries whose values are read at once. */
const READ_ENTRIES_MAX = 8;

/** A watch that waits, or is about to be answered. */
class Watch implements Deadline {
  wheelNext: Deadline | undefined = undefined;
  wheelPrevious: Deadline | undefined = undefined;
  wheelTick = 0;
  readonly body: WatchBody;
  readonly target: RaKvTarget;
  /** Everything up to this index has been seen. */
  seen: number;
  readonly #over: (watch: Watch) => void;

  constructor(
    body: WatchBody,
    seen: number,
    target: RaKvTarget,
    over: (watch: Watch) => void,
  ) {
    this.body = body;
    this.seen = seen;
    this.target = target;
    this.#over = over;
  }

  deadlinePassed(): void {
    this.#over(this);
  }

  wants(bytes: Uint8Array, start: number, end: number): boolean {
    const { flags, key } = this.body;
    if ((flags & WatchFlag.prefix) === 0) {
      return equalsRange(key, bytes, start, end);
    }
    return end - start >= key.length &&
      equalsRange(key, bytes, start, start + key.length);
  }
}

/** A change to report. */
interface Seen {
  readonly kind: ChangeKind;
  readonly index: number;
  readonly key: Uint8Array;
}

/** The watches that wait at one member. */
class MemberWatches {
  readonly member: RaKvMember;
  readonly waiting = new Set<Watch>();
  #listening = false;
  readonly #tell: (watch: Watch) => void;
  readonly #failed: (watch: Watch, error: WhorlError) => void;
  readonly #ended: () => void;

  /** @param ended Called when it no longer waits for an entry. */
  constructor(
    member: RaKvMember,
    tell: (watch: Watch) => void,
    failed: (watch: Watch, error: WhorlError) => void,
    ended: () => void,
  ) {
    this.member = member;
    this.#tell = tell;
    this.#failed = failed;
    this.#ended = ended;
  }

  /** Waits for the next entry if any watch is waiting. */
  listen(): void {
    if (this.#listening || this.waiting.size === 0) return;
    this.#listening = true;
    this.member.whenApplied(this.member.appliedIndex + 1, this);
  }

  done(): void {
    this.#listening = false;
    for (const watch of [...this.waiting]) this.#tell(watch);
    if (this.waiting.size === 0) this.#ended();
    else this.listen();
  }

  failed(reason: RaftFailure, leader: string | undefined): void {
    this.#listening = false;
    const error = raftFailure(this.member, reason, leader);
    for (const watch of [...this.waiting]) this.#failed(watch, error);
    if (this.waiting.size === 0) this.#ended();
  }
}

/** The watches of a node; see the module comment. */
export class RaKvWatches {
  readonly #wheel: DeadlineWheel;
  /**
   * Each member that owes the next entry. A member stays here while it does, so
   * that watches that come and go wait for it only once; but no longer, since a
   * removed member must not be kept with its state.
   */
  readonly #members = new Map<RaKvMember, MemberWatches>();
  #size = 0;

  constructor(runtime: Runtime) {
    this.#wheel = new DeadlineWheel(runtime);
  }

  /** Members at which this waits for an entry. */
  get memberCount(): number {
    return this.#members.size;
  }

  /** Number of watches that wait. */
  get size(): number {
    return this.#size;
  }

  /**
   * Answers `target` once there is something to report at `member`; `body` must
   * not change until then.
   */
  add(member: RaKvMember, body: WatchBody, target: RaKvTarget): void {
    const watch = this.#watch(member, body, target);
    if (this.#begin(watch, member)) return;
    if (this.#size >= WATCHES_MAX) {
      return target.failed(
        new WhorlError(
          "overload",
          `Cannot watch as ${WATCHES_MAX} watches wait on ${member.node}`,
        ),
      );
    }
    const watches = this.#at(member);
    watches.waiting.add(watch);
    this.#size++;
    this.#wheel.set(watch, body.waitMs);
    watches.listen();
  }

  /**
   * Answers `target` if there is something to report at `member` now, and
   * returns whether there is; the answer may come later.
   */
  tellNow(member: RaKvMember, body: WatchBody, target: RaKvTarget): boolean {
    return this.#begin(this.#watch(member, body, target), member);
  }

  #watch(member: RaKvMember, body: WatchBody, target: RaKvTarget): Watch {
    const seen = body.flags & WatchFlag.fromNow
      ? member.appliedIndex
      : body.index;
    return new Watch(body, seen, target, (over) => {
      this.#remove(member, over);
      this.#answer(over, false, []);
    });
  }

  #begin(watch: Watch, member: RaKvMember): boolean {
    if ((watch.body.flags & WatchFlag.fromNow) === 0) {
      return this.#tell(watch, member);
    }
    // A new watch is told at once from which index on it sees everything.
    this.#answer(watch, false, []);
    return true;
  }

  /** Fails all waiting watches with errors made by `error`: the node is stopping. */
  close(error: () => WhorlError): void {
    for (const { waiting } of this.#members.values()) {
      for (const watch of waiting) watch.target.failed(error());
      waiting.clear();
    }
    this.#members.clear();
    this.#size = 0;
    this.#wheel.close();
  }

  #at(member: RaKvMember): MemberWatches {
    return this.#members.getOrInsertComputed(
      member,
      () =>
        new MemberWatches(member, (watch) => {
          if (this.#tell(watch, member)) this.#remove(member, watch);
        }, (watch, error) => {
          this.#remove(member, watch);
          watch.target.failed(error);
        }, () => this.#members.delete(member)),
    );
  }

  #remove(member: RaKvMember, watch: Watch): void {
    const watches = this.#members.get(member);
    if (!watches?.waiting.delete(watch)) return;
    this.#size--;
    this.#wheel.clear(watch);
  }

  /**
   * Answers the watch if there is something to report, and returns whether
   * there is; the answer may come later.
   */
  #tell(watch: Watch, member: RaKvMember): boolean {
    const { changes } = member.state;
    if (watch.seen < changes.floor) {
      // It continues from the current state, which includes everything that was
      // missed.
      watch.seen = member.appliedIndex;
      this.#answer(watch, true, []);
      return true;
    }
    const found: Seen[] = [];
    let next = member.appliedIndex;
    changes.visitAfter(watch.seen, ({ index, kind, bytes, start, end }) => {
      const last = found[found.length - 1];
      if (found.length >= WATCH_EVENTS_MAX && index > last!.index) {
        // Take all changes of an entry, and none of the next.
        next = last!.index;
        return false;
      }
      if (watch.wants(bytes, start, end)) {
        found.push({ kind, index, key: bytes.slice(start, end) });
      }
      return true;
    });
    // A member that is behind what was seen elsewhere has nothing to report
    // yet.
    if (next > watch.seen) watch.seen = next;
    if (found.length === 0) return false;
    if (watch.body.flags & WatchFlag.keysOnly) {
      this.#answer(
        watch,
        false,
        found.map((seen) => ({ ...seen, value: undefined })),
      );
    } else this.#answerWithValues(watch, member, found);
    return true;
  }

  async #answerWithValues(
    watch: Watch,
    member: RaKvMember,
    found: readonly Seen[],
  ): Promise<void> {
    const events: WatchEvent[] = [];
    let bytes = 0;
    try {
      for (let at = 0; at < found.length;) {
        const end = chunkEnd(found, at);
        const entries = await this.#entries(member, found.slice(at, end));
        for (; at < end; at++) {
          const event = eventOf(found[at] as Seen, entries);
          const size = event?.value?.length ?? 0;
          const before = found[at - 1];
          const index = (found[at] as Seen).index;
          if (
            bytes > 0 && bytes + size > WATCH_BYTES_MAX &&
            before!.index < index
          ) {
            watch.seen = before!.index;
            return this.#answer(watch, false, events);
          }
          bytes += size;
          if (event !== undefined) events.push(event);
        }
      }
    } catch (error) {
      return watch.target.failed(asWhorlError(error));
    }
    this.#answer(watch, false, events);
  }

  #entries(
    { log }: RaKvMember,
    found: readonly Seen[],
  ): ReadonlyMap<number, RaftEntry> | Promise<ReadonlyMap<number, RaftEntry>> {
    const entries = new Map<number, RaftEntry>();
    const indexes = new Set<number>();
    for (const { kind, index } of found) {
      if (kind !== ChangeKind.put) continue;
      const entry = log.entryInMemory(index);
      if (entry !== undefined) entries.set(index, entry);
      else indexes.add(index);
    }
    if (indexes.size === 0) return entries;
    return (async () =>
      new Map([...entries, ...await log.read([...indexes])]))();
  }

  #answer(
    watch: Watch,
    missed: boolean,
    events: readonly WatchEvent[],
  ): void {
    const into = new ByteWriter(256);
    writeWatchAnswer(into, { missed, next: watch.seen, events });
    watch.target.answered(into.copy());
  }
}

/** The end of the next entries to read together. */
function chunkEnd(found: readonly Seen[], from: number): number {
  let entries = 0;
  for (let at = from; at < found.length; at++) {
    if (at > from && found[at]!.index === found[at - 1]!.index) continue;
    if (++entries > READ_ENTRIES_MAX) return at;
  }
  return found.length;
}

/** The event of a change; undefined if its value is no longer stored. */
function eventOf(
  seen: Seen,
  entries: ReadonlyMap<number, RaftEntry>,
): WatchEvent | undefined {
  if (seen.kind !== ChangeKind.put) return { ...seen, value: undefined };
  const entry = entries.get(seen.index);
  const value = entry === undefined ? undefined : valuePutBy(entry, seen.key);
  return value === undefined ? undefined : { ...seen, value };
}
