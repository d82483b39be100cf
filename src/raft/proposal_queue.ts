/**
 * Commands on their way into the log of a group, and who waits for what becomes
 * of them. All that come in one turn of the event loop are proposed together;
 * those of low priority go in small batches behind the others, so that they
 * delay nobody.
 *
 * @module
 */
import type { Runtime } from "../../supervisors/runtime.ts";
import { entryBody, timeOfEntry } from "./entry_body.ts";
import type { ApplyMeta } from "./machine.ts";
import { EntryKind, type RaftEntry } from "./raft_entry.ts";
import type { Proposal, RaftRefusal } from "./raft_events.ts";
import type {
  AppliedCommand,
  ProposeOptions,
  RaftTarget,
} from "./raft_member.ts";

/** Commands that may wait or be under way; one more is refused. */
export const PENDING_MAX = 65_536;
/** Commands of low priority that are proposed at a time. Source: ra. */
export const LOW_PRIORITY_BATCH = 16;

/** Who waits for a command, and for what. */
interface Waiting {
  readonly target: RaftTarget<AppliedCommand>;
  /** When it is told that it is done. */
  readonly when: "appended" | "applied";
}

interface Pending {
  readonly term: number;
  readonly target: RaftTarget<AppliedCommand>;
}

interface Queued {
  readonly proposal: Proposal;
  readonly waiting: Waiting | undefined;
}

/** What it stands on. */
export interface ProposalWorld {
  readonly runtime: Runtime;
  /** Milliseconds since 1970. */
  wallClock(): number;
  /** Hands them to the core. */
  propose(proposals: readonly Proposal[]): void;
}

/** The commands of one member; see the module's text. */
export class ProposalQueue {
  readonly #world: ProposalWorld;
  #proposals: Proposal[] = [];
  #waiting: (Waiting | undefined)[] = [];
  #low: Queued[] = [];
  #due = false;
  /** Who waits for the proposals that the core is looking at, in order. */
  #offered: (Waiting | undefined)[] = [];
  /** Who waits for entries to be applied, by index. */
  readonly #pending = new Map<number, Pending>();

  constructor(world: ProposalWorld) {
    this.#world = world;
  }

  /** Whether one more is too many. */
  get full(): boolean {
    return this.#pending.size + this.#proposals.length + this.#low.length >=
      PENDING_MAX;
  }

  /** Takes a command, which is copied. */
  add(
    command: Uint8Array,
    target: RaftTarget<AppliedCommand> | undefined,
    { priority = "normal", reply = "applied" }: ProposeOptions = {},
  ): void {
    const timeMs = Math.max(0, Math.floor(this.#world.wallClock()));
    const proposal: Proposal = {
      kind: EntryKind.command,
      body: entryBody(EntryKind.command, timeMs, command),
    };
    const waiting = target && { target, when: reply };
    if (priority === "low") this.#low.push({ proposal, waiting });
    else {
      this.#proposals.push(proposal);
      this.#waiting.push(waiting);
    }
    if (this.#due) return;
    this.#due = true;
    this.#world.runtime.defer(this.#proposeAll);
  }

  readonly #proposeAll = (): void => {
    this.#due = false;
    for (
      const { proposal, waiting } of this.#low.splice(0, LOW_PRIORITY_BATCH)
    ) {
      this.#proposals.push(proposal);
      this.#waiting.push(waiting);
    }
    if (this.#low.length > 0) {
      this.#due = true;
      // What comes in meanwhile overtakes them.
      this.#world.runtime.setTimer(0, this.#proposeAll);
    }
    if (this.#proposals.length === 0) return;
    const proposals = this.#proposals;
    this.#proposals = [];
    this.#world.propose(proposals);
  };

  /** The core is about to look at what was proposed last. */
  offer(): void {
    this.#offered = this.#waiting;
    this.#waiting = [];
  }

  /** The core has put them into the log, as `entries`; a leader's own entries come when nothing is offered. */
  appended(entries: readonly RaftEntry[], machineVersion: number): void {
    if (this.#offered.length === 0) return;
    const offered = this.#offered;
    this.#offered = [];
    for (let i = 0; i < entries.length; i++) {
      const waiting = offered[i];
      if (waiting === undefined) continue;
      const { index, term, body } = entries[i] as RaftEntry;
      const { target, when } = waiting;
      if (when === "applied") this.#pending.set(index, { term, target });
      else {
        const timeMs = timeOfEntry(body);
        const meta = { index, term, timeMs, machineVersion };
        target.done({ meta, reply: undefined });
      }
    }
  }

  /** The core does not take them. */
  refused(reason: RaftRefusal, leader: string | undefined): void {
    const offered = this.#offered;
    this.#offered = [];
    for (const waiting of offered) waiting?.target.failed(reason, leader);
  }

  /** The entry that `meta` names has been applied. */
  applied(
    meta: ApplyMeta,
    reply: Uint8Array<ArrayBuffer> | undefined,
    leader: string | undefined,
  ): void {
    if (this.#pending.size === 0) return;
    const pending = this.#pending.get(meta.index);
    if (pending === undefined) return;
    this.#pending.delete(meta.index);
    if (pending.term === meta.term) pending.target.done({ meta, reply });
    else pending.target.failed("leader_lost", leader);
  }

  /** The member leads no more: nobody here will know what becomes of them. */
  lost(leader: string | undefined): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { target } of pending) target.failed("leader_lost", leader);
  }

  /** Takes back all who wait; nothing more is proposed. */
  clear(): RaftTarget<AppliedCommand>[] {
    const waiting = [
      ...this.#offered,
      ...this.#waiting,
      ...this.#low.map((queued) => queued.waiting),
      ...this.#pending.values(),
    ].flatMap((each) => each === undefined ? [] : [each.target]);
    this.#proposals = [];
    this.#waiting = [];
    this.#offered = [];
    this.#low = [];
    this.#pending.clear();
    return waiting;
  }
}
