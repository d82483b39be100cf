/**
 * Runs simulated Raft groups: messages are lost, duplicated, delayed and
 * reordered, links are cut in one or both directions, members crash and lose
 * what was not synced, disks stall, fail and are lost, members come and go,
 * leaders are asked to transfer leadership.
 *
 * The group's operator does what the code around a real group does: it brings
 * members that lost their log back with another uid.
 *
 * @module
 */
import type { SimulatedDisk } from "./simulated_disk.ts";
import { SimulatedGroup } from "./simulated_group.ts";
import type { SimulatedMember } from "./simulated_member.ts";

/** Virtual time in which an undisturbed group must have recovered. */
const RECOVERY_MS_MAX = 60_000;

/** How a group is run. */
export interface GroupRun {
  readonly seed: number | string;
  /** Time in which it is disturbed, in virtual milliseconds. @default {20_000} */
  readonly troubleMs?: number;
  /** Called with a trace, line by line. */
  readonly trace?: (line: string) => void;
}

/** The result of a run. */
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
  const group = new SimulatedGroup(run.seed, run.trace);
  const trouble = new Trouble(group, run.troubleMs ?? 20_000);
  while (group.events.step(trouble.untilMs));
  trouble.end();
  return resultOf(group);
}

function resultOf(group: SimulatedGroup): GroupResult {
  const { rules, pastReads, snapshotsInstalled } = group;
  let reads = pastReads;
  let terms = 0;
  for (const member of group.members.values()) {
    reads += member.reads;
    terms = Math.max(terms, member.raft.term);
  }
  return {
    acknowledged: rules.acknowledgements,
    reads,
    committed: rules.committed.length,
    membershipChanges: rules.membershipChanges,
    snapshotsInstalled,
    terms,
  };
}

/**
 * How long three members on a quiet network do without a leader when the
 * leader's process ends, which the others notice by their connections: in
 * milliseconds, until another one has committed.
 */
export function measureFailover(seed: number): number {
  const group = new SimulatedGroup(seed, undefined, { size: 3, latencyMs: 2 });
  const { events, network } = group;
  network.calm = true;
  const until = (holds: () => boolean): number => {
    while (!holds()) events.step(events.nowMs + RECOVERY_MS_MAX);
    return events.nowMs;
  };
  const leads = (): boolean => {
    const raft = group.leader()?.raft;
    return raft !== undefined &&
      raft.commitIndex >= (raft.leadership?.noopIndex ?? Infinity);
  };
  until(leads);
  const killedMs = until(() => events.nowMs > 10_000);
  const { node } = group.leader() as SimulatedMember;
  group.members.get(node)?.crash();
  group.members.delete(node);
  // A connection ends behind the last message that went over it.
  events.after(
    2 * network.latencyMs,
    () => group.tellOthers(node, "node_lost"),
  );
  return until(leads) - killedMs;
}

/** One run of a group: clients' work, faults, and what its operator does about lost logs. */
class Trouble {
  /** When it ends, in virtual time. */
  readonly untilMs: number;
  readonly #group: SimulatedGroup;
  /** What happens more often than anything else. */
  readonly #plague: "none" | "changes of members" | "lost leaders";
  /** The node whose log is lost, until it votes again. */
  #wiped: string | undefined;

  constructor(group: SimulatedGroup, forMs: number) {
    this.#group = group;
    this.untilMs = group.events.nowMs + forMs;
    this.#plague = group.chance.pick([
      "none",
      "changes of members",
      "lost leaders",
    ]);
    this.#work();
    this.#disturb();
    this.#watchLostLogs();
  }

  #work(): void {
    const { chance } = this.#group;
    const next = (): void => {
      if (this.#group.events.nowMs >= this.untilMs) return;
      this.#group.events.after(chance.below(80), next);
      const members = [...this.#group.members.values()];
      if (members.length === 0) return;
      const leader = this.#group.leader();
      const member = leader !== undefined && chance.chance(0.7)
        ? leader
        : chance.pick(members);
      if (chance.chance(0.3)) member.read();
      else member.propose(chance.chance(0.02) ? 40 : 1 + chance.below(3));
    };
    next();
  }

  #disturb(): void {
    const { chance } = this.#group;
    const next = (): void => {
      if (this.#group.events.nowMs >= this.untilMs) return;
      this.#group.events.after(
        20 + chance.below(chance.pick([50, 400, 2000])),
        next,
      );
      this.#fault();
    };
    next();
  }

  #fault(): void {
    const { chance } = this.#group;
    const node = chance.pick(this.#group.nodes);
    const member = this.#group.members.get(node);
    if (this.#plague !== "none" && chance.chance(0.5)) {
      if (this.#plague === "lost leaders") this.#loseLeader();
      else this.#changeMembers(node);
      return;
    }
    switch (chance.below(16)) {
      case 0:
      case 1:
        this.#group.crash(
          chance.chance(0.5) ? this.#group.leader()?.node ?? node : node,
        );
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
        this.#group.leader()?.transfer(node);
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
        this.#group.tellOthers(node, "node_lost");
        this.#group.events.after(chance.below(200), () => {
          if (this.#group.members.has(node)) {
            this.#group.tellOthers(node, "node_back");
          }
        });
        return;
      case 15:
        // Never downwards: code of an older version does not run what a newer one wrote.
        this.#group.versions.set(
          node,
          (this.#group.versions.get(node) ?? 0) + 1,
        );
        return;
    }
  }

  /** The leader becomes unreachable, or reachable only by some. */
  #loseLeader(): void {
    const { chance } = this.#group;
    if (chance.chance(0.5)) return this.#heal();
    const node = this.#group.leader()?.node;
    if (node === undefined) return;
    const { network } = this.#group;
    const friend = chance.pick(this.#group.nodes);
    this.#group.trace(() => `cut off ${node} with ${friend}`);
    for (const other of this.#group.nodes) {
      if (other === node || other === friend) continue;
      network.cut(node, other);
      network.cut(other, node);
      const lost = { type: "node_lost", node } as const;
      this.#group.members.get(other)?.deliver(lost);
    }
  }

  #startAnyStopped(): void {
    const stopped = this.#group.nodes.filter((node) =>
      this.#group.disks.has(node) && !this.#group.members.has(node)
    );
    if (stopped.length > 0) this.#group.start(this.#group.chance.pick(stopped));
  }

  #partition(): void {
    const { chance } = this.#group;
    const side = new Set(this.#group.nodes.filter(() => chance.chance(0.4)));
    const way = chance.pick(["both", "both", "in", "out"]);
    const told = chance.chance(0.4);
    const { network } = this.#group;
    this.#group.trace(() => `cut off ${[...side]} ${way}`);
    for (const a of side) {
      for (const b of this.#group.nodes) {
        if (side.has(b)) continue;
        if (way !== "in") network.cut(a, b);
        if (way !== "out") network.cut(b, a);
        if (told) {
          this.#group.members.get(a)?.deliver({ type: "node_lost", node: b });
          this.#group.members.get(b)?.deliver({ type: "node_lost", node: a });
        }
      }
    }
  }

  #heal(): void {
    this.#group.trace(() => "all are connected");
    this.#group.network.heal();
    for (const node of this.#group.members.keys()) {
      this.#group.tellOthers(node, "node_back");
    }
  }

  #stallDisk(member: SimulatedMember): void {
    member.stalled = true;
    this.#group.events.after(this.#group.chance.below(1500), () => {
      member.stalled = false;
      if (member.isUp) member.syncSoon();
    });
  }

  /** This incarnation of the member writes nothing more, and soon ends. */
  #failDisk(member: SimulatedMember): void {
    this.#group.trace(() => `the disk of ${member.node} fails`);
    member.stalled = true;
    member.deliver({ type: "disk_failing" });
    this.#group.events.after(this.#group.chance.below(3000), () => {
      if (this.#group.members.get(member.node) === member) {
        this.#group.crash(member.node);
      }
    });
  }

  #changeMembers(node: string): void {
    // Also one that does not know that it no longer leads.
    const leader = this.#group.chance.shuffle([...this.#group.members.values()])
      .find((member) => member.leads);
    if (leader === undefined || this.#wiped !== undefined) return;
    const { membership, commitIndex } = leader.raft;
    if (membership.index > commitIndex) {
      leader.change({ type: "remove", node });
      return;
    }
    const present = membership.members.find((member) => member.node === node);
    if (present !== undefined) {
      if (this.#group.chance.chance(0.7)) {
        leader.change({ type: "remove", node });
      } else leader.change({ ...present, type: "add" });
      return;
    }
    // Its old incarnation may go on or end, if it was removed for good.
    if (!this.#group.disks.has(node)) this.#group.renew(node, membership);
    else if (this.#group.chance.chance(0.7)) {
      if (this.#isMemberAnywhere(node)) return;
      this.#group.renew(node, membership);
    }
    const { uid } = this.#group.disks.get(node) as SimulatedDisk;
    const kind = this.#group.chance.pick(
      ["voter", "promotable", "non_voter"] as const,
    );
    leader.change({ type: "add", node, uid, kind });
  }

  /** Whether any other member's log has the one on `node` as a member, committed or not. */
  #isMemberAnywhere(node: string): boolean {
    for (const [other, disk] of this.#group.disks) {
      if (other === node) continue;
      const { members } = this.#group.members.get(other)?.raft.membership ??
        disk.membership;
      if (members.some((member) => member.node === node)) return true;
    }
    return false;
  }

  /** Loses the log of a voter, if the others can do without it whatever happens to them. */
  #wipe(node: string): void {
    const leader = this.#group.leader();
    if (leader === undefined || this.#wiped !== undefined) return;
    const { membership, commitIndex } = leader.raft;
    if (membership.index > commitIndex) return;
    const voters = membership.members.filter(({ kind }) => kind === "voter");
    if (voters.length < 3 || !voters.some((m) => m.node === node)) return;
    // Some may still have other members in their logs, of a change that came to nothing.
    const agreed = membership.members.every((m) => {
      const raft = this.#group.members.get(m.node)?.raft;
      return raft?.membership.index === membership.index &&
        raft.commitIndex >= membership.index;
    });
    if (!agreed) return;
    this.#group.trace(() => `${node} loses its log`);
    this.#wiped = node;
    this.#group.renew(node, this.#group.disks.get(node)?.initial ?? membership);
  }

  /** Adds members that lost their logs again. */
  #watchLostLogs(): void {
    this.#group.events.after(300, () => this.#watchLostLogs());
    const node = this.#wiped;
    const leader = this.#group.leader();
    if (node === undefined || leader === undefined) return;
    const { uid } = this.#group.disks.get(node) as SimulatedDisk;
    const { membership, commitIndex } = leader.raft;
    const member = membership.members.find((m) => m.node === node);
    if (member?.uid !== uid) {
      leader.change({ type: "add", node, uid, kind: "voter" });
    } else if (member.kind === "voter" && membership.index <= commitIndex) {
      this.#wiped = undefined;
    }
  }

  /** Ends all faults: the group must recover by itself, and have lost nothing. */
  end(): void {
    this.#group.network.calm = true;
    this.#heal();
    // Completes an upgrade: a member that cannot run the version in the log
    // cannot lead.
    const version = Math.max(0, ...this.#group.versions.values());
    for (const [node, member] of this.#group.members) {
      const { diskFailing, ownMachineVersion } = member.raft;
      if (diskFailing || ownMachineVersion < version) this.#group.crash(node);
    }
    for (const node of this.#group.nodes) {
      this.#group.versions.set(node, version);
    }
    for (const node of this.#group.disks.keys()) {
      if (!this.#group.members.has(node)) this.#group.start(node);
    }
    const untilMs = this.#group.events.nowMs + RECOVERY_MS_MAX;
    const before = this.#group.rules.acknowledgedIndex;
    let asking = this.#group.events.nowMs;
    while (!this.#isRecovered(before)) {
      if (!this.#group.events.step(untilMs)) {
        this.#group.rules.promise(false, "Liveness", describe(this.#group));
      }
      if (this.#group.events.nowMs < asking) continue;
      asking = this.#group.events.nowMs + 500;
      this.#group.leader()?.propose(1);
      this.#group.leader()?.read();
    }
    this.#group.rules.nothingLost();
  }

  #isRecovered(before: number): boolean {
    const leader = this.#group.leader();
    if (leader === undefined || this.#wiped !== undefined) return false;
    const { membership, commitIndex } = leader.raft;
    return this.#group.rules.acknowledgedIndex > before &&
      membership.index <= commitIndex &&
      membership.members.every(({ node, uid, kind }) => {
        const member = this.#group.members.get(node);
        return kind !== "promotable" && member?.disk.uid === uid &&
          member.appliedIndex >= this.#group.rules.acknowledgedIndex;
      });
  }
}

function describe(group: SimulatedGroup): string {
  return [...group.members.values()].map(({ node, raft, appliedIndex }) => {
    const { role, term, leader, commitIndex, lastIndex, membership } = raft;
    const members = membership.members.map((m) =>
      `${m.node}/${m.uid}${m.kind === "voter" ? "" : ` ${m.kind}`}`
    );
    return `\n  ${node}/${raft.uid} ${role} ${term} of ${leader}: ` +
      `${appliedIndex} ${commitIndex} ${lastIndex} [${members}]`;
  }).join("");
}
