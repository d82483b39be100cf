/**
 * A Raft group on nodes with disks and a network that fail, all from one seed.
 * `group_run.ts` injects faults; `RaftRules` checks.
 *
 * @module
 */
import { type Chance, seededChance } from "../../base/chance.ts";
import type { Membership, SnapshotMeta } from "../raft_entry.ts";
import { ELECTION_TIMEOUT_MS_MIN } from "../raft_fsm.ts";
import type { RaftMessage } from "../raft_message.ts";
import { EventQueue } from "./event_queue.ts";
import type { MemberWorld } from "./member_world.ts";
import { RaftRules } from "./raft_rules.ts";
import { SimulatedDisk } from "./simulated_disk.ts";
import { SimulatedMember } from "./simulated_member.ts";
import { SimulatedNetwork } from "./simulated_network.ts";

const HEARTBEAT_MS = 100;
/** Timeout of a snapshot transfer. */
const TRANSFER_MS_MAX = 3000;
/** Longest delay until the others are told of a commit. */
const TELL_COMMIT_MS_MAX = 20;

/** Overrides of what is drawn at random. */
export interface GroupShape {
  readonly size: number;
  readonly latencyMs: number;
}

/** See the module comment. */
export class SimulatedGroup implements MemberWorld {
  readonly events = new EventQueue();
  readonly chance: Chance;
  readonly rules = new RaftRules();
  readonly network: SimulatedNetwork;
  readonly nodes: readonly string[];
  /** Those that are up. */
  readonly members = new Map<string, SimulatedMember>();
  readonly disks = new Map<string, SimulatedDisk>();
  /** The version of the machine that each node can run. */
  readonly versions = new Map<string, number>();
  /** Reads that members which are gone have answered. */
  pastReads = 0;
  snapshotsInstalled = 0;
  readonly #trace: ((line: string) => void) | undefined;
  #uids = 0;
  #commands = 0;

  constructor(
    seed: number | string,
    trace: ((line: string) => void) | undefined,
    shape?: GroupShape,
  ) {
    this.chance = seededChance(seed);
    this.#trace = trace;
    const { chance } = this;
    const size = shape?.size ?? chance.pick([1, 2, 3, 3, 3, 4, 5]);
    this.nodes = ["a", "b", "c", "d", "e"].slice(0, Math.max(3, size));
    this.network = new SimulatedNetwork(this.events, chance, shape?.latencyMs);
    const initial: Membership = {
      index: 0,
      members: this.nodes.slice(0, size).map((node) => ({
        node,
        uid: ++this.#uids,
        kind: "voter",
        target: 0,
      })),
    };
    for (const { node, uid } of initial.members) {
      this.disks.set(node, new SimulatedDisk(uid, initial));
      this.start(node);
    }
    for (const node of this.nodes) this.#beat(node);
  }

  // The world of a member.

  send(from: string, uid: number, to: string, message: RaftMessage): void {
    this.network.carry(from, to, () => {
      this.members.get(to)?.deliver({ type: "message", from, uid, message });
    });
  }

  fetchSnapshot(from: string, to: string, transfer: number): void {
    this.events.after(this.chance.below(400), () => {
      const sender = this.members.get(from);
      const receiver = this.members.get(to);
      if (receiver === undefined) return;
      const outgoing = this.network.connects(from, to) && sender?.isUp
        ? sender.outgoing(transfer)
        : undefined;
      const fits = outgoing?.to === to ? outgoing : undefined;
      const meta: SnapshotMeta | undefined = fits?.snapshot;
      if (!receiver.snapshotCame(transfer, meta, fits?.hash ?? 0)) return;
      this.snapshotsInstalled++;
      this.network.carry(to, from, () => {
        sender?.snapshotSent(transfer, meta?.index ?? 0, true);
      });
    });
  }

  trace(line: () => string): void {
    this.#trace?.(`${String(this.events.nowMs).padStart(6)} ${line()}`);
  }

  electionTimer(afterMs: number, fire: () => void): void {
    this.events.after(afterMs, fire);
  }

  sync(done: () => void): void {
    const { chance } = this;
    const slow = chance.chance(0.02);
    this.events.after(chance.below(slow ? 300 : 6), done);
  }

  commitTimer(fire: () => void): void {
    this.events.after(this.chance.below(TELL_COMMIT_MS_MAX), fire);
  }

  transferTimer(done: () => void): void {
    this.events.after(TRANSFER_MS_MAX, done);
  }

  readEntries(done: () => void): void {
    if (this.chance.chance(0.95)) done();
    else this.events.after(this.chance.below(50), done);
  }

  messageEntries(): number {
    return this.chance.chance(0.9) ? 1000 : 1 + this.chance.below(4);
  }

  nextCommand(): number {
    return ++this.#commands;
  }

  /** What a node does periodically, for all its groups. */
  #beat(node: string): void {
    let ticks = this.chance.below(10);
    const tick = (): void => {
      this.events.after(HEARTBEAT_MS, tick);
      const member = this.members.get(node);
      if (member === undefined) return;
      const { raft } = member;
      for (const other of this.nodes) {
        if (other === node) continue;
        const { term, commitIndex } = raft;
        const leads = member.leads &&
          raft.membership.members.some((m) => m.node === other);
        this.network.carry(node, other, () => {
          if (leads) this.#heartbeat(node, other, term, commitIndex);
          else if (this.members.get(other)?.raft.leader === node) {
            this.members.get(other)?.deliver({ type: "leader_silent" });
          }
        });
      }
      if (++ticks % (ELECTION_TIMEOUT_MS_MIN / HEARTBEAT_MS) === 0) {
        member.deliver({ type: "quorum_check" });
      }
    };
    tick();
  }

  #heartbeat(
    from: string,
    to: string,
    term: number,
    commitIndex: number,
  ): void {
    const member = this.members.get(to);
    if (member === undefined) return;
    member.deliver({
      type: "message",
      from,
      uid: 0,
      message: { type: "heartbeat", term, commitIndex },
    });
    const { uid } = member.disk;
    const own = member.raft.term;
    this.network.carry(to, from, () => {
      const leader = this.members.get(from);
      if (own === term && leader?.raft.term === term) {
        leader.deliver({ type: "heard_from", node: to });
      } else if (own !== term) {
        leader?.deliver({
          type: "message",
          from: to,
          uid,
          message: { type: "heartbeat_reply", term: own },
        });
      }
    });
  }

  // Its members.

  /** Starts the member on `node` from its disk. */
  start(node: string): void {
    const disk = this.disks.get(node) as SimulatedDisk;
    this.trace(() => `${node} starts in its life ${disk.uid}`);
    const version = this.versions.get(node) ?? 0;
    this.members.set(node, new SimulatedMember(node, disk, version, this));
    this.tellOthers(node, "node_back");
  }

  /** Ends the member on `node`, if it is up. */
  crash(node: string): void {
    const member = this.members.get(node);
    if (member === undefined) return;
    this.trace(() => `${node} crashes`);
    this.pastReads += member.reads;
    member.crash();
    this.members.delete(node);
    // Its connections end, or the whole machine is silent.
    if (this.chance.chance(0.7)) this.tellOthers(node, "node_lost");
  }

  /** Tells the others that a connection has ended or is back. */
  tellOthers(node: string, type: "node_lost" | "node_back"): void {
    for (const [other, member] of this.members) {
      if (other === node) continue;
      this.events.after(this.chance.below(20), () => {
        if (this.members.get(other) === member) {
          member.deliver({ type, node });
        }
      });
    }
  }

  /** The leader of the highest term. */
  leader(): SimulatedMember | undefined {
    let found: SimulatedMember | undefined;
    for (const member of this.members.values()) {
      if (member.leads && member.raft.term > (found?.raft.term ?? -1)) {
        found = member;
      }
    }
    return found;
  }

  /** Starts another, empty incarnation of the member on `node`. */
  renew(node: string, initial: Membership): void {
    this.crash(node);
    this.disks.set(node, new SimulatedDisk(++this.#uids, initial));
    this.start(node);
  }
}
