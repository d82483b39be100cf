/**
 * A Raft group that does what a script says and nothing on its own: time stands
 * still, and after each command all messages that can be delivered are. For
 * scenarios written by people; see `src/raft/testdata/`.
 *
 *     > members a b c          voters; they start with nothing
 *     > log a 1 1 2            or with entries of these terms, as an old member
 *     > elect a                its time is over (`timeout a`, which need not succeed)
 *     > propose a 2            two commands
 *     > read a
 *     > change a add d         also `promotable` or `non_voter` behind it; or `remove d`
 *     > rejoin a c             add the new life of c
 *     > force a                it is the only member from now on
 *     > transfer a b
 *     > cut a b                no messages from a to b
 *     > isolate a              nor any other to or from it
 *     > lose 3                 no entry from index 3 on arrives anywhere, though what else its message says does
 *     > heal                   ends all cuts and losses
 *     > lost a b               a is told that the node of b is lost
 *     > silent a               a is told that its leader's node no longer speaks of the group
 *     > beat a                 the heartbeats of the leader a
 *     > check a                a looks for a majority
 *     > stall a                its disk syncs no more; `resume a` ends it
 *     > crash a                and forgets what was not synced; `start a`
 *     > wipe a                 begins another life with nothing
 *     > snapshot a
 *     > say                    messages are told from here on
 *     > show                   roles, terms and logs: what is not committed in brackets
 *
 * The transcript has the effects of the members, except timers.
 *
 * @module
 */
import { type Chance, seededChance } from "../../base/chance.ts";
import type { Membership, RaftEntry } from "../raft_entry.ts";
import type { RaftMessage } from "../raft_message.ts";
import { entriesOf, uidOf, votersOn } from "./one_member.ts";
import type { MemberWorld } from "./member_world.ts";
import { RaftRules } from "./raft_rules.ts";
import { SimulatedDisk } from "./simulated_disk.ts";
import { SimulatedMember } from "./simulated_member.ts";

/** Deliveries after one command: more would be a conversation without end. */
const STEPS_MAX = 2000;
const UNTOLD =
  /^(set_election_timer|clear_election_timer|tell_commit_soon|persist_vote)\b/;

/** Runs the commands of a transcript, and returns it with what they lead to. */
export function replay(transcript: string): string {
  const group = new ScriptedGroup();
  const lines: string[] = [];
  for (const line of transcript.split("\n")) {
    if (line.startsWith("  ")) continue;
    lines.push(line);
    if (line.startsWith("> ")) lines.push(...group.obey(line.slice(2)));
  }
  return lines.join("\n");
}

class ScriptedGroup implements MemberWorld {
  readonly chance: Chance = seededChance("script");
  readonly rules = new RaftRules();
  readonly #members = new Map<string, SimulatedMember>();
  readonly #disks = new Map<string, SimulatedDisk>();
  readonly #shared = new Map<string, RaftEntry>();
  readonly #cut = new Set<string>();
  readonly #isolated = new Set<string>();
  #initial: Membership = votersOn("");
  #due: (() => void)[] = [];
  #lines: string[] = [];
  #says = false;
  #lostFrom = Infinity;
  #commands = 0;
  #lives = 10;

  obey(command: string): string[] {
    this.#lines = [];
    const [verb = "", ...words] = command.split(" ");
    this.#do(verb, words);
    for (let i = 0; this.#due.length > 0; i++) {
      if (i > STEPS_MAX) throw new Error(`"${command}" has no end`);
      this.#due.shift()?.();
    }
    return this.#lines.map((line) => `  ${line}`);
  }

  #do(verb: string, words: string[]): void {
    const [node = "", other = "", ...rest] = words;
    const member = this.#members.get(node);
    switch (verb) {
      case "members":
        this.#initial = votersOn(words.join(""));
        for (const name of words) {
          this.#renew(name, uidOf(name));
          this.#start(name);
        }
        return;
      case "log":
        this.#fill(node, words.slice(1).map(Number));
        return;
      case "term":
        this.#diskOf(node).term = Number(other);
        this.#restart(node);
        return;
      case "elect":
      case "timeout":
        member?.deliver({ type: "election_timeout" });
        return;
      case "propose":
        member?.propose(Number(other || 1));
        return;
      case "read":
        member?.read();
        return;
      case "change": {
        const [name = "", kind = "voter"] = rest;
        if (other === "add" && !this.#disks.has(name)) {
          this.#renew(name, uidOf(name));
          this.#start(name);
        }
        member?.change(
          other === "remove" ? { type: "remove", node: name } : {
            type: "add",
            node: name,
            uid: this.#diskOf(name).uid,
            kind: kind as "voter",
          },
        );
        return;
      }
      case "rejoin": {
        const { uid } = this.#diskOf(other);
        member?.change({ type: "add", node: other, uid, kind: "voter" });
        return;
      }
      case "force": {
        const { uid } = this.#diskOf(node);
        const alone = { node, uid, kind: "voter", target: 0 } as const;
        member?.deliver({ type: "force_membership", members: [alone] });
        return;
      }
      case "transfer":
        member?.transfer(other);
        return;
      case "cut":
        this.#cut.add(`${node}>${other}`);
        return;
      case "isolate":
        this.#isolated.add(node);
        return;
      case "lose":
        this.#lostFrom = Number(node);
        return;
      case "heal":
        this.#lostFrom = Infinity;
        this.#cut.clear();
        this.#isolated.clear();
        return;
      case "lost":
        member?.deliver({ type: "node_lost", node: other });
        return;
      case "silent":
        member?.deliver({ type: "leader_silent" });
        return;
      case "beat":
        if (member !== undefined) this.#beat(member);
        return;
      case "check":
        member?.deliver({ type: "quorum_check" });
        return;
      case "stall":
        if (member !== undefined) member.stalled = true;
        return;
      case "resume":
        if (member === undefined) return;
        member.stalled = false;
        member.syncSoon();
        return;
      case "crash":
        this.#crash(node);
        return;
      case "start":
        this.#start(node);
        return;
      case "wipe":
        this.#crash(node);
        this.#renew(node, ++this.#lives);
        this.#start(node);
        return;
      case "snapshot":
        member?.takeSnapshot();
        return;
      case "say":
        this.#says = true;
        return;
      case "show":
        this.#show();
        return;
      default:
        throw new Error(`There is no command "${verb}"`);
    }
  }

  // The world of a member.

  electionTimer(): void {}

  sync(done: () => void): void {
    this.#due.push(done);
  }

  commitTimer(fire: () => void): void {
    this.#due.push(fire);
  }

  transferTimer(): void {}

  send(from: string, uid: number, to: string, message: RaftMessage): void {
    const arriving = message.type === "append"
      ? {
        ...message,
        entries: message.entries.filter(({ index }) => index < this.#lostFrom),
      }
      : message;
    this.#carry(from, to, () => {
      this.#members.get(to)?.deliver({
        type: "message",
        from,
        uid,
        message: arriving,
      });
    });
  }

  fetchSnapshot(from: string, to: string, transfer: number): void {
    this.#carry(from, to, () => {
      const sender = this.#members.get(from);
      const { snapshot, hash = 0 } = sender?.outgoing(transfer) ?? {};
      this.#members.get(to)?.snapshotCame(transfer, snapshot, hash);
      sender?.snapshotSent(transfer, snapshot?.index ?? 0, true);
    });
  }

  readEntries(done: () => void): void {
    done();
  }

  messageEntries(): number {
    return 1;
  }

  nextCommand(): number {
    return ++this.#commands;
  }

  trace(line: () => string): void {
    const [, node, what = ""] = /^(\w+) > (.*)$/.exec(line()) ?? [];
    if (node === undefined) return;
    const isMessage = what.startsWith("to ");
    const isTold = isMessage ? this.#says : !UNTOLD.test(what);
    if (isTold) {
      this.#lines.push(isMessage ? `${node} ${what}` : `${node}: ${what}`);
    }
  }

  #carry(from: string, to: string, arrive: () => void): void {
    this.#due.push(() => {
      const isCut = this.#cut.has(`${from}>${to}`) ||
        this.#isolated.has(from) || this.#isolated.has(to);
      if (!isCut) arrive();
    });
  }

  /** What the node of a leader does periodically. */
  #beat({ node, raft }: SimulatedMember): void {
    const { term, commitIndex } = raft;
    for (const member of raft.membership.members) {
      const to = member.node;
      if (to === node) continue;
      this.#carry(node, to, () => {
        const follower = this.#members.get(to);
        follower?.deliver({
          type: "message",
          from: node,
          uid: raft.uid,
          message: { type: "heartbeat", term, commitIndex },
        });
        if (follower?.raft.term !== term) return;
        this.#carry(to, node, () => {
          this.#members.get(node)?.deliver({ type: "heard_from", node: to });
        });
      });
    }
  }

  #diskOf(node: string): SimulatedDisk {
    const disk = this.#disks.get(node);
    if (disk === undefined) throw new Error(`There is no ${node}`);
    return disk;
  }

  #renew(node: string, uid: number): void {
    this.#disks.set(node, new SimulatedDisk(uid, this.#initial));
  }

  #start(node: string): void {
    const member = new SimulatedMember(node, this.#diskOf(node), 0, this);
    this.#members.set(node, member);
  }

  #crash(node: string): void {
    const member = this.#members.get(node);
    if (member === undefined) return;
    member.disk.pending = [];
    member.crash();
    this.#members.delete(node);
  }

  #restart(node: string): void {
    this.#crash(node);
    this.#start(node);
  }

  /** Gives a member entries as if it had them from leaders of these terms. */
  #fill(node: string, terms: readonly number[]): void {
    const disk = this.#diskOf(node);
    let prevTerm = 0;
    const entries = terms.map((term, i) => {
      const place = `${i + 1}/${term}`;
      const [fresh] = entriesOf(i + 1, term) as [RaftEntry];
      const entry = this.#shared.get(place) ?? fresh;
      this.#shared.set(place, entry);
      this.rules.appended(node, entry, prevTerm);
      prevTerm = term;
      return entry;
    });
    if (entries.length > 0) disk.log.put(entries);
    disk.term = Math.max(disk.term, prevTerm);
    this.#restart(node);
  }

  #show(): void {
    for (const [node, disk] of this.#disks) {
      const member = this.#members.get(node);
      if (member === undefined) {
        this.#lines.push(`${node}: down`);
        continue;
      }
      const { raft, log } = member;
      const { role, term, commitIndex } = raft;
      let text = `${node}: ${role} in ${term}, `;
      text += log.start > 0 ? `snapshot ${log.start}/${log.startTerm}, ` : "";
      const termsOf = (entries: readonly RaftEntry[]): string =>
        entries.map((entry) => entry.term).join(" ");
      const committed = Math.max(0, commitIndex - log.start);
      const done = termsOf(log.entries.slice(0, committed));
      const open = termsOf(log.entries.slice(committed));
      text += `log ${
        [done, open && `[${open}]`].filter(Boolean).join(" ") || "of nothing"
      }`;
      if (disk.uid !== uidOf(node)) text += `, life ${disk.uid}`;
      this.#lines.push(text);
    }
  }
}
