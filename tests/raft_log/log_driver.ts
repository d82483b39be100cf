/**
 * Uses the log of one group as Raft would, at random, and remembers what may be
 * there after a crash: what was put in so far, in order, and how much of that
 * was acknowledged.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { Chance } from "../../src/base/chance.ts";
import { isWhorlError, type WhorlError } from "../../src/base/errors.ts";
import type {
  Membership,
  RaftEntry,
  SnapshotMeta,
} from "../../src/raft/raft_entry.ts";
import type {
  GroupConfig,
  GroupLog,
  GroupLogEvents,
  RaftLogs,
} from "../../src/raft/log/raft_log.ts";

import { CHECKPOINTS_MAX } from "../../src/raft/log/group_checkpoints.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The members of all test groups. */
export const testMembership: Membership = {
  index: 0,
  members: [{ node: "a@h", uid: 7, kind: "voter", target: 0 }],
};

/** What a group of that number is made with. */
export function testConfig(uid: number): GroupConfig {
  return {
    uid,
    groupId: uid,
    name: `group ${uid}`,
    machine: "test",
    initial: testMembership,
  };
}

/** A command whose data are `text`. */
export function testEntry(
  index: number,
  term: number,
  text: string,
): RaftEntry {
  return { index, term, body: encoder.encode(`\x02000000${text}`) };
}

/** What an entry says. */
export function textOf({ term, body }: RaftEntry): string {
  return `${term}:${decoder.decode(body.subarray(7))}`;
}

/** The log after so many operations. */
interface LogState {
  /** What each entry says, from index 1 on. */
  readonly log: readonly string[];
  readonly term: number;
  readonly votedFor: string | undefined;
}

interface TakenSnapshot {
  readonly meta: SnapshotMeta;
  readonly live: readonly number[];
  readonly state: string;
}

function termOf(text: string | undefined): number {
  return text === undefined ? 0 : Number(text.split(":", 1)[0]);
}

/** One group. */
export class LogDriver implements GroupLogEvents {
  readonly uid: number;
  #chance: Chance;
  #log: GroupLog | undefined;
  /** After each operation that was begun. */
  #history: LogState[] = [{ log: [], term: 0, votedFor: undefined }];
  /** Place in there of the last one that was acknowledged. */
  #acknowledged = 0;
  #commitIndex = 0;
  /** Those that were begun, by their index. */
  #snapshots: (TakenSnapshot | undefined)[] = [undefined];
  #snapshotAcknowledged = 0;
  /** All states that were begun to be stored, as snapshots and as checkpoints. */
  #states: TakenSnapshot[] = [];
  /** The latest checkpoint that was acknowledged. */
  #pointAcknowledged: TakenSnapshot | undefined;
  /** The latest state that was drawn: a machine only goes on. */
  #drawn: TakenSnapshot | undefined;
  #live = new Set<number>();
  #busy = false;
  /** Then there is no leader that would append anything. */
  #receiving = false;
  #texts = 0;
  failed: WhorlError | undefined;

  constructor(uid: number, chance: Chance) {
    this.uid = uid;
    this.#chance = chance;
  }

  get #state(): LogState {
    return this.#history.at(-1) as LogState;
  }

  get #snapshotIndex(): number {
    return this.#snapshots.at(-1)?.meta.index ?? 0;
  }

  onWritten(index: number, term: number): void {
    for (let at = this.#history.length - 1; at > this.#acknowledged; at--) {
      const { log } = this.#history[at] as LogState;
      // Votes after it have the same log, and may not be durable yet.
      if (
        log.length === index && termOf(log.at(-1)) === term &&
        log !== this.#history[at - 1]?.log
      ) {
        this.#acknowledged = at;
        break;
      }
    }
    this.#commit();
  }

  /** Raft lets the others know of what is durable here, and some of it is agreed upon. */
  #commit(): void {
    const { log } = this.#history[this.#acknowledged] as LogState;
    const known = Math.min(log.length, this.#state.log.length);
    let agreed = 0;
    while (agreed < known && log[agreed] === this.#state.log[agreed]) agreed++;
    if (agreed > this.#commitIndex && this.#chance.chance(0.8)) {
      this.#commitIndex += 1 + this.#chance.below(agreed - this.#commitIndex);
      this.#log?.noteApplied(this.#commitIndex);
    }
  }

  onRotten(error: WhorlError): void {
    throw error;
  }

  onFailed(error: WhorlError): void {
    assert(this.failed === undefined, "it is told once");
    this.failed = error;
  }

  #text(): string {
    const size = this.#chance.chance(0.1) ? 200 : this.#chance.below(20);
    return `g${this.uid}n${++this.#texts}${"x".repeat(size)}`;
  }

  /** Does something, as `chance` will have it. What takes long goes on behind. */
  act(chance: Chance = this.#chance): void {
    this.#chance = chance;
    const log = this.#log;
    if (log === undefined || this.failed !== undefined) return;
    if (this.#receiving) return;
    const drawn = this.#chance.next();
    if (drawn < 0.6) this.#append(log);
    else if (drawn < 0.75) this.#vote(log);
    else if (this.#busy) return;
    else if (drawn < 0.82) this.#snapshot(log);
    else if (drawn < 0.88) this.#checkpoint(log);
    else if (drawn < 0.91) this.#promote(log);
    else if (drawn < 0.95) this.#receive(log);
    else this.#long(log.compact());
  }

  #append(log: GroupLog): void {
    const { log: before, votedFor } = this.#state;
    let { term } = this.#state;
    // Never over what is agreed upon; another leader's entries are of a later term.
    const free = before.length -
      Math.max(this.#commitIndex, this.#snapshotIndex);
    const cut = free > 0 && this.#chance.chance(0.25)
      ? 1 + this.#chance.below(free)
      : 0;
    const kept = before.slice(0, before.length - cut);
    let isLater = cut > 0;
    if (term === 0 || this.#chance.chance(0.1)) isLater = true;
    const entryTerm = isLater ? term + 1 : Math.max(1, termOf(before.at(-1)));
    const after = [...kept];
    const entries: RaftEntry[] = [];
    const count = 1 + this.#chance.below(4);
    for (let i = 0; i < count; i++) {
      const text = this.#text();
      entries.push(testEntry(after.length + 1, entryTerm, text));
      after.push(`${entryTerm}:${text}`);
    }
    if (entryTerm > term) {
      term = entryTerm;
      const place =
        this.#history.push({ log: before, term, votedFor: undefined }) -
        1;
      log.saveVote(term, undefined, () => this.#acknowledge(place));
    }
    const vote = term === this.#state.term ? this.#state.votedFor : votedFor;
    this.#history.push({ log: after, term, votedFor: vote });
    log.append(entries);
    assertEquals(log.lastIndex, after.length);
  }

  #acknowledge(place: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, place);
  }

  #vote(log: GroupLog): void {
    const term = this.#state.term + 1;
    const votedFor = this.#chance.chance(0.5) ? `n${term}@h` : undefined;
    const place = this.#history.push({ ...this.#state, term, votedFor }) - 1;
    log.saveVote(term, votedFor, () => this.#acknowledge(place));
  }

  /** @param refused Called if it fails, and the log goes on as it was. */
  #long(
    promise: Promise<void>,
    then: () => void = () => {},
    refused: () => void = () => {},
  ): void {
    this.#busy = true;
    promise.then(then, (error) => {
      if (!isWhorlError(error)) throw error;
      if (this.failed === undefined) refused();
    }).finally(() => this.#busy = this.#receiving = false);
  }

  /** Some of what was live, and of what was added since. */
  #drawLive(index: number): number[] {
    const live = (this.#drawn?.live ?? []).filter(() =>
      this.#chance.chance(0.7)
    );
    for (let place = this.#drawnIndex + 1; place <= index; place++) {
      if (this.#chance.chance(0.4)) live.push(place);
    }
    return live;
  }

  get #drawnIndex(): number {
    return this.#drawn?.meta.index ?? 0;
  }

  /** A state of the machine at `index` of a log, which is about to be stored. */
  #drawState(index: number, log: readonly string[]): TakenSnapshot {
    const state: TakenSnapshot = {
      meta: this.#meta(index, log),
      live: this.#drawLive(index),
      state: this.#stateText(index),
    };
    this.#drawn = state;
    this.#states.push(state);
    return state;
  }

  /** How far the machine is, if it has gone on since its last state. */
  #drawIndex(): number | undefined {
    const from = this.#drawnIndex;
    // The others may have agreed on what is not durable here yet.
    if (this.#chance.chance(0.3)) this.#commitIndex = this.#state.log.length;
    if (this.#commitIndex <= from) return undefined;
    return from + 1 + this.#chance.below(this.#commitIndex - from);
  }

  #meta(index: number, log: readonly string[]): SnapshotMeta {
    return {
      index,
      term: termOf(log[index - 1]),
      membership: { ...testMembership, index },
      machineVersion: 1,
    };
  }

  #snapshot(log: GroupLog): void {
    const index = this.#drawIndex();
    if (index === undefined) return;
    const taken = this.#drawState(index, this.#state.log);
    this.#snapshots.push(taken);
    this.#long(
      log.takeSnapshot(taken.meta, pieces(taken.state), taken.live),
      () => this.#took(taken),
      () => void this.#snapshots.pop(),
    );
  }

  #checkpoint(log: GroupLog): void {
    const index = this.#drawIndex();
    if (index === undefined) return;
    const taken = this.#drawState(index, this.#state.log);
    this.#long(
      log.takeCheckpoint(taken.meta, pieces(taken.state), taken.live),
      () => this.#pointAcknowledged = taken,
    );
  }

  #promote(log: GroupLog): void {
    const index = this.#snapshotIndex + this.#chance.below(20);
    const point = log.checkpoints.findLast((meta) => meta.index <= index);
    // Which of those that were drawn at its index, before a crash and after, is seen when it is read.
    const taken = point &&
      this.#states.findLast(({ meta }) =>
        meta.index === point.index && meta.term === point.term
      );
    if (taken !== undefined) this.#snapshots.push(taken);
    this.#long(
      log.promoteCheckpoint(index).then((promoted) => {
        assertEquals(promoted, taken?.meta);
        if (taken !== undefined) this.#took(taken);
      }),
      () => {},
      () => {
        if (taken !== undefined) this.#snapshots.pop();
      },
    );
  }

  #stateText(index: number): string {
    return `state of ${this.uid} at ${index} `.repeat(this.#chance.below(9));
  }

  #took({ meta: { index }, live }: TakenSnapshot): void {
    this.#snapshotAcknowledged = index;
    this.#live = new Set(live);
  }

  /** A leader sends its snapshot: of what is here already, or of a log that went on from what is agreed upon. */
  #receive(log: GroupLog): void {
    const from = Math.max(this.#snapshotIndex, this.#drawnIndex);
    const { term, votedFor, log: before } = this.#state;
    if (this.#history.length - 1 > this.#acknowledged) return;
    const agrees = this.#chance.chance(0.3) && this.#commitIndex > from;
    const after = before.slice(0, this.#commitIndex);
    const entries: RaftEntry[] = [];
    // No two leaders have the same term.
    if (!agrees && term <= termOf(before.at(-1))) return;
    if (!agrees) {
      const count = 1 + this.#chance.below(12);
      for (let i = 0; i < count; i++) {
        const text = this.#text();
        entries.push(testEntry(after.length + 1, term, text));
        after.push(`${term}:${text}`);
      }
    }
    const index = after.length;
    if (index <= from || term === 0) return;
    const taken = this.#drawState(index, after);
    this.#snapshots.push(taken);
    const place = agrees
      ? this.#acknowledged
      : this.#history.push({ log: after, term, votedFor }) - 1;
    const isLive = new Set(taken.live);
    this.#receiving = true;
    const isAborted = this.#chance.chance(0.15);
    if (isAborted) {
      this.#snapshots.pop();
      if (!agrees) this.#history.pop();
    }
    this.#long(
      (async () => {
        const receiver = await log.receiveSnapshot(taken.meta);
        const sent = entries.filter((entry) => isLive.has(entry.index));
        for (let at = 0; at < sent.length; at += 3) {
          await receiver.writeLive(sent.slice(at, at + 3));
        }
        for (const piece of pieces(taken.state)) {
          await receiver.writeState(piece);
        }
        if (isAborted) {
          await receiver.abort();
          return;
        }
        await receiver.finish(taken.live);
        this.#took(taken);
        this.#acknowledge(place);
        this.#commitIndex = Math.max(this.#commitIndex, index);
      })(),
      () => {},
      () => {
        if (isAborted) return;
        this.#snapshots.pop();
        if (!agrees) this.#history.pop();
      },
    );
  }

  /** Whether nothing is under way that takes several turns. */
  get isIdle(): boolean {
    return !this.#busy;
  }

  /** Opens the group, and checks that what is there can be there. */
  async open(logs: RaftLogs): Promise<void> {
    this.failed = undefined;
    this.#busy = this.#receiving = false;
    this.#log = undefined;
    const log = await logs.open(this.uid, this);
    const { recovered } = log;
    assert(!recovered.damaged, "nothing is lost");
    const index = recovered.snapshot?.index ?? 0;
    const at = this.#snapshots.findLastIndex((taken) =>
      (taken?.meta.index ?? 0) === index
    );
    assert(at >= 0, `no snapshot was taken at ${index}`);
    assert(
      index >= this.#snapshotAcknowledged,
      "an acknowledged snapshot is there",
    );
    const taken = this.#snapshots[at];
    assertEquals(recovered.snapshot, taken?.meta);
    const found = await contentOf(log, index);
    const place = this.#history.findLastIndex((state, place) =>
      place >= this.#acknowledged && state.term === recovered.term &&
      state.votedFor === recovered.votedFor &&
      state.log.length === recovered.lastIndex &&
      state.log.slice(index).every((text, i) => text === found[i])
    );
    assert(
      place >= 0,
      `what is there was never put in, or an acknowledged part is missing:\n${
        brief({ ...recovered, log: [...Array(index), ...found] })
      }\nacknowledged ${this.#acknowledged} of\n${
        this.#history.map((state, i) => `${i} ${brief(state)}`)
          .slice(Math.max(0, this.#acknowledged - 1)).join("\n")
      }`,
    );
    const state = this.#history[place] as LogState;
    this.#history = [state];
    this.#acknowledged = 0;
    this.#commitIndex = Math.max(
      index,
      Math.min(this.#commitIndex, state.log.length),
    );
    assert(recovered.appliedIndex <= this.#commitIndex);
    this.#snapshots = [taken];
    this.#snapshotAcknowledged = index;
    this.#live = new Set(taken?.live);
    this.#log = log;
    await this.#openPoints(log, taken);
    await this.check();
  }

  /** What is there of checkpoints was begun, and the one that was acknowledged last is there. */
  async #openPoints(
    log: GroupLog,
    snapshot: TakenSnapshot | undefined,
  ): Promise<void> {
    // Those that are not whole, as they were not acknowledged, are gone after that.
    const latest = await this.#checkPoints(log);
    const acknowledged = this.#pointAcknowledged?.meta;
    if ((acknowledged?.index ?? 0) > (snapshot?.meta.index ?? 0)) {
      assert(
        log.checkpoints.some(({ index }) => index === acknowledged?.index) ||
          log.checkpoints.length === CHECKPOINTS_MAX,
        `the checkpoint at ${acknowledged?.index} is there`,
      );
    }
    const metas = log.checkpoints;
    this.#states = this.#states.filter(({ meta }) =>
      metas.some(({ index }) => index === meta.index)
    );
    this.#drawn = latest ?? snapshot;
    this.#commitIndex = Math.max(this.#commitIndex, this.#drawnIndex);
  }

  /** Checks the checkpoints; the latest of them as it was taken. */
  async #checkPoints(log: GroupLog): Promise<TakenSnapshot | undefined> {
    const found = await log.readCheckpoint();
    const { checkpoints } = log;
    assert(checkpoints.length <= CHECKPOINTS_MAX);
    let before = log.snapshot?.index ?? 0;
    for (const { index, term } of checkpoints) {
      assert(index > before && index <= log.lastIndex);
      assertEquals(log.termAt(index), term);
      before = index;
    }
    assertEquals(found?.meta, checkpoints.at(-1));
    if (found === undefined) return undefined;
    const state = found.state.map((piece) => decoder.decode(piece)).join("");
    const taken = this.#states.findLast((taken) =>
      taken.state === state && taken.meta.index === found.meta.index
    );
    assertEquals(taken?.meta, found.meta);
    return taken;
  }

  /** Checks all that can be read, while nothing is under way. */
  async check(): Promise<void> {
    const log = this.#log;
    if (log === undefined || this.failed !== undefined) return;
    const taken = this.#snapshots.at(-1);
    const index = taken?.meta.index ?? 0;
    assertEquals(log.snapshot, taken?.meta);
    const { log: texts } = this.#state;
    assertEquals(log.lastIndex, texts.length);
    assertEquals(log.lastTerm, termOf(texts.at(-1)));
    assertEquals(await contentOf(log, index), texts.slice(index));
    for (let place = index + 1; place <= texts.length; place++) {
      assertEquals(log.termAt(place), termOf(texts[place - 1]));
    }
    const all = await log.read(texts.map((_, i) => i + 1));
    const readable = texts.map((_, i) => i + 1).filter((place) =>
      place > index || this.#live.has(place)
    );
    assertEquals([...all.keys()].sort((a, b) => a - b), readable);
    for (const [place, entry] of all) {
      assertEquals(entry.index, place);
      assertEquals(textOf(entry), texts[place - 1]);
    }
    const dead = texts.findIndex((_, i) => i < index && !this.#live.has(i + 1));
    if (dead >= 0) {
      let code: unknown;
      try {
        await log.entries(dead + 1, dead + 1, 1);
      } catch (error) {
        code = (error as WhorlError).code;
      }
      assertEquals(code, "compacted");
    }
    await this.#checkPoints(log);
    const stored = await log.readSnapshot();
    assertEquals(stored?.meta, taken?.meta);
    if (stored === undefined || taken === undefined) return;
    assertEquals([...stored.live], [...this.#live].sort((a, b) => a - b));
    let state = "";
    for await (const piece of stored.state) state += decoder.decode(piece);
    assertEquals(state, taken.state);
  }
}

/** A state in a line: its end, without what fills the entries up. */
function brief({ log, term, votedFor }: LogState): string {
  const end = log.slice(-12).map((text) => text?.replace(/x+$/, ""));
  return `${log.length} entries, term ${term} ${votedFor}: … ${end.join(" ")}`;
}

/** What the entries behind `index` say. */
async function contentOf(log: GroupLog, index: number): Promise<string[]> {
  const texts: string[] = [];
  while (index + texts.length < log.lastIndex) {
    const first = index + texts.length + 1;
    const entries = await log.entries(first, log.lastIndex, 300);
    assertEquals(entries[0]?.index, first);
    texts.push(...entries.map(textOf));
  }
  return texts;
}

function pieces(text: string): Uint8Array<ArrayBuffer>[] {
  const found: Uint8Array<ArrayBuffer>[] = [];
  for (let at = 0; at < text.length; at += 50) {
    found.push(encoder.encode(text.slice(at, at + 50)));
  }
  return found;
}
