import { assertEquals, assertThrows } from "@std/assert";
import {
  answerBeat,
  askBeat,
  createHeartbeat,
  hearChild,
  silentForMs,
  tickHeartbeat,
} from "./heartbeat_fsm.ts";

const limits = { intervalMs: 100, timeoutMs: 300 };

Deno.test("tickHeartbeat() finds a child hung once its oldest question is too old", () => {
  const heartbeat = createHeartbeat(limits, 0);
  for (const nowMs of [100, 200, 300]) {
    assertEquals(tickHeartbeat(heartbeat, nowMs), "ask");
    askBeat(heartbeat, nowMs);
  }
  assertEquals(tickHeartbeat(heartbeat, 400), "hung");
});

Deno.test("answerBeat() answers all earlier questions, and no later one", () => {
  const heartbeat = createHeartbeat(limits, 0);
  askBeat(heartbeat, 0);
  const second = askBeat(heartbeat, 100);
  askBeat(heartbeat, 200);
  answerBeat(heartbeat, second);
  assertEquals(silentForMs(heartbeat, 250), 50);
  answerBeat(heartbeat, second);
  assertEquals(silentForMs(heartbeat, 250), 50);
});

Deno.test("tickHeartbeat() does not blame the child for a pause of its parent", () => {
  const heartbeat = createHeartbeat(limits, 0);
  tickHeartbeat(heartbeat, 100);
  askBeat(heartbeat, 100);
  // The parent's thread stood still for five seconds.
  assertEquals(tickHeartbeat(heartbeat, 5_100), "ask");
  assertEquals(silentForMs(heartbeat, 5_100), 100);
  // The child is given its whole time all the same, not more.
  assertEquals(tickHeartbeat(heartbeat, 5_200), "ask");
  assertEquals(tickHeartbeat(heartbeat, 5_300), "hung");
});

Deno.test("hearChild() takes anything the child says for a sign of life, and no longer than until it is asked again", () => {
  const heartbeat = createHeartbeat(limits, 0);
  for (let nowMs = 100; nowMs <= 1_000; nowMs += 100) {
    assertEquals(tickHeartbeat(heartbeat, nowMs), "ask");
    askBeat(heartbeat, nowMs);
    if (nowMs <= 500) hearChild(heartbeat);
    else if (nowMs === 800) break;
  }
  assertEquals(silentForMs(heartbeat, 850), 250);
  assertEquals(tickHeartbeat(heartbeat, 900), "hung");
});

Deno.test("createHeartbeat() refuses patience shorter than the interval", () => {
  assertThrows(
    () => createHeartbeat({ intervalMs: 100, timeoutMs: 50 }, 0),
    RangeError,
  );
  assertThrows(
    () => createHeartbeat({ intervalMs: 0, timeoutMs: 50 }, 0),
    RangeError,
  );
});
