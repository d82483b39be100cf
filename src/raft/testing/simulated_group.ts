/**
 * A Raft group on a network and on disks that fail, all from one seed: messages
 * are lost, doubled, late and out of order, links are cut both ways or one way,
 * members crash and forget what was not synced, disks stall, fail and are lost,
 * members come and go, leaders are asked to give way. `RaftRules` watches.
 *
 * The group's operator does what the code around a real group does: it brings
 * members that lost their log back under another number.
 *
 * @module
 */
import { type Chance, seededChance } from "../../base/chance.ts";
import type { Membership, SnapshotMeta } from "../raft_entry.ts";
import { ELECTION_TIMEOUT_MS_MIN } from "../raft_fsm.ts";
import type { RaftMessage } from "../raft_message.ts";
import { EventQueue } from "./event_queue.ts";
import { RaftRules } from "./raft_rules.ts";
import { SimulatedDisk } from "./simulated_disk.ts";
import { type MemberWorld, SimulatedMember } from "./simulated_member.ts";

const HEARTBEAT_MS = 100;
/** A snapshot that is not there by then is given up. */
const TRANSFER_MS_MAX = 3000;
/** Virtual time in which a group that nothing disturbs must have recovered. */
const RECOVERY_MS_MAX = 60_000;

/** How a group is run. */
export interface GroupRun {
  readonly seed: number | string;
  /** Time in which it is disturbed, in virtual milliseconds. @default {20_000} */
  readonly troubleMs?: number;
  /** Told what happens, line by line. */
  readonly trace?: (line: string) => void;
}

/** What came of it. */
export interface GroupResult {
  readonly acknowledged: number;
  readonly reads: number;
  readonly committed: number;
  readonly membershipChanges: number;
  readonly snapshotsInstalled: number;
  readonly terms: number;
}

/** Runs a group from a seed. @throws {BrokenRule} */
export function runGroup(run: GroupRun): GroupResult {
  const group = new SimulatedGroup(run);
  group.trouble(run.troubleMs ?? 20_000);
  group.recover();
  return group.result();
}

/** How long three members on a quiet network do without a leader when the leader's process ends, in milliseconds. */
export function measureFailover(seed: number): number {
  const group = new SimulatedGroup({ seed }, {
    size: 3,
    latencyMs: 2,
  });
  return group.failover();
}

/** What is drawn otherwise. */
interface GroupShape {
  readonly size: number;
  readonly latencyMs: number;
}

class SimulatedGroup implements MemberWorld {
  readonly events = new EventQueue();
  readonly chance: Chance;
  readonly rules = new RaftRules();
  readonly #trace: ((line: string) => void) | undefined;
  readonly #nodes: string[];
  readonly #members = new Map<string, SimulatedMember>();
  readonly #disks = new Map<string, SimulatedDisk>();
  readonly #versions = new Map<string, number>();
  /** Links that carry nothing, `from>to`. */
  readonly #cut = new Set<string>();
  /** What happens more often than anything else. */
  readonly #plague: "none" | "changes of members" | "lost leaders";
  readonly #lossy: number;
  readonly #doubled: number;
  readonly #latencyMs: number;
  readonly #lateness: number;
  #uids = 0;
  #commands = 0;
  /** The node whose log is lost, until it votes again. */
  #wiped: string | undefined;
  #removing: string | undefined;
  #calm = false;
  #reads = 0;
  #installed = 0;

  constructor(run: GroupRun, shape?: GroupShape) {
    this.chance = seededChance(run.seed);
    this.#trace = run.trace;
    const { chance } = this;
    const size = shape?.size ?? chance.pick([1, 2, 3, 3, 3, 4, 5]);
    this.#nodes = ["a", "b", "c", "d", "e"].slice(0, Math.max(3, size));
    this.#plague = chance.pick(["none", "changes of members", "lost leaders"]);
    this.#lossy = chance.pick([0, 0, 0.01, 0.1, 0.3]);
    this.#doubled = chance.pick([0, 0, 0.05]);
    this.#latencyMs = shape?.latencyMs ?? chance.pick([2, 2, 10, 60]);
    this.#lateness = chance.pick([0, 0, 0.02, 0.2]);
    const initial: Membership = {
      index: 0,
      members: this.#nodes.slice(0, size).map((node) => ({
        node,
        uid: ++this.#uids,
        kind: "voter",
        target: 0,
      })),
    };
    for (const { node, uid } of initial.members) {
      this.#disks.set(node, new SimulatedDisk(uid, initial));
      this.#start(node);
    }
    for (const node of this.#nodes) this.#beat(node);
    this.#watchMajorities();
  }

  // The world of a member.

  send(from: string, uid: number, to: string, message: RaftMessage): void {
    this.#carry(from, to, () => {
      this.#members.get(to)?.deliver({ type: "message", from, uid, message });
    });
  }

  fetchSnapshot(from: string, to: string, transfer: number): void {
    this.events.after(this.chance.below(400), () => {
      const sender = this.#members.get(from);
      const receiver = this.#members.get(to);
      if (receiver === undefined) return;
      const outgoing = this.#connected(from, to) && sender?.isUp
        ? sender.outgoing(transfer)
        : undefined;
      const fits = outgoing?.to === to ? outgoing : undefined;
      const meta: SnapshotMeta | undefined = fits?.snapshot;
      if (!receiver.snapshotCame(transfer, meta, fits?.hash ?? 0)) return;
      this.#installed++;
      this.#carry(to, from, () => {
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

  // The network.

  #carry(from: string, to: string, arrive: () => void): void {
    const { chance } = this;
    if (!this.#calm && chance.chance(this.#lossy)) return;
    const copies = !this.#calm && chance.chance(this.#doubled) ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const late = !this.#calm && chance.chance(this.#lateness);
      const afterMs = this.#latencyMs / 2 + chance.below(this.#latencyMs) +
        (late ? chance.below(1500) : 0);
      this.events.after(afterMs, () => {
        if (!this.#cut.has(`${from}>${to}`)) arrive();
      });
    }
  }

  #connected(a: string, b: string): boolean {
    return !this.#cut.has(`${a}>${b}`) && !this.#cut.has(`${b}>${a}`);
  }

  /** What a node does by the clock, for all its groups. */
  #beat(node: string): void {
    let ticks = this.chance.below(10);
    const tick = (): void => {
      this.events.after(HEARTBEAT_MS, tick);
      const member = this.#members.get(node);
      if (member === undefined) return;
      const { raft } = member;
      for (const other of this.#nodes) {
        if (other === node) continue;
        const { term, commitIndex } = raft;
        const leads = member.leads &&
          raft.membership.members.some((m) => m.node === other);
        this.#carry(node, other, () => {
          if (leads) this.#heartbeat(node, other, term, commitIndex);
          else if (this.#members.get(other)?.raft.leader === node) {
            this.#members.get(other)?.deliver({ type: "leader_silent" });
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
    const member = this.#members.get(to);
    if (member === undefined) return;
    member.deliver({
      type: "message",
      from,
      uid: 0,
      message: { type: "heartbeat", term, commitIndex },
    });
    const { uid } = member.disk;
    const own = member.raft.term;
    this.#carry(to, from, () => {
      const leader = this.#members.get(from);
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

  #start(node: string): void {
    const disk = this.#disks.get(node) as SimulatedDisk;
    this.trace(() => `${node} starts in its life ${disk.uid}`);
    const version = this.#versions.get(node) ?? 0;
    this.#members.set(node, new SimulatedMember(node, disk, version, this));
    this.#tellOthers(node, "node_back");
  }

  #crash(node: string): void {
    const member = this.#members.get(node);
    if (member === undefined) return;
    this.trace(() => `${node} crashes`);
    this.#reads += member.reads;
    member.crash();
    this.#members.delete(node);
    // Its connections end, or the whole machine is silent.
    if (this.chance.chance(0.7)) this.#tellOthers(node, "node_lost");
  }

  #tellOthers(node: string, type: "node_lost" | "node_back"): void {
    for (const [other, member] of this.#members) {
      if (other === node) continue;
      this.events.after(this.chance.below(20), () => {
        if (this.#members.get(other) === member) {
          member.deliver({ type, node });
        }
      });
    }
  }

  #leader(): SimulatedMember | undefined {
    let found: SimulatedMember | undefined;
    for (const member of this.#members.values()) {
      if (member.leads && member.raft.term > (found?.raft.term ?? -1)) {
        found = member;
      }
    }
    return found;
  }

  // Trouble.

  /** Lets clients work for so long, and faults happen. */
  trouble(forMs: number): void {
    const untilMs = this.events.nowMs + forMs;
    this.#work(untilMs);
    this.#disturb(untilMs);
    while (this.events.step(untilMs));
  }

  #work(untilMs: number): void {
    const { chance } = this;
    const next = (): void => {
      if (this.events.nowMs >= untilMs) return;
      this.events.after(chance.below(80), next);
      const members = [...this.#members.values()];
      if (members.length === 0) return;
      const leader = this.#leader();
      const member = leader !== undefined && chance.chance(0.7)
        ? leader
        : chance.pick(members);
      if (chance.chance(0.3)) member.read();
      else member.propose(chance.chance(0.02) ? 40 : 1 + chance.below(3));
    };
    next();
  }

  #disturb(untilMs: number): void {
    const { chance } = this;
    const next = (): void => {
      if (this.events.nowMs >= untilMs) return;
      this.events.after(20 + chance.below(chance.pick([50, 400, 2000])), next);
      this.#fault();
    };
    next();
  }

  #fault(): void {
    const { chance } = this;
    const node = chance.pick(this.#nodes);
    const member = this.#members.get(node);
    if (this.#plague !== "none" && chance.chance(0.5)) {
      if (this.#plague === "lost leaders") this.#loseLeader();
      else this.#changeMembers(node);
      return;
    }
    switch (chance.below(16)) {
      case 0:
      case 1:
        this.#crash(chance.chance(0.5) ? this.#leader()?.node ?? node : node);
        return;
      case 2:
      case 3:
      case 4:
        this.#startAnyStopped();
        return;
      case 5:
        this.#partition();
        return;
      case 6:
      case 7:
        this.#heal();
        return;
      case 8:
        member?.takeSnapshot();
        return;
      case 9:
        this.#leader()?.transfer(node);
        return;
      case 10:
        if (member !== undefined) this.#stallDisk(member);
        return;
      case 11:
        if (member !== undefined) this.#failDisk(member);
        return;
      case 12:
        this.#changeMembers(node);
        return;
      case 13:
        this.#wipe(node);
        return;
      case 14:
        // A connection ends and comes back, and nothing else happens.
        this.#tellOthers(node, "node_lost");
        this.events.after(chance.below(200), () => {
          if (this.#members.has(node)) this.#tellOthers(node, "node_back");
        });
        return;
      case 15:
        // Never downwards: code of an older version does not run what a newer one wrote.
        this.#versions.set(node, (this.#versions.get(node) ?? 0) + 1);
        return;
    }
  }

  /** The leader cannot be reached any more, or only by some. */
  #loseLeader(): void {
    const { chance } = this;
    if (chance.chance(0.5)) return this.#heal();
    const node = this.#leader()?.node;
    if (node === undefined) return;
    const friend = chance.pick(this.#nodes);
    this.trace(() => `cut off ${node} with ${friend}`);
    for (const other of this.#nodes) {
      if (other === node || other === friend) continue;
      this.#cut.add(`${node}>${other}`);
      this.#cut.add(`${other}>${node}`);
      const lost = { type: "node_lost", node } as const;
      this.#members.get(other)?.deliver(lost);
    }
  }

  #startAnyStopped(): void {
    const stopped = this.#nodes.filter((node) =>
      this.#disks.has(node) && !this.#members.has(node)
    );
    if (stopped.length > 0) this.#start(this.chance.pick(stopped));
  }

  #partition(): void {
    const { chance } = this;
    const side = new Set(this.#nodes.filter(() => chance.chance(0.4)));
    const way = chance.pick(["both", "both", "in", "out"]);
    const told = chance.chance(0.4);
    this.trace(() => `cut off ${[...side]} ${way}`);
    for (const a of side) {
      for (const b of this.#nodes) {
        if (side.has(b)) continue;
        if (way !== "in") this.#cut.add(`${a}>${b}`);
        if (way !== "out") this.#cut.add(`${b}>${a}`);
        if (told) {
          this.#members.get(a)?.deliver({ type: "node_lost", node: b });
          this.#members.get(b)?.deliver({ type: "node_lost", node: a });
        }
      }
    }
  }

  #heal(): void {
    this.trace(() => "all are connected");
    this.#cut.clear();
    for (const node of this.#members.keys()) {
      this.#tellOthers(node, "node_back");
    }
  }

  #stallDisk(member: SimulatedMember): void {
    member.stalled = true;
    this.events.after(this.chance.below(1500), () => {
      member.stalled = false;
      if (member.isUp) member.syncSoon();
    });
  }

  /** Nothing more is written by this life of the member, which soon ends. */
  #failDisk(member: SimulatedMember): void {
    this.trace(() => `the disk of ${member.node} fails`);
    member.stalled = true;
    member.deliver({ type: "disk_failing" });
    this.events.after(this.chance.below(3000), () => {
      if (this.#members.get(member.node) === member) this.#crash(member.node);
    });
  }

  #changeMembers(node: string): void {
    // Also one that does not know that it leads no more.
    const leader = this.chance.shuffle([...this.#members.values()])
      .find((member) => member.leads);
    if (leader === undefined || this.#wiped !== undefined) return;
    const { membership, commitIndex } = leader.raft;
    if (membership.index > commitIndex) {
      leader.change({ type: "remove", node });
      return;
    }
    const present = membership.members.find((member) => member.node === node);
    if (present !== undefined) {
      if (this.chance.chance(0.7)) leader.change({ type: "remove", node });
      else leader.change({ ...present, type: "add" });
      return;
    }
    // Its old life may go on as well as end, if it was removed for good.
    if (!this.#disks.has(node)) this.#renew(node, membership);
    else if (this.chance.chance(0.7)) {
      if (this.#isMemberAnywhere(node)) return;
      this.#renew(node, membership);
    }
    const { uid } = this.#disks.get(node) as SimulatedDisk;
    const kind = this.chance.pick(
      ["voter", "promotable", "non_voter"] as const,
    );
    leader.change({ type: "add", node, uid, kind });
  }

  /** Whether any other member's log has the one on `node` as a member, committed or not. */
  #isMemberAnywhere(node: string): boolean {
    for (const [other, disk] of this.#disks) {
      if (other === node) continue;
      const { members } = this.#members.get(other)?.raft.membership ??
        disk.membership;
      if (members.some((member) => member.node === node)) return true;
    }
    return false;
  }

  /** The member on `node` begins another life, with nothing. */
  #renew(node: string, initial: Membership): void {
    this.#crash(node);
    this.#disks.set(node, new SimulatedDisk(++this.#uids, initial));
    this.#start(node);
  }

  /** Loses the log of a voter, if the others can do without it whatever happens to them. */
  #wipe(node: string): void {
    const leader = this.#leader();
    if (leader === undefined || this.#wiped !== undefined) return;
    const { membership, commitIndex } = leader.raft;
    if (membership.index > commitIndex) return;
    const voters = membership.members.filter(({ kind }) => kind === "voter");
    if (voters.length < 3 || !voters.some((m) => m.node === node)) return;
    // Some may still have other members in their logs, of a change that came to nothing.
    const agreed = membership.members.every((m) => {
      const raft = this.#members.get(m.node)?.raft;
      return raft?.membership.index === membership.index &&
        raft.commitIndex >= membership.index;
    });
    if (!agreed) return;
    this.trace(() => `${node} loses its log`);
    this.#wiped = node;
    this.#renew(node, this.#disks.get(node)?.initial ?? membership);
  }

  /** Has members that lost their logs taken in again. */
  #watchMajorities(): void {
    this.events.after(300, () => this.#watchMajorities());
    const node = this.#wiped;
    const leader = this.#leader();
    if (node === undefined || leader === undefined) return;
    const { uid } = this.#disks.get(node) as SimulatedDisk;
    const { membership, commitIndex } = leader.raft;
    const member = membership.members.find((m) => m.node === node);
    if (member?.uid !== uid) {
      leader.change({ type: "add", node, uid, kind: "voter" });
    } else if (member.kind === "voter" && membership.index <= commitIndex) {
      this.#wiped = undefined;
    }
  }

  /** Kills the leader, which the other nodes notice by their connections; returns how long it takes until another one has committed. */
  failover(): number {
    this.#calm = true;
    const until = (holds: () => boolean): number => {
      while (!holds()) this.events.step(this.events.nowMs + RECOVERY_MS_MAX);
      return this.events.nowMs;
    };
    const leads = (): boolean => {
      const raft = this.#leader()?.raft;
      return raft !== undefined &&
        raft.commitIndex >= (raft.leadership?.noopIndex ?? Infinity);
    };
    until(leads);
    const killedMs = until(() => this.events.nowMs > 10_000);
    const { node } = this.#leader() as SimulatedMember;
    this.#members.get(node)?.crash();
    this.#members.delete(node);
    // A connection ends behind the last message that went over it.
    this.events.after(
      2 * this.#latencyMs,
      () => this.#tellOthers(node, "node_lost"),
    );
    return until(leads) - killedMs;
  }

  // The end.

  /** Ends all trouble: the group must recover by itself, and have lost nothing. */
  recover(): void {
    this.#calm = true;
    this.#heal();
    // An upgrade is brought to its end: who cannot run what is in the log cannot lead.
    const version = Math.max(0, ...this.#versions.values());
    for (const [node, member] of this.#members) {
      const { diskFailing, ownMachineVersion } = member.raft;
      if (diskFailing || ownMachineVersion < version) this.#crash(node);
    }
    for (const node of this.#nodes) this.#versions.set(node, version);
    for (const node of this.#disks.keys()) {
      if (!this.#members.has(node)) this.#start(node);
    }
    const untilMs = this.events.nowMs + RECOVERY_MS_MAX;
    const before = this.rules.acknowledgedIndex;
    let asking = this.events.nowMs;
    while (!this.#isRecovered(before)) {
      if (!this.events.step(untilMs)) {
        this.rules.promise(false, "Liveness", this.#describe());
      }
      if (this.events.nowMs < asking) continue;
      asking = this.events.nowMs + 500;
      this.#leader()?.propose(1);
      this.#leader()?.read();
    }
    this.rules.nothingLost();
  }

  #isRecovered(before: number): boolean {
    const leader = this.#leader();
    if (leader === undefined || this.#wiped !== undefined) return false;
    const { membership, commitIndex } = leader.raft;
    return this.rules.acknowledgedIndex > before &&
      membership.index <= commitIndex &&
      membership.members.every(({ node, uid, kind }) => {
        const member = this.#members.get(node);
        return kind !== "promotable" && member?.disk.uid === uid &&
          member.appliedIndex >= this.rules.acknowledgedIndex;
      });
  }

  #describe(): string {
    return [...this.#members.values()].map(({ node, raft, appliedIndex }) => {
      const { role, term, leader, commitIndex, lastIndex, membership } = raft;
      const members = membership.members.map((m) =>
        `${m.node}/${m.uid}${m.kind === "voter" ? "" : ` ${m.kind}`}`
      );
      return `\n  ${node}/${raft.uid} ${role} ${term} of ${leader}: ` +
        `${appliedIndex} ${commitIndex} ${lastIndex} [${members}]`;
    }).join("");
  }

  result(): GroupResult {
    let reads = this.#reads;
    let terms = 0;
    for (const member of this.#members.values()) {
      reads += member.reads;
      terms = Math.max(terms, member.raft.term);
    }
    return {
      acknowledged: this.rules.acknowledgements,
      reads,
      committed: this.rules.committed.length,
      membershipChanges: this.rules.membershipChanges,
      snapshotsInstalled: this.#installed,
      terms,
    };
  }
}
