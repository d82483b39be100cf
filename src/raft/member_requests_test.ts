import { assertEquals, assertRejects } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { WhorlError } from "../base/errors.ts";
import { MemberRequests } from "./member_requests.ts";
import type { RaftEvent } from "./raft_events.ts";
import type { RaftTarget } from "./raft_member.ts";

/** The requests of a member, recording calls to the core and outcomes. */
class Bench {
  readonly delivered: RaftEvent["type"][] = [];
  readonly told: string[] = [];
  isLeader = true;
  isOver = false;
  readonly requests: MemberRequests;

  constructor() {
    this.requests = new MemberRequests({
      group: "g",
      node: "n1",
      runtime: new ManualRuntime(),
      wallClock: () => 0,
      isOver: () => this.isOver,
      leads: () => this.isLeader,
      leader: () => this.isLeader ? "n1" : "n2",
      appliedIndex: () => 4,
      deliver: (event) => this.delivered.push(event.type),
    });
  }

  target<T>(name: string): RaftTarget<T> {
    return {
      done: () => this.told.push(`${name} done`),
      failed: (reason, leader) =>
        this.told.push(`${name} ${reason} ${leader ?? "nobody"}`),
    };
  }

  /** One request of each kind; none can be answered yet. */
  askAll(): void {
    const { requests } = this;
    requests.propose(new Uint8Array(1), this.target("command"));
    requests.read(this.target("read"));
    requests.whenApplied(5, this.target("wait"));
    requests.change({ type: "remove", node: "n2" }, this.target("change"));
    requests.transfer("n2", this.target("transfer"));
  }
}

Deno.test("MemberRequests answers each change and transfer once", () => {
  const { requests, told, ...bench } = new Bench();
  const target = (name: string): RaftTarget<never> => ({
    done: () => told.push(`${name} done`),
    failed: (reason, leader) => told.push(`${name} ${reason} ${leader}`),
  });
  requests.change({ type: "remove", node: "n2" }, target("change"));
  requests.transfer("n2", target("transfer"));
  requests.change({ type: "remove", node: "n3" }, target("second"));
  assertEquals(bench.delivered, [
    "change_membership",
    "transfer_leadership",
    "change_membership",
  ]);
  requests.begun(1, { index: 7, term: 2 });
  requests.begun(1, { index: 7, term: 2 });
  requests.transferEnded(2, true);
  requests.transferEnded(2, false);
  requests.refused(3, "transferring");
  requests.refused(3, "transferring");
  requests.close();
  assertEquals(told, [
    "change done",
    "transfer done",
    "second transferring n1",
  ]);
});

Deno.test("MemberRequests fails all waiting requests when the group ends, and refuses new ones", () => {
  const bench = new Bench();
  bench.askAll();
  assertEquals(bench.told, []);
  bench.isOver = true;
  bench.requests.over();
  const reasons = ["command", "wait", "read", "change", "transfer"]
    .map((name) => `${name} deleted nobody`);
  assertEquals(bench.told.toSorted(), reasons.toSorted());
  bench.told.length = 0;
  bench.requests.propose(new Uint8Array(1), bench.target("late"));
  bench.requests.read(bench.target("late"));
  assertEquals(bench.told, ["late deleted nobody", "late deleted nobody"]);
});

Deno.test("MemberRequests leaves no doubt about a command that arrives after the close", async () => {
  const bench = new Bench();
  const leading = bench.requests.leading();
  await leading;
  bench.isLeader = false;
  const waiting = bench.requests.leading();
  bench.requests.close();
  await assertRejects(() => waiting, WhorlError, "is stopping");
  bench.askAll();
  assertEquals(bench.told, [
    // It was certainly not carried out; "closed" would leave that open.
    "command not_leader nobody",
    "read closed nobody",
    "wait closed nobody",
    "change closed nobody",
    "transfer closed nobody",
  ]);
});

Deno.test("MemberRequests resolves waits for leadership when the member is elected", async () => {
  const bench = new Bench();
  bench.isLeader = false;
  const waiting = bench.requests.leading();
  bench.isLeader = true;
  bench.requests.elected();
  await waiting;
});
