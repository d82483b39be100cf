import { assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { FollowedWrites, HOLD_MS_MAX } from "./followed_writes.ts";

/** Writes by name, and those that were told, in order. */
class Bench {
  readonly runtime = new ManualRuntime();
  readonly told: string[] = [];
  readonly writes = new FollowedWrites(
    () => this.runtime.now(),
    (afterMs, callback) => void this.runtime.setTimer(afterMs, callback),
  );

  /** Begins a write, and returns what makes it durable. */
  write(name: string): (failed?: boolean) => void {
    const tell = this.writes.noted();
    const committed = () => void this.told.push(name);
    return (failed = false) =>
      tell === undefined ? committed() : tell(committed, failed);
  }
}

Deno.test("FollowedWrites tells a write when it is durable and the target has the batch with its key, in any order", () => {
  const bench = new Bench();
  bench.write("before")();
  bench.writes.hold();
  const [a, b] = [bench.write("a"), bench.write("b")];
  bench.writes.roundBegins();
  const c = bench.write("c");
  a();
  bench.writes.roundSaid(7);
  bench.writes.acknowledged(6, false);
  assertEquals(bench.told, ["before"]);
  bench.writes.acknowledged(7, false);
  assertEquals(bench.told, ["before", "a"]);
  c();
  b();
  assertEquals(bench.told, ["before", "a", "b"]);
  bench.writes.roundBegins();
  bench.writes.acknowledged(8, true);
  // Nothing of the round was left to be said.
  bench.writes.roundSaid(8);
  assertEquals(bench.told, ["before", "a", "b", "c"]);
});

Deno.test("FollowedWrites tells writes in the order of their calls, of failures at once", () => {
  const bench = new Bench();
  bench.writes.hold();
  const [a, b] = [bench.write("a"), bench.write("b")];
  b();
  a(true);
  assertEquals(bench.told, ["a"]);
  bench.writes.end();
  assertEquals(bench.told, ["a", "b"]);
  const c = bench.write("c");
  c();
  assertEquals(bench.told, ["a", "b", "c"]);
});

Deno.test("FollowedWrites lets all go after HOLD_MS_MAX, and holds again when the target has caught up", async () => {
  const bench = new Bench();
  bench.writes.hold();
  bench.write("a")();
  bench.writes.roundBegins();
  bench.writes.roundSaid(1);
  await bench.runtime.advance(HOLD_MS_MAX - 1);
  assertEquals(bench.told, []);
  await bench.runtime.advance(1);
  assertEquals(bench.told, ["a"]);
  bench.write("b")();
  bench.writes.acknowledged(1, false);
  bench.write("c")();
  assertEquals(bench.told, ["a", "b", "c"]);
  bench.writes.acknowledged(2, true);
  bench.write("d")();
  assertEquals(bench.told, ["a", "b", "c"]);
  bench.writes.end();
  assertEquals(bench.told, ["a", "b", "c", "d"]);
});
