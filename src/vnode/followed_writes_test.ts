import { assertEquals } from "@std/assert";
import { FollowedWrites } from "./followed_writes.ts";

class Bench {
  readonly told: string[] = [];
  readonly writes = new FollowedWrites();

  /** Begins a write; call what is returned when it is durable, or has failed. */
  write(name: string): (failed?: boolean) => void {
    const tell = this.writes.noted([name]);
    const committed = (): void => void this.told.push(name);
    return (failed = false) =>
      tell === undefined ? committed() : tell(committed, failed);
  }

  /** All that was written is said with batch `number`. */
  say(number: number): void {
    this.writes.roundBegins();
    this.writes.roundSaid(number);
  }
}

Deno.test("FollowedWrites reports a write once it is durable and the target has the batch with its key, in either order", () => {
  const bench = new Bench();
  bench.write("before")();
  assertEquals(bench.told, ["before"]);
  bench.writes.hold();
  const first = bench.write("first");
  const second = bench.write("second");
  bench.writes.roundBegins();
  const third = bench.write("third");
  first();
  bench.writes.acknowledged(6);
  bench.writes.roundSaid(7);
  bench.writes.acknowledged(7);
  assertEquals(bench.told, ["before", "first"]);
  second();
  assertEquals(bench.told, ["before", "first", "second"]);
  third();
  bench.say(8);
  assertEquals(bench.told.length, 3);
  bench.writes.acknowledged(8);
  assertEquals(bench.told, ["before", "first", "second", "third"]);
});

Deno.test("FollowedWrites reports writes in the order of their calls, and failures at once", () => {
  const bench = new Bench();
  bench.writes.hold();
  const first = bench.write("first");
  const second = bench.write("second");
  second(true);
  assertEquals(bench.told, []);
  first(true);
  assertEquals(bench.told, ["first", "second"]);
});

Deno.test("FollowedWrites sends unreported writes with the next transfer, and reports all when it is released", () => {
  const bench = new Bench();
  bench.writes.hold();
  bench.write("said")();
  bench.say(3);
  bench.write("written")();
  // What the target of the first transfer had is not known.
  bench.writes.transferBegins();
  assertEquals(bench.writes.keys, ["said", "written"]);
  bench.say(1);
  bench.writes.acknowledged(1);
  assertEquals(bench.told, ["said", "written"]);
  assertEquals(bench.writes.keys, []);
  const committing = bench.write("committing");
  bench.write("durable")();
  bench.writes.release();
  assertEquals(bench.told, ["said", "written"]);
  committing();
  assertEquals(bench.told.slice(2), ["committing", "durable"]);
  bench.write("after")();
  assertEquals(bench.told.at(-1), "after");
});

Deno.test("FollowedWrites passes a mark once everything written before it has arrived", () => {
  const bench = new Bench();
  bench.writes.hold();
  bench.write("before");
  bench.writes.mark(() => bench.told.push("mark"));
  bench.say(2);
  bench.write("after");
  bench.say(3);
  bench.writes.acknowledged(1);
  assertEquals(bench.told, []);
  bench.writes.acknowledged(2);
  assertEquals(bench.told, ["mark"]);
  // With the transfer goes who waits for it.
  bench.writes.mark(() => bench.told.push("lost mark"));
  bench.writes.transferBegins();
  bench.say(1);
  bench.writes.acknowledged(1);
  assertEquals(bench.told, ["mark"]);
});
