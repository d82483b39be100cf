import { assertEquals } from "@std/assert";
import { LINK_CARRIED_BYTES_MAX } from "../node/link_budget.ts";
import { QueueWatch } from "./queue_watch.ts";
import type { SimulatedMachine } from "./simulated_machine.ts";
import type { EventOwner } from "./virtual_time.ts";

/** What a node is shown to hold; all else of it is empty. */
interface Shown {
  readonly requests?: number;
  /** Of vnode 3 of `kv`, which may have 5 commands in hand and 100 bytes waiting. */
  readonly vnode?: {
    readonly commands: number;
    readonly waiting?: number;
    readonly waitingBytes?: number;
  };
  /** Bytes in the link to n2@n2. */
  readonly link?: number;
}

/** What is seen of a node n1 that is shown so, one a millisecond; undefined while it is dead. */
function watch(...moments: (Shown | undefined)[]): QueueWatch {
  let nowMs = 0;
  const queues = new QueueWatch(() => nowMs);
  for (const shown of moments) {
    nowMs++;
    const node = shown && { parts: partsOf(shown) };
    // As much of a machine as is looked at.
    queues.look([{ host: "n1", node } as unknown as SimulatedMachine], []);
  }
  return queues;
}

function partsOf({ requests = 0, vnode, link }: Shown): unknown {
  const { commands = 0, waiting = 0, waitingBytes = 0 } = vnode ?? {};
  const master = {
    moduleName: "kv",
    mailboxBounds: { requestsMax: 5, bytesMax: 100 },
    vnodes: () => [{
      number: 3,
      commands,
      backlog: { waiting, waitingBytes },
    }],
  };
  const links = [{ bufferedBytes: link ?? 0, peer: { name: "n2@n2" } }];
  return {
    requests: { size: requests },
    config: { requestsMax: 10 },
    vnodes: { tasks: new Map([["kv-0", master]]) },
    links: { all: () => links },
  };
}

function messagesOf({ violations }: QueueWatch): string[] {
  return violations.map(({ message }) => message);
}

Deno.test("QueueWatch passes queues up to their bounds, and nodes that are down or have no parts yet", () => {
  const full = watch(undefined, {
    requests: 10,
    vnode: { commands: 5, waiting: 4, waitingBytes: 100 },
    link: LINK_CARRIED_BYTES_MAX,
  });
  full.look([
    { host: "n2", node: { parts: {} } } as unknown as SimulatedMachine,
  ], []);
  assertEquals(messagesOf(full), []);
});

Deno.test("QueueWatch names each queue that is over its bound", () => {
  const full = watch({
    requests: 11,
    vnode: { commands: 6, waiting: 2, waitingBytes: 101 },
    link: LINK_CARRIED_BYTES_MAX + 1024 * 1024 + 1,
  });
  assertEquals(messagesOf(full), [
    "requests of n1 held 11 at 1 ms and may hold 10",
    "mailbox of vnode 3 of kv on n1 held 6 at 1 ms and may hold 5",
    "mailbox of vnode 3 of kv on n1, in bytes, held 101 at 1 ms and may hold 100",
    "link from n1 to n2@n2, in bytes, held 42991617 at 1 ms and may hold 42991616",
  ]);
});

Deno.test("QueueWatch lets a command that waits alone be of any size", () => {
  const alone = { commands: 2, waiting: 1, waitingBytes: 1_000 };
  assertEquals(messagesOf(watch({ vnode: alone })), []);
});

Deno.test("QueueWatch remembers how full the fullest queue of each kind was", () => {
  const { fullest } = watch(
    { requests: 3, vnode: { commands: 4, waiting: 3, waitingBytes: 50 } },
    { requests: 7, vnode: { commands: 2 }, link: 10 },
    undefined,
    { requests: 5 },
  );
  assertEquals(fullest, {
    requests: { length: 7, bound: 10 },
    mailbox: { length: 4, bound: 5 },
    mailbox_bytes: { length: 50, bound: 100 },
    link: { length: 10, bound: 42_991_616 },
  });
});

Deno.test("QueueWatch looks at the nodes in whose processes an event happened, and at all after one outside of them", () => {
  const first: EventOwner = { due: () => {} };
  const second: EventOwner = { due: () => {} };
  const machines = [first, second].map((process, index) => ({
    host: `n${index + 1}`,
    node: { parts: partsOf({ requests: 11 }) },
    process,
  })) as unknown as SimulatedMachine[];
  const seen = (...entered: EventOwner[]): string[] => {
    const queues = new QueueWatch(() => 1);
    queues.look(machines, entered);
    return messagesOf(queues);
  };
  const client: EventOwner = { due: () => {} };
  const of = (host: string) =>
    `requests of ${host} held 11 at 1 ms and may hold 10`;
  assertEquals(seen(first), [of("n1")]);
  assertEquals(seen(client, second), [of("n2")]);
  assertEquals(seen(client), []);
  assertEquals(seen(), [of("n1"), of("n2")]);
});
