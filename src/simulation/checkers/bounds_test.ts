import { assertEquals } from "@std/assert";
import { BoundWatch, type QueueSample } from "./bounds.ts";

const sample = (atMs: number, length: number, queue = "q", bound = 10) => ({
  queue,
  atMs,
  length,
  bound,
});

function messagesOf(...samples: QueueSample[]): string[] {
  const watch = new BoundWatch();
  for (const sample of samples) watch.see(sample);
  return watch.violations.map(({ message }) => message);
}

Deno.test("BoundWatch passes queues up to their bound", () => {
  assertEquals(messagesOf(sample(1, 0), sample(2, 10), sample(3, 3)), []);
});

Deno.test("BoundWatch reports each queue over its bound, with its first and its worst sample", () => {
  const messages = messagesOf(
    sample(1, 10),
    sample(2, 11),
    sample(3, 15),
    sample(4, 12),
    sample(5, 11, "r"),
    sample(6, Number.NaN, "s"),
    sample(7, -1, "t"),
    sample(8, 12, "u"),
    sample(9, -2, "u"),
    sample(10, 99, "u"),
  );
  assertEquals(messages, [
    "q held 11 at 2 ms and may hold 10; at worst 15 at 3 ms",
    "r held 11 at 5 ms and may hold 10",
    "s held NaN at 6 ms and may hold 10",
    "t held -1 at 7 ms and may hold 10",
    "u held 12 at 8 ms and may hold 10; at worst -2 at 9 ms",
  ]);
});

Deno.test("BoundWatch compares each sample with its own bound", () => {
  const messages = messagesOf(
    sample(1, 50, "q", 100),
    sample(2, 30, "q", 10),
    sample(3, 101, "q", 100),
    sample(4, 45, "r", 10),
    sample(5, 140, "r", 100),
  );
  assertEquals(messages, [
    "q held 30 at 2 ms and may hold 10",
    "r held 45 at 4 ms and may hold 10; at worst 140 at 5 ms, when it might hold 100",
  ]);
});
