import { assertEquals } from "@std/assert";
import { ReadRounds } from "./read_rounds.ts";

function readsOf(rounds: ReadRounds, number: number): string[] {
  const ready: string[] = [];
  rounds.confirm(number, ({ from, round }, index) => {
    ready.push(`${from ?? "own"} ${round} at ${index}`);
  });
  return ready;
}

Deno.test("ReadRounds answers reads of confirmed rounds once, the oldest first", () => {
  const rounds = new ReadRounds();
  rounds.add({ from: undefined, round: 1 });
  rounds.begin(10);
  rounds.add({ from: "b", round: 7 });
  rounds.add({ from: undefined, round: 2 });
  rounds.begin(11);
  assertEquals(readsOf(rounds, 0), []);
  assertEquals(readsOf(rounds, 2), ["own 1 at 10", "b 7 at 11", "own 2 at 11"]);
  assertEquals(readsOf(rounds, 2), []);
  assertEquals(rounds.isAsking, false);
});

Deno.test("ReadRounds starts no round without reads, and not too many rounds", () => {
  const rounds = new ReadRounds();
  assertEquals(rounds.mayBegin, false);
  for (let round = 1; round <= 3; round++) {
    rounds.add({ from: undefined, round });
    if (rounds.mayBegin) rounds.begin(round);
  }
  assertEquals(rounds.last, 2);
  readsOf(rounds, 1);
  assertEquals(rounds.mayBegin, true);
});

Deno.test("ReadRounds returns all reads that are not confirmed", () => {
  const rounds = new ReadRounds();
  rounds.add({ from: undefined, round: 1 });
  rounds.begin(1);
  rounds.add({ from: "b", round: 2 });
  assertEquals(rounds.drop().map(({ round }) => round), [1, 2]);
  assertEquals(rounds.drop(), []);
});
